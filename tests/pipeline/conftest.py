"""What tests of submitted runs share."""

from collections.abc import Iterator

import pytest

from tests.pipeline.kubeflow_server import Api
from tests.serving import answering


@pytest.fixture
def api() -> Iterator[Api]:
    with answering(Api(["PENDING", "RUNNING", "SUCCEEDED"])) as server:
        yield server
