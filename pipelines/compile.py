"""The pipeline as a file: KFP's intermediate representation, the same bytes for the same inputs."""

from pathlib import Path

from kfp import compiler

from model_core.config.run import Settings
from model_core.errors import UserError
from pipelines.resources import Cluster
from pipelines.training import training_pipeline


def compile_pipeline(path: Path, settings: Settings, cluster: Cluster, code_version: str) -> None:
    """Write the pipeline to ``path``; the settings become the defaults of its parameters.

    Raises:
        UserError: the file cannot be written, or is not called ``.yaml``.
    """
    if path.suffix not in {".yaml", ".yml"}:
        raise UserError(f"{path} is no YAML file name; call it e.g. pipeline.yaml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_name(f".{path.stem}.partial.yaml")
        compiler.Compiler().compile(training_pipeline(settings, cluster.equip, code_version), str(staging))
        text = staging.read_text(encoding="utf-8")
        staging.write_text(_without_comments(text), encoding="utf-8")
        staging.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); choose another --output") from error


def _without_comments(text: str) -> str:
    """KFP opens the file with a summary that lists a dict's items in another order in each process."""
    lines = text.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "".join(lines[first:])
