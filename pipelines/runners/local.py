"""The pipeline on this machine: no cluster, no containers, nothing to install besides the package.

runs/<name>/run.json        what ran, from what, with which result
runs/<name>/report.html     the page to look at        summary.md   the same in a few lines
runs/<name>/logs/           one log per step, and KFP's own
runs/<name>/<pipeline>-…/   the artifacts, where KFP put them
runs/<name>/checkpoints/    training that has not ended; removed when the run has succeeded
runs/<name>/.lock           held by the process that works on the run
runs/.cache/                which inputs gave which artifacts; safe to delete
"""

import hashlib
import logging
import re
import shutil
import sys
import time
from contextlib import AbstractContextManager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from kfp import local

from components.steps import STEPS
from components.work import Work, discard_finished
from model_core.artifacts import code_version, no_folders_left
from model_core.config.run import Settings
from model_core.data.reading.samples import sample_of
from model_core.data.reading.sources import read_source
from model_core.disk import followed, require_folder, writing
from model_core.errors import PgatError, PipelineError, UserError, shown
from model_core.locks import clear_leftovers
from model_core.store.locate import local_path
from model_core.store.names import refuse_bad_run_name, scheme_of
from model_core.store.probe import refuse_unwritable_folder
from pipelines.cost import cost_text
from pipelines.held import held_run
from pipelines.runners.containers import (
    Containers,
    refuse_keys_left_behind,
    refuse_unmountable,
    step_containers,
)
from pipelines.runners.leaving import leave_page, leave_page_of_failure, publish_ended, publish_failed
from pipelines.runners.process import RunProgress, step_processes
from pipelines.runners.reuse import verified_reuse
from pipelines.runs import read_scores, score_table
from pipelines.state import RunState
from pipelines.stopping import stopping_on_signals
from pipelines.training import settings_parameters, training_pipeline

_CACHE_HIT = re.compile(r"Task (\S+) cache hit")


@dataclass(frozen=True)
class LocalRun:
    """One run of the pipeline on this machine.

    Args:
        settings: of all steps.
        source: table to read; see ``model_core.data.reading.sources``.
        runs: folder of all runs.
        name: of this run; the same name twice continues in the same folder.
        checkpoint_uri: folder or ``s3://…`` that keeps training checkpoints; empty for none.
        publish_uri: folder or ``s3://…`` of published runs that gets this one, too; empty for none.
        caching: whether to reuse what earlier runs made from the same inputs, settings and code.
        containers: images to run the steps in; None runs them as plain processes.
    """

    settings: Settings
    source: str
    runs: Path
    name: str
    checkpoint_uri: str = ""
    publish_uri: str = ""
    caching: bool = True
    containers: Containers | None = None

    @property
    def folder(self) -> Path:
        """Everything of this run."""
        return self.runs.resolve() / self.name


def default_name(config: str | None, settings: Settings, source: str) -> str:
    """Name of a run that was given none: the same inputs, settings and code make the same run."""
    decisive = settings.model_dump_json(exclude={"store"})
    key = f"{decisive}\n{source}\n{source_version(source, settings)}\n{code_version()}"
    stem = Path(config).stem if config else "standard"
    return f"{stem.replace('_', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def source_version(source: str, settings: Settings) -> str:
    """Digest of the table, so that an edited one is prepared again; empty for samples, which never change.

    Raises:
        SourceError, StoreError: there is no such table.
    """
    if sample_of(source) is not None:
        return ""
    return read_source(source, settings.data).sha256[:16]


def run_locally(run: LocalRun) -> Path:
    """Run all five steps, showing what they print, and return the path of the report.

    Raises:
        UserError: the source is missing, the folder cannot be written, or a step refused its input.
        PipelineError: a step failed.
    """
    version = source_version(run.source, run.settings)
    refuse_bad_run_name(run.name, "--name")
    for uri in filter(None, (run.checkpoint_uri, run.publish_uri)):
        refuse_unwritable_folder(uri)  # now, not after hours of training
    runs = followed(run.runs, "--runs")
    if run.containers is not None:
        named = map(local_path, filter(None, (_absolute(run.source), run.checkpoint_uri)))
        refuse_unmountable([runs.resolve(), *(path for path in named if path is not None)])
        refuse_keys_left_behind(filter(None, (run.source, run.checkpoint_uri, run.publish_uri)))
    with no_folders_left(runs / run.name):
        require_folder(runs, "--runs")
        fresh = not run.folder.exists()
        with held_run(run.folder):
            clear_leftovers(run.folder)
            return _run_held(run, version, fresh)


