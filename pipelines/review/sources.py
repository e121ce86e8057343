"""Where the runs of a command are: in a folder, or in a store that a folder on this machine stands in for.

Only what somebody asks for is fetched from a store: the list of its runs comes from its index, and a run's files one by
one. What a command prints names the store, not the folder.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.naming import named_by_uri, renamed
from model_core.disk import temporary_folder
from model_core.errors import ArtifactError, UserError
from model_core.publishing.pieces import FOLDER
from model_core.publishing.record import ListedFile
from model_core.results.run import RunRecord
from model_core.store.locate import check_uri, local_path, open_store
from pipelines.review.cluster import ClusterRuns
from pipelines.review.remote import PublishedRuns, RunsElsewhere, Stamped
from pipelines.review.wanted import Wanted
from pipelines.runs import records

log = logging.getLogger("pgat.runs")


class Runs:
    """Runs that can be read below ``folder``, once they were fetched.

    Args:
        folder: of all runs, with a folder for each.
        uri: what messages call it.
        store: what to fetch from; None where everything lies in ``folder``.
    """

    def __init__(self, folder: Path, uri: str, store: RunsElsewhere | None = None) -> None:
        self.folder, self.uri = folder, uri
        self._store = store

    def stamped(self) -> list[Stamped] | None:
        """Every run of a store, in no order; None where all of them lie in ``folder``.

        Raises:
            StoreError: the store cannot be read.
        """
        return None if self._store is None else self._store.stamped()

    def records(self) -> list[RunRecord]:
        """Every run's record, newest first; what only looks like one is named in a warning and left out.

        Raises:
            StoreError: the store cannot be read.
            UserError: there is no such folder.
        """
        if (stamped := self.stamped()) is None:
            return records(self.folder)
        found = []
        for each in stamped:
            try:
                found.append(each.read())
            except ArtifactError as error:
                log.warning("%s", error)
        return sorted(found, key=lambda record: record.started_at, reverse=True)

    def fetch(self, names: Sequence[str], wanted: Wanted) -> None:
        """Fetch some runs' records and those of their files that are ``wanted``, as far as there are any.

        Raises:
            ArtifactError: one of them is damaged.
            StoreError: the store cannot be read.
        """
        if self._store is None:
            return
        if not self._store.fetch(names, wanted):
            for each in self._store.stamped():
                each.leave()  # so that the message about a missing run names those that are there

    def bring(self, file: ListedFile, target: Path) -> None:
        """Copy a run's file.

        Raises:
            OSError: it cannot be read or written here.
            StoreError: it cannot be read there.
        """
        if self._store is None or file.path.exists():
            shutil.copyfile(file.path, target)
        else:
            self._store.bring(file.path.relative_to(self.folder).as_posix(), target)

    @property
    def elsewhere(self) -> str | None:
        """URI of the store; None if everything lies in ``folder``."""
        return None if self._store is None else self.uri

    def named(self, text: str) -> str:
        """``text`` with the store in place of the folder."""
        return text if self._store is None else renamed(text, {str(self.folder): self.uri})


@contextmanager
def opened(uri: str, lasting: Path | None = None) -> Iterator[Runs]:
    """The runs at ``uri``: a folder of runs, a store of them, or the pipeline root of a cluster.

    Args:
        lasting: folder for what is fetched from a store; a temporary one if None.

    Raises:
        StoreError: ``uri`` is not a URI, or the store cannot be read.
    """
    check_uri(uri)
    if (path := local_path(uri)) is not None:
        yield Runs(path, uri)
        return
    with temporary_folder() as folder:
        uri = uri.rstrip("/")
        folder = lasting or folder
        store = open_store(uri)
        elsewhere = ClusterRuns(store, folder) if ClusterRuns.lie_in(store) else PublishedRuns(store, folder)
        with named_by_uri({str(folder): uri}):
            yield Runs(folder, uri, elsewhere)


def folder_of(uri: str) -> Path:
    """The folder of runs at ``uri``, for commands that work only on runs of this machine.

    Raises:
        UserError: it is a store.
        StoreError: it is not a URI.
    """
    check_uri(uri)
    if (path := local_path(uri)) is None:
        raise UserError(
            f"{uri} is a store, and this command works on a folder; `runs site` and `runs list` read both"
        )
    return path


def was_published(uri: str) -> bool:
    """Whether runs were published there, so that deleting one has to tell the index."""
    check_uri(uri)
    path = local_path(uri)
    return path is None or (path / FOLDER).is_dir()


def refuse_cluster(uri: str) -> None:
    """Check that these are not the runs of a cluster, which are not ours to delete.

    Raises:
        StoreError: the store cannot be read.
        UserError: they are the cluster's.
    """
    if ClusterRuns.lie_in(open_store(uri)):
        raise UserError(
            f"{uri} holds artifacts of a cluster, which Kubeflow still lists; delete the run there, and its objects "
            "with the store's own tools"
        )
