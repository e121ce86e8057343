"""Runs of a cluster, found below its pipeline root: Kubeflow keeps what each step made, and no record of the run.

    …/<pipeline>/<run id>/<task>/<salt>/<artifact>/…

Older versions of KFP have no salt. The record is made from the artifacts, whose manifests vouch for them.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from components.steps import STEPS
from model_core.artifacts import MANIFEST, read_manifest, sha256_of
from model_core.disk import writing
from model_core.errors import ArtifactError
from model_core.manifest import FileRecord, Manifest
from model_core.publishing.pieces import FOLDER
from model_core.publishing.record import sealed
from model_core.results.findings import Findings
from model_core.results.quality import Quality
from model_core.results.run import SUCCEEDED, RunRecord
from model_core.results.scores import Scores
from model_core.store.base import Store
from model_core.store.names import contained, is_run_name, published_name, run_name_of, split_uri
from model_core.store.together import together
from pipelines.review.remote import Stamped, keep_record, refuse_changed_copy
from pipelines.review.wanted import Wanted, fits
from pipelines.runs import headline_from

log = logging.getLogger("pgat.runs")
UNFINISHED = "unfinished"
_FOLDERS = {step.output: name for name, step in STEPS.items() if name != "report"}
"""Artifact that is a folder → step that makes it."""
_PAGES = {"report": "report.html", "summary": "summary.md"}
_MADE = "|".join(
    [*(rf"{step.replace('_', '-')}(?:-\d+)?/(?:[^/]+/)??{kind}" for kind, step in _FOLDERS.items())]
    + [rf"report(?:-\d+)?/(?:[^/]+/)??{kind}" for kind in _PAGES]
)
_OBJECT = re.compile(rf"(?:^|/)([^/]+)/((?:{_MADE}))(?:/(.+))?")
_HEADLINE = (Scores.file, Findings.file, Quality.file)
"""Files that tell what a run is worth, each in its step's folder."""


@dataclass
class _Run:
    """What the store holds of one run."""

    folders: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """Artifact → path of its folder → file → key; a step that was tried twice has two folders."""
    pages: dict[str, str] = field(default_factory=dict)
    """``report.html`` → key."""
    keys: dict[str, str] = field(default_factory=dict)
    """Name of each file in the newest folder of each artifact → key."""
    record: RunRecord | None = None