def _run_held(run: LocalRun, version: str, fresh: bool) -> Path:
    progress = RunProgress(sys.stdout, require_folder(run.folder / "logs"), len(STEPS))
    begun = time.monotonic()
    record = RunState(run.folder, run.settings, run.source, progress)
    progress.changed = record.going_on
    progress.say(shown(f"run {run.name}: {run.source} → {run.folder}"))
    progress.say(shown(cost_text(run.settings, run.source, run.runs)))
    try:
        # First of all: whatever an earlier run of this name left, its state is no longer this one's.
        record.going_on()
        with stopping_on_signals():
            outputs = _execute(run, version, progress)
            scores = score_table(read_scores(outputs["evaluation"]))
            leave_page(run.folder, outputs)
    except BaseException as error:
        if fresh and not progress.seconds and not progress.reused and progress.exit_code == 2:
            # The first step refused its input, so there is nothing to keep.
            shutil.rmtree(run.folder)
        else:
            failed = isinstance(error, PgatError)
            if failed and progress.failed is not None:
                leave_page_of_failure(run.folder, run.source, progress)
            # On a full disk it stays at "running", which reads as interrupted once this process is gone.
            with suppress(PipelineError):
                record.ended_early(error, time.monotonic() - begun)
                if failed and run.publish_uri:
                    publish_failed(run.folder, run.publish_uri, progress)
        raise
    seconds = time.monotonic() - begun
    record.succeeded(outputs, seconds)
    left = discard_finished(Work(folder=str(progress.work)))
    if run.publish_uri:
        publish_ended(run.folder, run.publish_uri, progress)
    _print_summary(run, progress, scores, seconds)
    for folder in left:
        progress.say(shown(f"unfinished training with other settings or data stays in {folder}"))
    return run.folder / "report.html"


def _execute(run: LocalRun, version: str, progress: RunProgress) -> dict[str, Path]:
    containers = run.containers
    configure_task = containers.configure_task if containers else _no_resources
    version_of_code = containers.version if containers else code_version()
    pipeline = training_pipeline(run.settings, configure_task, version_of_code)
    local.init(
        runner=local.DockerRunner() if containers else local.SubprocessRunner(use_venv=False),
        pipeline_root=str(run.folder),
        enable_caching=run.caching,
        cache_root=str(run.runs.resolve() / ".cache"),
    )
    source, checkpoints = map(_absolute, (run.source, run.checkpoint_uri))
    with (progress.logs / "kfp.log").open("w", encoding="utf-8") as kfp_log:
        listener = _CacheListener(progress)
        root = logging.getLogger()
        level = root.level
        root.addHandler(listener)
        root.setLevel(logging.INFO)
        try:
            with (
                writing(run.folder),
                redirect_stdout(kfp_log),
                verified_reuse(progress.say),
                _steps(run, source, checkpoints, progress),
            ):
                task = pipeline(
                    source=source,
                    source_version=version,
                    run_name=run.name,
                    checkpoint_uri=checkpoints,
                    **settings_parameters(run.settings),
                )
        except RuntimeError as error:
            if progress.failed is None:
                raise
            log_file = progress.logs / f"{progress.failed}.log"
            if progress.exit_code == UserError.exit_code:
                raise UserError(f"{progress.failed}: {progress.reason}") from error
            raise PipelineError(
                f"the step {progress.failed} failed: {progress.reason}; its log is {log_file}"
            ) from error
        finally:
            root.removeHandler(listener)
            root.setLevel(level)
    return {name: Path(artifact.path) for name, artifact in task.outputs.items()}


def _absolute(uri: str) -> str:
    """A path does not depend on the folder in which a step runs."""
    return str(Path(uri).expanduser().resolve()) if uri and scheme_of(uri) is None else uri


def _steps(
    run: LocalRun, source: str, checkpoints: str, progress: RunProgress
) -> AbstractContextManager[None]:
    """Start the steps as processes, or in containers, which see the folders of runs and checkpoints and the table."""
    if run.containers is None:
        return step_processes(progress)
    folder = local_path(checkpoints) if checkpoints else None
    if folder is not None and not folder.exists():
        folder.mkdir(parents=True)
    table, written = local_path(source), [run.runs.resolve(), *([] if folder is None else [folder])]
    return step_containers(progress, run.containers, written, [table] if table else [])


def _no_resources(task: object, step: str) -> None:
    """This machine has no images, quotas or retries to set."""


class _CacheListener(logging.Handler):
    """``kfp.local`` tells of a reused step in its log only."""

    def __init__(self, progress: RunProgress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        if hit := _CACHE_HIT.search(record.getMessage()):
            self._progress.from_cache(hit[1].replace("-", "_"))


def _print_summary(run: LocalRun, progress: RunProgress, scores: str, seconds: float) -> None:
    reused = len(progress.reused)
    if reused:
        progress.say(
            f"\n{reused} of {len(STEPS)} steps reused from the cache: same inputs, settings and code "
            "(--no-cache runs them again)"
        )
    progress.say(f"\n{scores}")
    progress.say(f"\n{seconds:.0f} s; report: {shown(str(run.folder / 'report.html'))}")
