"""Whatever bytes a reader is given, it reads them or refuses them in one short sentence: what a report is made from."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_core.artifacts import sha256_of
from model_core.config.run import ReportSettings
from model_core.report.evidence import read_evidence
from model_core.report.page import render_page
from tests.evaluation.small_run import small_run
from tests.security.fuzzing import (
    changed,
    fuzzed,
    json_values,
    places,
    read_or_refused,
    unsigned,
    written,
)

REPORTED = {
    "results.json": ("model", "train"),
    "scores.json": ("evaluation", "evaluate"),
    "explanation.json": ("evaluation", "evaluate"),
    "findings.json": ("findings", "diagnose"),
    "quality.json": ("dataset", "prepare_data"),
    "splits.json": ("dataset", "prepare_data"),
    "scaler.json": ("dataset", "prepare_data"),
}


@pytest.fixture(scope="module")
def run(place: Path) -> dict[str, Path]:
    """A copy of a small real run."""
    return {name: Path(shutil.copytree(path, place / "run" / name)) for name, path in small_run().items()}


def vouch(run: dict[str, Path]) -> None:
    """Make every manifest fit the files and the inputs as they are now."""
    for folder in run.values():
        path = folder / "manifest.json"
        manifest = unsigned(json.loads(path.read_bytes()))
        for name in manifest["files"]:
            file = folder / name
            manifest["files"][name] = {"sha256": sha256_of(file), "size": file.stat().st_size}
        manifest["inputs"] = {name: sha256_of(run[name] / "manifest.json") for name in manifest["inputs"]}
        written(path, manifest)


@pytest.mark.slow
def test_a_run_whose_manifests_were_made_to_fit_is_shown(run: dict[str, Path]) -> None:
    """What the next test changes gets past the hashes."""
    vouch(run)
    assert render_page(read_evidence(**run), ReportSettings(example_windows=1), "a")


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTED)
def test_any_values_in_a_file_of_a_run_are_shown_or_refused(run: dict[str, Path], name: str) -> None:
    """With a manifest that fits: whoever can write to a store can write that, too."""
    folder = run[REPORTED[name][0]]
    original = (folder / name).read_bytes()
    tree = json.loads(original)
    drawn = list(places(tree))

    @fuzzed(6)
    @given(place=st.sampled_from(drawn), value=json_values, remove=st.booleans())
    def shown_or_refused(place: tuple[str | int, ...], value: Any, remove: bool) -> None:
        written(folder / name, changed(tree, place, value, remove))
        vouch(run)
        read_or_refused(lambda: render_page(read_evidence(**run), ReportSettings(example_windows=1), "a"))

    try:
        shown_or_refused()
    finally:
        (folder / name).write_bytes(original)
