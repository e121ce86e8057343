"""Copying a run elsewhere, with every file checked, and deleting one, unless another run still uses it."""

import shutil
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from model_core.artifacts import no_folders_left, sha256_of
from model_core.disk import require_folder, writing
from model_core.errors import ArtifactError, UserError
from model_core.publishing.record import ListedFile
from model_core.store.names import contained
from model_core.store.together import together
from pipelines.held import held_run
from pipelines.review.files import files_of
from pipelines.runs import find_run, records

Bring = Callable[[ListedFile, Path], None]
"""Copies a file to a path."""


def download_run(
    runs: Path, name: str, to: Path, only: Sequence[str] = (), bring: Bring | None = None
) -> list[ListedFile]:
    """Copy a run's files below the folder ``to``, each checked against its SHA-256 on the way.

    Args:
        runs: the folder of runs.
        only: patterns such as ``evaluation/*``; every file if there are none.
        bring: copies a file that is elsewhere; called from several threads at once. None if all files are here.

    Raises:
        ArtifactError: a file is not what its manifest says; nothing of it is left.
        UserError: there is no such run, no file fits, or a file is there already and differs.
    """
    found = files_of(runs, find_run(runs, name))
    wanted = [file for file in found if not only or any(fnmatchcase(file.name, each) for each in only)]
    if not wanted:
        raise UserError(f"the run {name} has no file that fits; `runs show {name}` says what it left")
    with no_folders_left(to):
        to = require_folder(to, "folder to copy to")
        if bring is None:
            for file in wanted:
                _copy(file, contained(to, file.name), _copied)
        else:
            together(lambda file: _copy(file, contained(to, file.name), bring), wanted)
    return wanted


def _copied(file: ListedFile, target: Path) -> None:
    shutil.copyfile(file.path, target)


def _copy(file: ListedFile, target: Path, bring: Bring) -> None:
    if target.exists():
        if target.is_file() and sha256_of(target) == file.sha256:
            return
        raise UserError(f"{target} is there and differs; choose another folder")
    staged = target.with_name(f".{target.name}.part")
    with no_folders_left(target.parent), writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            bring(file, staged)
            if sha256_of(staged) != file.sha256:
                raise ArtifactError(f"{file.path} was changed after it was written; run that step again")
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)


def delete_run(runs: Path, name: str) -> int:
    """Delete a run's folder; returns the number of bytes freed.

    Raises:
        UserError: there is no such run, it is going on, or another run uses an artifact of it.
    """
    record = find_run(runs, name)
    folder = (runs / name).resolve()
    users = [
        other.name
        for other in records(runs)
        if other.name != record.name
        for kind in other.artifacts
        if (path := other.artifact(runs, kind)) is not None and path.resolve().is_relative_to(folder)
    ]
    if users:
        raise UserError(
            f"{', '.join(dict.fromkeys(users))} took artifacts of {name} from the cache; delete those runs first"
        )
    with held_run(folder):
        size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
        # Without its record it is no longer a run, even if deleting the rest fails.
        (folder / "run.json").unlink()
        shutil.rmtree(folder)
    return size
