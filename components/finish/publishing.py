"""What a run on a cluster leaves in a store of runs, whether or not it got as far as its report."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from model_core.disk import disk_error, temporary_folder
from model_core.errors import ArtifactError
from model_core.publishing.publish import publish_run, renew_record
from model_core.publishing.record import ListedFile, record_in
from model_core.results.run import RunRecord
from model_core.store.locate import open_store

log = logging.getLogger("pgat.finish")


def publish_end(uri: str, record: RunRecord, files: Mapping[str, bytes]) -> None:
    """Publish how a run ended; what its report step published of this run stays.

    Args:
        record: of the run, as far as its steps' notes tell.
        files: name → content, for a run without a report: its page. Empty for one with a report, which is there.

    Raises:
        StoreError: the store cannot be reached or written.
    """
    earlier = _published(uri, record.name)
    if earlier is not None and _is_of_this_run(earlier, files):
        kept = ("headline", "files", "artifacts", "git_commit")
        told = earlier.model_dump(include=set(kept))
        renew_record(uri, RunRecord.model_validate(record.model_dump() | told))
        return
    with temporary_folder() as folder:
        listed = [_written(folder / name, content) for name, content in files.items()]
        publish_run(uri, record, listed, tells_reason=True)


def _published(uri: str, name: str) -> RunRecord | None:
    try:
        return record_in(open_store(uri), name)
    except ArtifactError as error:
        log.warning("%s; it is replaced", error)
        return None


def _is_of_this_run(earlier: RunRecord, files: Mapping[str, bytes]) -> bool:
    """Whether the report step of this run published it, and not that of an earlier run of the same name.

    A report step that ended has published. So has one that KFP reuses: the name is among its inputs. One that failed
    may have: then the files are those that it left.
    """
    there = {name: file.sha256 for name, file in earlier.files.items()}
    return not files or there == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }


def _written(path: Path, content: bytes) -> ListedFile:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise disk_error(path, error) from error
    return ListedFile(path.name, path, len(content), hashlib.sha256(content).hexdigest())
