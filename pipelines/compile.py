"""The pipeline as a file: KFP's intermediate representation, the same bytes for the same inputs."""

from contextlib import suppress
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl.graph_component import GraphComponent

from model_core.config.run import Settings
from model_core.disk import disk_error, require_file
from model_core.errors import UserError
from pipelines.check import check_pipeline
from pipelines.resources import Cluster
from pipelines.training import training_pipeline


def cluster_pipeline(settings: Settings, cluster: Cluster, code_version: str) -> GraphComponent:
    """The pipeline as a cluster runs it.

    Raises:
        UserError: it breaks a rule (``pipelines.policy``).
    """
    # A run's id is what no other run has; kfp.local, which may run the same file, fills it in, too.
    called = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    pipeline = training_pipeline(
        cluster.pods.on_a_cluster(settings),
        cluster.configure_task,
        code_version,
        run_called=called,
        tells_its_end=True,
    )
    check_pipeline(pipeline)
    return pipeline


def compile_pipeline(path: Path, settings: Settings, cluster: Cluster, code_version: str) -> None:
    """Write the pipeline to ``path``; the settings become the defaults of its parameters.

    Raises:
        UserError: the file cannot be written, or is not called ``.yaml``.
        DiskError: the disk filled up.
    """
    if path.suffix not in {".yaml", ".yml"}:
        raise UserError(f"{path} is not a YAML file name; call it e.g. pipeline.yaml")
    path = require_file(path, "--output")
    staging = path.with_name(f".{path.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(cluster_pipeline(settings, cluster, code_version), str(staging))
        text = staging.read_text(encoding="utf-8")
        staging.write_text(_without_comments(text), encoding="utf-8")
        staging.replace(path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):
            staging.unlink(missing_ok=True)


def _without_comments(text: str) -> str:
    """KFP opens the file with a summary that lists a dict's items in another order in each process."""
    lines = text.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[first:])