class ClusterRuns:
    """Everything below a pipeline root, a pipeline of it, or one run.

    Args:
        folder: where to put what is fetched.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._runs: dict[str, _Run] = {}
        for key in store.keys():  # noqa: SIM118  a store is not a dict
            self._sort(key)

    @staticmethod
    def lie_in(store: Store) -> bool:
        """Whether ``store`` holds artifacts as Kubeflow keeps them, and no published runs.

        Raises:
            StoreError: it cannot be read.
        """
        if next(store.keys(FOLDER), None) is not None:
            return False
        return any(_OBJECT.search(_path(store, key)) for key in store.keys())  # noqa: SIM118

    def stamped(self) -> list[Stamped]:
        """Every run, its record made now from its artifacts.

        Raises:
            StoreError: the store cannot be read.
        """

        def one(record: RunRecord) -> Stamped:
            return Stamped(record.name, sealed(record).sha256 or "", lambda: record)

        return [one(record) for record in together(self._known, sorted(self._runs))]

    def fetch(self, names: Sequence[str], wanted: Wanted) -> bool:
        """Fetch some runs' records and the files that are wanted; returns whether all of these runs are there.

        Raises:
            ArtifactError: a file is not what its manifest says.
            StoreError: the store cannot be read.
        """
        known = [name for name in names if name in self._runs]
        records = together(self._known, known)
        with writing(self._folder):
            files = [(record, name) for record in records for name in record.files if fits(name, wanted)]
            together(lambda each: self._file(*each), files)
            for name in known:
                for page, key in self._runs[name].pages.items():
                    if fits(page, wanted):
                        self._bring(name, page, key)
        return len(known) == len(names)

    def _file(self, record: RunRecord, name: str) -> None:
        path = self._bring(record.name, name, self._runs[record.name].keys[name])
        refuse_changed_copy(path, record.files[name])

    def bring(self, name: str, target: Path) -> None:
        """Copy the file ``<run>/<file>``.

        Raises:
            StoreError: it cannot be read.
        """
        run, _, file = name.partition("/")
        self._store.download(self._runs[run].keys[file], target)

    def _sort(self, key: str) -> None:
        found = _OBJECT.search(_path(self._store, key))
        if found is None or not is_run_name(name := run_name_of(found[1])):
            return
        run = self._runs.setdefault(name, _Run())
        kind = found[2].rpartition("/")[2]
        if kind in _PAGES and found[3] is None:
            run.pages[_PAGES[kind]] = key
        elif kind in _FOLDERS and found[3] is not None:
            run.folders.setdefault(kind, {}).setdefault(found[2], {})[found[3]] = key

    def _known(self, name: str) -> RunRecord:
        """The record of a run, made of its artifacts and kept."""
        run = self._runs[name]
        if run.record is None:
            with writing(self._folder):
                run.record = self._read(name, run)
                keep_record(self._folder, run.record.model_dump(mode="json"))
        return run.record

    def _read(self, name: str, run: _Run) -> RunRecord:
        manifests = {kind: found for kind in _FOLDERS if (found := self._newest(name, run, kind)) is not None}
        made = [manifest.created_at for manifest in manifests.values()]
        settings: dict[str, object] = {}
        for manifest in manifests.values():
            settings |= {key: part for key, part in manifest.settings.items() if isinstance(part, dict)}
        trained, dataset = manifests.get("model"), manifests.get("dataset")
        missing = [step for kind, step in _FOLDERS.items() if kind not in manifests]
        record = RunRecord(
            name=name,
            source="" if dataset is None else published_name(str(dataset.settings.get("source", ""))),
            started_at=min(made, default=""),
            status=UNFINISHED if missing else SUCCEEDED,
            failed_step=missing[0] if missing else None,
            reason="this step left no whole artifact: it failed, or is still going on" if missing else "",
            code_version="" if trained is None else trained.code_version,
            git_commit=None if trained is None else trained.git_commit,
            settings=settings,
            artifacts={kind: kind for kind in manifests},
            files=self._files(name, manifests),
            published_at=max(made, default=datetime.fromtimestamp(0, UTC).isoformat()),
        )
        return record if missing else self._judged(name, run, record)

    def _judged(self, name: str, run: _Run, record: RunRecord) -> RunRecord:
        folder = self._folder / name
        try:
            for kind, file in zip(("evaluation", "findings", "dataset"), _HEADLINE, strict=True):
                self._bring(name, f"{kind}/{file}", run.keys[f"{kind}/{file}"])
            headline = headline_from(*(folder / kind for kind in ("evaluation", "findings", "dataset")))
        except KeyError as error:
            log.warning("the run %s is shown without its scores: %s is missing", name, error.args[0])
            return record
        except ArtifactError as error:
            log.warning("the run %s is shown without its scores: %s", name, error)
            return record
        return record.model_copy(update={"headline": headline})

    def _newest(self, name: str, run: _Run, kind: str) -> Manifest | None:
        """The manifest of the artifact that was made last, whose files are then the run's; None if none is whole."""
        newest: Manifest | None = None
        for files in run.folders.get(kind, {}).values():
            if MANIFEST not in files:
                continue
            path = self._bring(name, f"{kind}/{MANIFEST}.seen", files[MANIFEST])
            try:
                manifest = read_manifest(path, producer=_FOLDERS[kind])
            except ArtifactError as error:
                log.warning("%s", error)
                continue
            if newest is None or manifest.created_at > newest.created_at:
                newest = manifest
                run.keys |= {f"{kind}/{file}": key for file, key in files.items()}
                path.replace(path.with_name(MANIFEST))
        return newest

    def _files(self, name: str, manifests: Mapping[str, Manifest]) -> dict[str, FileRecord]:
        files = {}
        for kind, manifest in manifests.items():
            path = self._folder / name / kind / MANIFEST
            files[f"{kind}/{MANIFEST}"] = FileRecord(sha256=sha256_of(path), size=path.stat().st_size)
            files |= {f"{kind}/{file}": each for file, each in manifest.files.items()}
        return {file: each for file, each in files.items() if file in self._runs[name].keys}

    def _bring(self, name: str, file: str, key: str) -> Path:
        path = contained(self._folder / name, file)
        self._store.download(key, path)
        return path


def _path(store: Store, key: str) -> str:
    """A key with the store's prefix before it, since that may name the run."""
    return f"{split_uri(store.uri)[1]}/{key}"
