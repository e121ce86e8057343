"""A run for a cluster, as tests submit it."""

from typing import Any

from model_core.config.run import Settings
from pipelines.resources import Cluster
from pipelines.submission import Submission

PLACES = {"cluster": Cluster(tag="0123456", secret="keys")}


def submission(host: str, **more: Any) -> Submission:
    given: dict[str, Any] = {
        "settings": Settings(),
        "cluster": Cluster(tag="0123456"),
        "source": "sample://nasdaq",
        "name": "a",
    }
    return Submission(host, **(given | more))
