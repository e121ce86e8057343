"""Publishing a run of this machine: its files and its record go to a store of runs."""

from pathlib import Path

from components.steps import STEPS
from model_core.errors import UserError
from model_core.publishing.publish import publish_run
from model_core.publishing.record import ListedFile
from model_core.results.run import RECORD, RUNNING, SUCCEEDED, RunRecord
from model_core.store.locate import local_path
from pipelines.review.files import files_of
from pipelines.runs import find_run, headline_in

_DATASET = STEPS["prepare_data"].output


def publish(runs: Path, name: str, uri: str, *, dataset: bool = False) -> RunRecord:
    """Send a run that has ended to the store of runs at ``uri``, where ``runs`` commands then find it.

    Args:
        dataset: whether the prepared dataset goes, too; it holds the market table, and its path on this machine.

    Returns:
        The record as it is published.

    Raises:
        ArtifactError: the run is damaged.
        StoreError: the store cannot be reached or written.
        UserError: there is no such run, it is going on, or ``uri`` is the folder that it lies in.
    """
    record = find_run(runs, name)
    if record.status == RUNNING:
        raise UserError(f"the run {name} is going on; publish it when it has ended")
    target = local_path(uri)
    if target is not None and target.resolve() == runs.resolve():
        raise UserError(f"{uri} is the folder of this run itself; publish it to another folder or to s3://…")
    headline = headline_in(runs, record)
    files = [file for file in files_of(runs, record) if _is_sent(file, record, dataset)]
    return publish_run(uri, record.model_copy(update={"headline": headline}), files)


def _is_sent(file: ListedFile, record: RunRecord, dataset: bool) -> bool:
    if file.name == RECORD or (file.name.startswith(f"{_DATASET}/") and not dataset):
        return False
    # The page of a run that failed before its report quotes its log, so it stays here; such a run has no summary.
    page = file.name == "report.html"
    return not page or record.status == SUCCEEDED or (file.path.parent / "summary.md").is_file()
