"""Two to eight runs side by side: what differs in their settings, how good each is, and which of two is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_core.config.base import dotted
from model_core.errors import UserError, shown
from model_core.evaluation.paired import Paired, paired
from model_core.evaluation.verdict import skill_words
from model_core.results.headline import Headline
from model_core.results.record import JsonObject
from model_core.results.run import SUCCEEDED, RunRecord
from model_core.results.skill import Comparison
from pipelines.review.listing import run_as_json
from pipelines.runs import find_run, headline_in

MOST_RUNS = 8
"""Most runs in one comparison."""
_COLUMN, _WIDEST = 24, 40
"""Characters of a column in the terminal, at least, and at most unless a run's name is longer."""


@dataclass(frozen=True)
class Compared:
    """Runs in the order in which they were named."""

    runs: tuple[RunRecord, ...]
    headlines: tuple[Headline | None, ...]
    """None for a run that did not succeed."""
    settings: dict[str, tuple[object, ...]]
    """Dotted name → value in each run, of the settings that differ."""
    warnings: tuple[str, ...]
    """Why errors are not comparable."""
    pairs: dict[str, Paired]
    """Name of each later run → the first run against it."""


def compared(runs: Path, names: Sequence[str]) -> Compared:
    """Read and compare runs.

    Args:
        runs: the folder of runs.
        names: 2 to ``MOST_RUNS`` of them; the first is compared with each of the others.

    Raises:
        ArtifactError: a record or an artifact is damaged.
        UserError: there are too few or too many of them, one is named twice, or one does not exist.
    """
    if not 2 <= len(names) <= MOST_RUNS:
        raise UserError(
            f"compare takes 2 to {MOST_RUNS} runs; give {'at least two' if len(names) < 2 else 'fewer'}"
        )
    if len(set(names)) < len(names):
        raise UserError("a run is named twice; name each once")
    found = tuple(find_run(runs, name) for name in names)
    headlines = tuple(headline_in(runs, record) for record in found)
    return Compared(
        found, headlines, differing(found), tuple(_warnings(found, headlines)), _pairs(runs, found, headlines)
    )


