"""A run as a user sees it: submitted over HTTP, watched until it has ended, and scored.

The server does with the pipeline what a cluster does: it runs what it received, and nothing else.
"""

import threading
from pathlib import Path

import pytest
import yaml
from kfp import components, local

from components.steps import STEPS
from model_core.config.load import load_settings
from model_core.evaluation.gate import against_baselines
from model_core.results.record import read_result
from model_core.results.scores import Scores
from pipelines import resources
from pipelines.pods.profiles import load_pods
from pipelines.submit import submit
from tests.pipeline.kubeflow_server import Api, Object
from tests.pipeline.registry_server import ModelRegistry
from tests.pipeline.submissions import submission
from tests.serving import answering

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.usefixtures("preloaded")]
TINY = str(Path(__file__).parent / "tiny.yaml")


PODS = resources.Cluster(tag="0123456", pods=load_pods(overrides=["all.retries=0"]), secret="keys")


class Cluster(threading.Thread):
    """Runs the specification of a run with ``kfp.local``; ``server`` tells of its state."""

    def __init__(self, server: Api, run: Object, folder: Path) -> None:
        super().__init__()
        self._server, self._run, self._folder = server, run, folder
        self.start()

    def run(self) -> None:
        documents = [self._run["pipeline_spec"][name] for name in ("pipeline_spec", "platform_spec")]
        try:
            local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(self._folder))
            pipeline = components.load_component_from_text(yaml.safe_dump_all(documents))
            pipeline(**self._run["runtime_config"]["parameters"])
        except BaseException:
            self._server.states[:] = ["FAILED"]
            raise
        else:
            self._server.states[:] = ["SUCCEEDED"]


# kfp.local says of each task what of a cluster it has not: resources, and the image.
@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("kfps_own_runner")
def test_submit_wait_and_the_scores(tmp_path: Path) -> None:
    threads: list[Cluster] = []
    told: list[str] = []
    with answering(Api(["RUNNING"])) as api, answering(ModelRegistry()) as registry:
        api.started = lambda run: threads.append(Cluster(api, run, tmp_path))
        settings = load_settings(TINY, [])
        wanted = submission(
            api.url,
            settings=settings,
            source="sample://synthetic",
            name="far",
            cluster=PODS,
            model_registry=registry.url,
        )
        submit(wanted, wait=True, poll_seconds=1.0, say=told.append)
        threads[0].join()
    assert told[-1] == "run a: succeeded"
    (run,) = (folder for folder in tmp_path.iterdir() if folder.is_dir())
    assert {step.replace("_", "-") for step in STEPS} <= {folder.name for folder in run.iterdir()}
    scores = read_result(Scores, run / "evaluate/evaluation")
    assert scores.windows > 0
    assert scores.verdict.sentences
    assert "far" in (run / "report/report").read_text(encoding="utf-8")
    assert "RUN SUCCEEDED" in (run / "finish/page").read_text(encoding="utf-8")
    # The untrained model is its own baseline, and so not worse than that.
    assert against_baselines(scores) == ()
    assert [version["customProperties"]["run"]["string_value"] for version in registry.versions] == ["far"]
    assert registry.artifacts["1"][0]["uri"] == str(run / "train/model")
