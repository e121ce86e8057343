"""What a local run leaves for people when it ends: its page, and a copy in a store of runs."""

import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from components.steps import STEPS
from model_core.errors import PgatError, PipelineError, StoreError, UploadError, shown
from model_core.report.ending import EndPage, end_page, failure_texts
from model_core.results.run import FAILED
from model_core.store.names import published_name
from pipelines.review.publishing import publish
from pipelines.runners.process import RunProgress

_PAGES = {"report": "report.html", "summary": "summary.md"}
"""Artifact → what it is called in the run's folder."""


def leave_page(folder: Path, outputs: Mapping[str, Path]) -> None:
    """Copy the report and its summary, as far as there are any, to the run's folder.

    Raises:
        PipelineError: they cannot be written.
    """
    for kind, name in _PAGES.items():
        if kind in outputs:
            _copy(outputs[kind], folder / name)


def leave_page_of_failure(folder: Path, source: str, progress: RunProgress) -> None:
    """The page of a run that failed: its report, if it was written all the same, or one that says what failed."""
    with suppress(PipelineError):  # why the run failed matters more than why its page could not be written
        if "report" in progress.left:
            leave_page(folder, progress.left)
        else:
            (folder / _PAGES["summary"]).unlink(missing_ok=True)
            _write_failure(folder, source, progress)
    progress.say("\n" + shown(f"page: {folder / _PAGES['report']}"))


def publish_ended(folder: Path, uri: str, progress: RunProgress) -> None:
    """Send a run to the store of runs at ``uri``.

    Raises:
        UploadError: the store does not take it; the run is complete on this machine.
    """
    try:
        publish(folder.parent, folder.name, uri)
    except StoreError as error:
        again = ["runs", "publish", folder.name, uri, "--runs", str(folder.parent)]
        raise UploadError(
            f"the run {folder.name} could not be published: {str(error).partition('; ')[0]}; it is complete in "
            f"{folder}, and `{shlex.join(again)}` sends it"
        ) from error
    progress.say(shown(f"published to {uri.rstrip('/')}/{folder.name}/"))


def publish_failed(folder: Path, uri: str, progress: RunProgress) -> None:
    """The same for a run that failed; what goes wrong here is only said, since why the run failed matters more."""
    try:
        publish_ended(folder, uri, progress)
    except PgatError as error:
        progress.say(shown(str(error)))


def _write_failure(folder: Path, source: str, progress: RunProgress) -> None:
    done = {step: f"{seconds:.0f} s" for step, seconds in progress.seconds.items()}
    done |= dict.fromkeys(progress.reused, "reused") | {str(progress.failed): "failed"}
    reason, goes_on = shown(progress.reason), "The same command goes on where the run ended."
    page = end_page(
        EndPage(
            run_name=folder.name,
            status=FAILED,
            step=progress.failed,
            texts=failure_texts(folder.name, published_name(source), reason, goes_on),
            steps={step: done.get(step, "not run") for step in STEPS},
            last_lines=[shown(line) for line in progress.last_lines],
        )
    )
    staged, target = folder / "logs" / "report.html.part", folder / _PAGES["report"]
    try:
        staged.write_text(page, encoding="utf-8")
        staged.replace(target)
    except OSError as error:
        raise PipelineError(f"cannot write {target} ({error.strerror})") from error


def _copy(source: Path, target: Path) -> None:
    """Copy whole or not at all.

    Raises:
        PipelineError: the target cannot be written.
    """
    staged = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, staged)
        staged.replace(target)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise PipelineError(
            f"cannot write {target} ({error.strerror}); make room there and give the same command again"
        ) from error