def differing(found: Sequence[RunRecord]) -> dict[str, tuple[object, ...]]:
    """Settings by dotted name, and the market table, where runs differ: name → value in each run."""
    flat = [{"source": record.source, **dotted(record.settings)} for record in found]
    keys = sorted(set().union(*flat))
    rows = {key: tuple(settings.get(key) for settings in flat) for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def _warnings(found: Sequence[RunRecord], headlines: Sequence[Headline | None]) -> list[str]:
    done = [(record.name, row) for record, row in zip(found, headlines, strict=True) if row is not None]
    said = []
    for what, told in (
        ("the market tables differ", {name: row.source_sha256[:12] for name, row in done}),
        (
            "the test windows differ",
            {
                name: f"{row.windows} from {row.first_date} to {row.last_date}, {row.pred_len} days"
                for name, row in done
            },
        ),
    ):
        if len(set(told.values())) > 1:
            rows = "; ".join(f"{name}: {text}" for name, text in told.items())
            said.append(f"{what}, so errors are not comparable ({rows})")
    return said


def _pairs(runs: Path, found: Sequence[RunRecord], headlines: Sequence[Headline | None]) -> dict[str, Paired]:
    folders = [
        record.artifact(runs, "evaluation") if record.status == SUCCEEDED else None for record in found
    ]
    first, confidence = folders[0], headlines[0].confidence if headlines[0] else None
    pairs = {}
    for record, folder in zip(found[1:], folders[1:], strict=True):
        there = [each for each in (first, folder) if each is not None and each.exists()]
        if len(there) < 2 or confidence is None:
            pairs[record.name] = Paired(0, None, None, "one of them left no predictions")
        else:
            pairs[record.name] = paired(there[0], there[1], confidence)
    return pairs


def comparison_text(result: Compared) -> str:
    """The comparison as text for the terminal."""
    rows: list[tuple[str, Sequence[object]]] = [
        ("", [record.name for record in result.runs]),
        ("state", [record.status for record in result.runs]),
    ]
    if any(record.failed_step for record in result.runs):
        rows.append(("at", [record.failed_step or "" for record in result.runs]))
    rows += result.settings.items()
    if len({record.code_version for record in result.runs}) > 1:
        rows.append(("code", [record.code_version for record in result.runs]))
    rows += score_rows(result.headlines)
    lines = [f"warning: {text}" for text in result.warnings] + _aligned(rows)
    if not result.settings:
        lines.append("the settings are the same")
    for record in result.runs:
        if record.status != SUCCEEDED and record.reason:
            lines.append(f"{record.name}: {record.reason}")
    first = result.runs[0].name
    lines += [
        sentence for name, pair in result.pairs.items() for sentence in pair_sentences(first, name, pair)
    ]
    return "\n".join(map(shown, lines))


def _aligned(rows: Sequence[tuple[str, Sequence[object]]]) -> list[str]:
    """Lines with aligned columns; a value that is wider than its column moves its own line only."""
    names = [len(str(name)) for name in rows[0][1]]
    fitting = [size for _, values in rows for value in values if (size := len(str(value))) <= _WIDEST]
    width = max(_COLUMN, *names, *fitting)
    return ["  ".join([f"{what:40}", *(f"{value!s:>{width}}" for value in values)]) for what, values in rows]


def score_rows(headlines: Sequence[Headline | None]) -> list[tuple[str, list[str]]]:
    """Rows of errors, skills and verdicts: a title, and a text for each run; none if no run has a headline."""
    if not any(headlines):
        return []
    rows = {
        "MAE log": [f"{row.mae_log:.6f}" if row else "" for row in headlines],
        "point forecast": [row.outcome if row else "" for row in headlines],
        "skill of the point forecast": [skill_words(row.skill) if row else "" for row in headlines],
        "best baseline": [row.best_baseline if row else "" for row in headlines],
        "distribution of Close": [(row.crps_outcome or "–") if row else "" for row in headlines],
        "skill of the distribution of Close": [
            skill_words(row.crps_skill) if row else "" for row in headlines
        ],
        "fragile": [f"{len(row.fragile)} of {row.perturbations}" if row else "" for row in headlines],
    }
    return list(rows.items())


def pair_sentences(first: str, second: str, pair: Paired) -> list[str]:
    """Which of two runs is better, in words."""
    if pair.point is None:
        return [f"{first} and {second} cannot be paired: {pair.reason}."]
    said = [_pair_sentence(first, second, "point forecast", "squared log error", pair.point, pair.windows)]
    if pair.distribution is not None:
        loss = "pinball loss at 5, 25, 75 and 95 %"
        said.append(
            _pair_sentence(first, second, "distribution of Close", loss, pair.distribution, pair.windows)
        )
    return said


def _pair_sentence(first: str, second: str, what: str, loss: str, row: Comparison, windows: int) -> str:
    if row.skill == row.low == row.high == 0:
        same = f"The {what} of {first} has the same {loss} as that of {second}"
        return f"{same} in all {windows:,} windows that both scored."
    match row.outcome:
        case "better" | "worse":
            said = f"The {what} of {first} is {row.outcome} than that of {second}"
        case "no evidence either way":
            said = f"There is no evidence that the {what} of {first} differs from that of {second}"
        case _:
            return f"There is no verdict on the {what} of {first} and {second}: {row.reason}."
    return f"{said}: skill {skill_words(row)} in {loss}, on {windows:,} windows that both scored."


def comparison_as_json(runs: Path, result: Compared) -> JsonObject:
    """The comparison as JSON, for programs."""

    def pair(row: Paired) -> JsonObject:
        point, distribution = (
            None if each is None else each.model_dump(mode="json") for each in (row.point, row.distribution)
        )
        return {"windows": row.windows, "reason": row.reason, "point": point, "distribution": distribution}

    return {
        "runs": [run_as_json(runs, record) for record in result.runs],
        "differing_settings": {key: list(values) for key, values in result.settings.items()},
        "warnings": list(result.warnings),
        "first_against": {name: pair(row) for name, row in result.pairs.items()},
    }
