"""Makes a folder of pages from a folder of runs; pages that would not change are left as they are."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from model_core.disk import require_folder
from model_core.errors import ArtifactError, UserError
from model_core.publishing.record import ListedFile
from model_core.results.run import SUCCEEDED, RunRecord
from pipelines.review.comparison import Compared, compared
from pipelines.review.files import files_of
from pipelines.review.remote import Stamped
from pipelines.review.wanted import COMPARED, COURSE, Wanted
from pipelines.runs import find_run, require_runs
from pipelines.site.figures import Figure, compare_figures, run_figures
from pipelines.site.pages import compare_page, index_page, run_page
from pipelines.site.rows import KEPT, Row, rows_of

log = logging.getLogger("pgat.runs")
INDEX = "index.html"
_COMPARE, _RUN = "compare", "run"
Fetch = Callable[[Sequence[str], Wanted], None]
"""Fetches the wanted files of some runs, by name."""


def build_site(
    runs: Path,
    out: Path,
    comparisons: Sequence[Sequence[str]] = (),
    *,
    fetch: Fetch = lambda names, wanted: None,
    uri: str | None = None,
    stamped: Sequence[Stamped] | None = None,
) -> int:
    """Write the site of all runs to ``out``; returns how many runs are new or changed since it was last built.

    Args:
        runs: the folder of runs.
        comparisons: names of 2 to 8 runs each; the pages of earlier calls stay, and are made again when a run changed.
        fetch: called before files of runs are read.
        uri: of the store that ``runs`` stands in for; its reports stay there.
        stamped: the runs of that store; None for those that lie in ``runs``.

    Raises:
        ArtifactError: a run that is to be compared is damaged, or the folder cannot be written.
        UserError: there is no folder of runs, no such run, or ``out`` holds something else.
    """
    require_runs(runs)
    asked = {_page_name(names): _compared(runs, names, fetch) for names in comparisons}
    out = require_folder(out, "folder for the site")
    if any(out.iterdir()) and not (out / KEPT).exists():
        raise UserError(f"{out} holds files other than a site of runs; choose another folder")
    rows, changed = rows_of(runs, out, stamped)
    wanted = {_page_name(names): list(names) for names in [*_earlier(out), *comparisons]}
    known = {row.name for row in rows}
    for name in changed - known:
        shutil.rmtree(out / _RUN / name, ignore_errors=True)
    stale = [row for row in rows if row.name in changed or not (out / _RUN / row.name / INDEX).exists()]
    _fetch_courses([row.name for row in stale if row.status == SUCCEEDED], fetch, stamped or ())
    for row in stale:
        _write_run(runs, out, row, uri)
    told = []
    for page, names in sorted(wanted.items()):
        path = out / _COMPARE / f"{page}.html"
        if not set(names) <= known:
            path.unlink(missing_ok=True)  # one of them was deleted
            continue
        if page in asked or not path.exists() or changed & set(names):
            result = asked.get(page) or _compared(runs, names, fetch)
            _write(path, compare_page(result, compare_figures(runs, result)).encode())
        told.append((page, ", ".join(names)))
    _write(out / INDEX, index_page(rows, told).encode())
    return len(changed & known)


def _fetch_courses(names: Sequence[str], fetch: Fetch, stamped: Sequence[Stamped]) -> None:
    """Fetch how each training went; a run that is damaged is named in a warning, and stops none of the others."""
    try:
        fetch(names, COURSE)
        return
    except ArtifactError:
        leave = {each.name: each.leave for each in stamped}
    for name in names:
        try:
            fetch([name], COURSE)
        except ArtifactError as error:
            log.warning("%s", error)
            leave[name]()


def _compared(runs: Path, names: Sequence[str], fetch: Fetch) -> Compared:
    fetch(names, (*COMPARED, *COURSE))
    return compared(runs, names)


def _write_run(runs: Path, out: Path, row: Row, uri: str | None) -> None:
    record = find_run(runs, row.name)
    folder = out / _RUN / row.name
    try:
        files: list[ListedFile] = files_of(runs, record)
    except ArtifactError as error:
        row, files = row.model_copy(update={"damaged": str(error)}), []
    report = runs / row.name / "report.html"
    content = None
    try:
        if report.is_file() and not report.is_symlink():
            content = report.read_bytes()
    except OSError as error:
        row = row.model_copy(update={"damaged": f"{report} cannot be read ({error.strerror})"})
    if content is not None:
        _write(folder / "report.html", content)
    figures, undrawn = _figures(runs, record)
    undrawn = undrawn.replace(str(runs), uri or str(runs))
    page = run_page(
        row,
        record.settings,
        files,
        _provenance(record),
        figures,
        undrawn,
        has_report=content is not None,
        uri=uri,
    )
    _write(folder / INDEX, page.encode())


def _figures(runs: Path, record: RunRecord) -> tuple[list[Figure], str]:
    """How the training went, or why that cannot be drawn."""
    try:
        return run_figures(runs, record), ""
    except ArtifactError as error:
        return [], str(error)


def _provenance(record: RunRecord) -> list[tuple[str, str]]:
    rows = [
        ("market table", record.source),
        ("started", record.started_at),
        ("machine", record.host or ""),
        ("code", record.code_version),
        ("commit", record.git_commit or ""),
    ]
    rows += [(f"{step}, s", f"{seconds:.1f}") for step, seconds in record.step_seconds.items()]
    rows += [("reused", ", ".join(record.reused))] if record.reused else []
    return rows + [
        (f"try of {each.started_at}", f"{each.status} at {each.failed_step}") for each in record.attempts
    ]


def _page_name(names: Sequence[str]) -> str:
    """Runs' names never contain ``+``."""
    return "+".join(names)


def _earlier(out: Path) -> list[list[str]]:
    return [path.stem.split("+") for path in sorted((out / _COMPARE).glob("*.html"))]


def _write(path: Path, content: bytes) -> None:
    """Write whole or not at all, and not at all if the file holds the same already.

    Raises:
        ArtifactError: the file cannot be written.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_bytes(content)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot write {path} ({error.strerror}); choose another folder") from error
