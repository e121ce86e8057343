"""The files that a run left, as its manifests and its folder name them."""

from collections.abc import Iterator
from pathlib import Path

from components.steps import STEPS
from model_core.artifacts import MANIFEST, read_manifest, sha256_of
from model_core.publishing.record import ListedFile, listed
from model_core.results.run import RECORD, RunRecord
from model_core.store.names import contained

_BESIDE = ("report.html", "summary.md", "settings.yaml", RECORD)
"""Files in the run's own folder that belong to what it left."""


def files_of(runs: Path, record: RunRecord) -> list[ListedFile]:
    """Files beside the record, hashed now, and those of each artifact, as its manifest vouches for them.

    Of a published run they are the files that its record names, which may not be on this machine.

    Raises:
        ArtifactError: a manifest is damaged.
    """
    if record.published_at is not None:
        return listed(record.files, runs / record.name)
    return [*_beside(runs / record.name), *_of_artifacts(runs, record)]


def _beside(folder: Path) -> Iterator[ListedFile]:
    for name in _BESIDE:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            yield ListedFile(name, path, path.stat().st_size, sha256_of(path))


def _of_artifacts(runs: Path, record: RunRecord) -> Iterator[ListedFile]:
    for producer, step in STEPS.items():
        folder = record.artifact(runs, step.output)
        if folder is None or not folder.is_dir():
            continue
        manifest = read_manifest(folder / MANIFEST, producer=producer)
        path = folder / MANIFEST
        yield ListedFile(f"{step.output}/{MANIFEST}", path, path.stat().st_size, sha256_of(path))
        for name, file in manifest.files.items():
            yield ListedFile(f"{step.output}/{name}", contained(folder, name), file.size, file.sha256)
