"""The pages of a site of runs, as text: readable without scripts, and every value escaped."""

import base64
import hashlib
import shlex
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined

from model_core.config.base import dotted
from model_core.evaluation.verdict import percent, signed, skill_words
from model_core.progress import duration
from model_core.publishing.record import ListedFile
from model_core.results.headline import Headline
from model_core.results.skill import SkillInterval
from pipelines.review.comparison import Compared, pair_sentences, score_rows
from pipelines.site.drawing import bar
from pipelines.site.figures import Figure
from pipelines.site.rows import Row, by_configuration, differing

_REACH = 0.2
"""Largest skill on the axis of the bars, of either sign; a bar is cut off there."""
_COLUMNS = ("name", "started", "state", "skill", "CRPS skill", "fragile", "duration")
_TOLD: Mapping[str, Callable[[Row], str]] = {
    "source": lambda row: row.source,
    "table": lambda row: row.headline.source_sha256[:12] if row.headline else "",
}
"""Columns beside those of settings that are left out where all runs say the same."""
_NO_SCRIPT = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def index_page(rows: Sequence[Row], comparisons: Sequence[tuple[str, str]]) -> str:
    """All runs in one table.

    Args:
        rows: newest first.
        comparisons: name and title of each page that compares runs.
    """
    told = [key for key, value_of in _TOLD.items() if len({value_of(row) for row in rows} - {""}) > 1]
    keys = told + differing(list(rows))
    headlines = [row.headline for row in rows if row.headline is not None]
    reach = _reach(headlines)
    script = _text("index.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _rendered(
        "index",
        policy=f"{_NO_SCRIPT}; script-src 'sha256-{digest}'",
        script=script,
        rows=[_index_row(row, keys, reach) for row in rows],
        columns=[*_COLUMNS, *keys],
        groups=[_group(group) for group in by_configuration(list(rows))],
        reach=f"{100 * reach:g}",
        confidence=" or ".join(sorted({f"{100 * row.confidence:g} %" for row in headlines})) or "95 %",
        comparisons=comparisons,
    )


def run_page(
    row: Row,
    settings: Mapping[str, object],
    files: Sequence[ListedFile],
    provenance: Sequence[tuple[str, str]],
    figures: Sequence[Figure],
    undrawn: str,
    *,
    has_report: bool,
    uri: str | None = None,
) -> str:
    """One run: what it is worth, how its training went, where it came from, and its files.

    Args:
        provenance: rows of a table, title and text.
        undrawn: why there are no figures; empty if nothing is wrong.
        uri: of the store that keeps its files; None if they lie on the machine that makes the page.
    """
    where = [] if uri is None else ["--runs", uri]
    scores = (
        [] if row.headline is None else [(what, values[0]) for what, values in score_rows([row.headline])]
    )
    if row.headline is not None:
        windows = f"{row.headline.windows}, {row.headline.first_date} … {row.headline.last_date}"
        scores += [
            ("test windows", windows),
            ("invariants that failed", ", ".join(row.headline.broken) or "none"),
        ]
    return _rendered(
        "run",
        policy=_NO_SCRIPT,
        script="",
        row=row,
        state=state_of(row),
        scores=scores,
        provenance=provenance,
        settings=dotted(settings),
        files=files,
        figures=figures,
        undrawn=undrawn,
        has_report=has_report,
        download=_command("download", row.name, "FOLDER", *where),
        opened=_command("open", row.name, *where) if uri is not None and _has_report(files) else "",
    )


def compare_page(result: Compared, figures: Sequence[Figure]) -> str:
    """Runs side by side, with their curves over one another."""
    names = [record.name for record in result.runs]
    said = [text for other, pair in result.pairs.items() for text in pair_sentences(names[0], other, pair)]
    states = [
        f"{record.status} at {record.failed_step}" if record.failed_step else record.status
        for record in result.runs
    ]
    return _rendered(
        "compare",
        policy=_NO_SCRIPT,
        script="",
        names=names,
        warnings=result.warnings,
        sentences=said,
        scores=[("state", states), *score_rows(result.headlines)],
        settings=list(result.settings.items()),
        figures=figures,
    )


def _command(*words: str) -> str:
    return shlex.join(["python", "-m", "pipelines", "runs", *words])


def _has_report(files: Sequence[ListedFile]) -> bool:
    return any(file.name == "report.html" for file in files)


def state_of(row: Row) -> str:
    """A run's state in words, with the step at which it ended early."""
    if row.damaged:
        return "damaged"
    return f"{row.status} at {row.failed_step}" if row.failed_step else row.status


def _index_row(row: Row, keys: Sequence[str], reach: float) -> dict[str, object]:
    found = row.headline
    skill, crps = (found.skill, found.crps_skill) if found else (None, None)
    fragile = f"{len(found.fragile)} of {found.perturbations}" if found else ""
    return {
        "name": row.name,
        "started_at": row.started_at,
        "started": row.started_at[:16].replace("T", " "),
        "status": "damaged" if row.damaged else row.status,
        "state": state_of(row),
        "skill": skill_words(skill) if skill else "",
        "skill_value": _value(skill),
        "skill_bar": bar(skill, reach),
        "crps": skill_words(crps) if crps else "",
        "crps_value": _value(crps),
        "crps_bar": bar(crps, reach),
        "fragile": f"{fragile}, INVARIANT FAILED" if found and found.broken else fragile,
        "fragile_value": "" if found is None else len(found.fragile),
        "seconds": "" if row.seconds is None else duration(row.seconds),
        "seconds_value": "" if row.seconds is None else row.seconds,
        "others": [_TOLD[key](row) if key in _TOLD else row.setting(key) for key in keys],
    }


def _group(group: Sequence[Row]) -> dict[str, object]:
    found = [row.headline for row in group if row.headline is not None]
    return {
        "names": [row.name for row in group],
        "seeds": len({row.seed for row in group}),
        "skill": _mean_and_spread([row.skill for row in found]),
        "crps": _mean_and_spread([row.crps_skill for row in found]),
    }


def _mean_and_spread(rows: Sequence[SkillInterval | None]) -> str:
    skills = [row.skill for row in rows if row is not None and row.skill is not None]
    if len(skills) < 2:
        return "–"
    return f"{signed(statistics.mean(skills))} ± {percent(statistics.stdev(skills))}"


def _value(row: SkillInterval | None) -> object:
    return "" if row is None or row.skill is None else row.skill


def _reach(headlines: Sequence[Headline]) -> float:
    """The largest skill on the axis of the bars: the end of the widest interval, in steps of 5 %, up to ``_REACH``."""
    rows = [row for found in headlines for row in (found.skill, found.crps_skill) if row is not None]
    ends = [abs(end) for row in rows for end in (row.low, row.high) if end is not None]
    return min(_REACH, max([0.05, *(round(end * 20 + 0.5) / 20 for end in ends)]))


@cache
def _environment() -> Environment:
    names = ("frame", "index", "run", "compare")
    templates = {name: _text(f"{name}.html.j2") for name in names}
    return Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _text(name: str) -> str:
    return resources.files("pipelines.site").joinpath(name).read_text(encoding="utf-8")


def _rendered(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values) + "\n"
