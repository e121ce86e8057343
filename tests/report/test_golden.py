"""The scores and the page of fixed numbers are those of yesterday. ``make golden`` rewrites them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from model_core.config.run import ReportSettings
from model_core.report.page import render_page, render_summary
from model_core.results.record import VERSION_FIELD, write_result
from model_core.results.scores import Scores
from tests.conftest import GOLDEN
from tests.report.synthetic import evidence, scored

RELATIVE = 1e-9
"""Of scores: sums in another order change the fifteenth digit, and a change of any formula far more."""
FITTED_RELATIVE = 1e-3
"""Of what the fitted GARCH says: its optimizer takes differences of a likelihood whose last digits depend on the
processor, which moved what it finds by a hundred-thousandth where sums were made in an older processor's way."""
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
LAST_DIGITS = 2
"""Units of the last digit of a number on the page, which another rounding may move by one."""
SVG_ID = re.compile(r"(?<=-)[mpCD][0-9a-f_]{6,}")


def rounded(value: object) -> object:
    match value:
        case float():
            return float(f"{value:.12g}")
        case dict():
            return {name: rounded(inner) for name, inner in value.items()}
        case list():
            return [rounded(inner) for inner in value]
        case _:
            return value


def leaves(value: object, place: str = "") -> dict[str, object]:
    """Every number and word of a JSON value, by its place."""
    if not isinstance(value, dict | list):
        return {place: value}
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for name, part in inner for k, v in leaves(part, f"{place}.{name}").items()}


def test_the_scores_of_golden_forecasts_are_the_golden_ones(
    golden: Callable[[str, str], str], tmp_path: Path
) -> None:
    write_result(tmp_path, scored())
    content = json.loads((tmp_path / Scores.file).read_text(encoding="utf-8"))
    text = json.dumps(rounded(content), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    expected = leaves(json.loads(golden("scores.json", text)))
    found = leaves(content)
    assert content[VERSION_FIELD] == Scores.version
    assert found.keys() == expected.keys()
    for place, value in found.items():
        if isinstance(value, float):
            relative = FITTED_RELATIVE if ".garch" in place else RELATIVE
            assert value == pytest.approx(expected[place], rel=relative, abs=1e-13), place
        else:
            assert value == expected[place], place


@pytest.mark.parametrize("name", ["report.html", "summary.md"])
def test_the_page_of_golden_scores_is_the_golden_one(name: str, golden: Callable[[str, str], str]) -> None:
    run = evidence(GOLDEN)
    if name == "report.html":
        text = render_page(run, ReportSettings(example_windows=1), "golden")
    else:
        text = render_summary(run, "golden")
    expected = golden(name, text)
    assert NUMBER.sub("#", in_order(text)) == NUMBER.sub("#", in_order(expected))
    pairs = zip(NUMBER.findall(in_order(text)), NUMBER.findall(in_order(expected)), strict=True)
    assert [(found, wanted) for found, wanted in pairs if not equal_as_shown(found, wanted)] == []


def equal_as_shown(found: str, wanted: str) -> bool:
    """Whether two numbers differ by their last digits at most."""
    mantissa, _, exponent = wanted.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(found) - float(wanted)) <= LAST_DIGITS * 1.001 * unit


def in_order(page: str) -> str:
    """The page with the ids of shapes, which are hashes of their last bits, numbered instead."""
    ids = {name: f"id{place}" for place, name in enumerate(dict.fromkeys(SVG_ID.findall(page)))}
    return SVG_ID.sub(lambda match: ids[match[0]], page)
