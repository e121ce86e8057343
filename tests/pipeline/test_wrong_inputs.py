"""Each step, given something else than it needs, ends with exit code 2 and one sentence with what to give instead.

Every input of every step is tried with everything that a person may give by mistake, the other inputs being right.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.diagnose.__main__ import main as diagnose
from components.evaluate.__main__ import main as evaluate
from components.prepare_data.__main__ import main as prepare_data
from components.report.__main__ import main as report
from components.train.__main__ import main as train
from model_core.artifacts import MANIFEST
from tests.data.test_field_tables import advice
from tests.evaluation.small_run import small_run

pytestmark = pytest.mark.slow
TINY = str(Path(__file__).parent / "tiny.yaml")
STEP_OF = {"dataset": "prepare_data", "model": "train", "evaluation": "evaluate", "findings": "diagnose"}
"""Input → the step that makes it."""
COMMANDS: dict[str, tuple[Callable[[list[str]], None], tuple[str, ...], dict[str, str]]] = {
    "train": (train, ("dataset",), {"model": "out"}),
    "evaluate": (evaluate, ("dataset", "model"), {"evaluation": "out"}),
    "diagnose": (diagnose, ("dataset", "model"), {"findings": "out"}),
    "report": (report, tuple(STEP_OF), {"report": "out.html", "summary": "out.md"}),
}
"""Step → its command, its inputs and its outputs."""


def copy_of(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(small_run()[name], folder / name))


def with_manifest(name: str, folder: Path, **changes: object) -> Path:
    """An artifact whose manifest says something else."""
    place = copy_of(name, folder)
    manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    (place / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")
    return place


def without_manifest(name: str, folder: Path) -> Path:
    place = copy_of(name, folder)
    (place / MANIFEST).unlink()
    return place


def unlike_its_manifest(name: str, folder: Path) -> Path:
    place = copy_of(name, folder)
    first = sorted(path for path in place.rglob("*") if path.is_file() and path.name != MANIFEST)[0]
    first.write_bytes(first.read_bytes() + b"\0")
    return place


def empty(name: str, folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def a_file(name: str, folder: Path) -> Path:
    (folder / "table.csv").write_text("Date,Open,High,Low,Close\n", encoding="utf-8")
    return folder / "table.csv"


def another_kind(name: str, folder: Path) -> Path:
    return small_run()["model" if name == "dataset" else "dataset"]


# what is given: (how it comes about, what the sentence says of it; {step} makes what was needed)
WRONG: dict[str, tuple[Callable[[str, Path], Path], str]] = {
    "nothing": (
        lambda name, folder: folder / "nowhere",
        "is not a folder; give the output folder of the {step} step",
    ),
    "a file": (a_file, "is not a folder; give the output folder of the {step} step"),
    "an empty folder": (empty, "has no manifest.json; give the output folder of a finished {step} step"),
    "a file in the folder": (
        lambda name, folder: small_run()[name] / MANIFEST,
        "is not a folder; give the output folder of the {step} step",
    ),
    "the folder above": (
        lambda name, folder: small_run()[name].parent,
        "has no manifest.json; give the output folder of a finished {step} step",
    ),
    "another artifact": (another_kind, "step; give the output folder of the {step} step"),
    "an unfinished folder": (
        without_manifest,
        "has no manifest.json; give the output folder of a finished {step} step",
    ),
    "a manifest of a later version": (
        lambda name, folder: with_manifest(name, folder, schema_version=99),
        "is not a manifest of version 1 or 2; run the {step} step again",
    ),
    "a manifest with other fields": (
        lambda name, folder: with_manifest(name, folder, color="red"),
        "is not a manifest of this version (1 wrong field); run the {step} step again",
    ),
    "an edited manifest": (
        lambda name, folder: with_manifest(name, folder, created_at="2001-01-01T00:00:00"),
        "was changed after it was written; run the {step} step again",
    ),
    "an edited file": (unlike_its_manifest, "was changed after it was written; run the {step} step again"),
}
CASES = [
    (step, name, wrong) for step, (_, inputs, _) in COMMANDS.items() for name in inputs for wrong in WRONG
]


@pytest.mark.parametrize(("step", "name", "wrong"), CASES)
def test_a_wrong_input_is_one_sentence_that_names_it_and_what_to_give(
    step: str, name: str, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, inputs, outputs = COMMANDS[step]
    made, said = WRONG[wrong]
    (tmp_path / "given").mkdir()
    given = made(name, tmp_path / "given")
    places = {one: small_run()[one] for one in inputs} | {name: given}
    there = tmp_path / "made"
    words = ["--config", TINY]
    for flag, place in {**places, **{flag: there / file for flag, file in outputs.items()}}.items():
        words += [f"--{flag}", str(place)]
    if step == "report":
        words += ["--run-name", "wrong"]
    with pytest.raises(SystemExit) as stop:
        command(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {given}")
    assert said.format(step=STEP_OF[name]) in error
    assert len(error) < 600
    assert not there.exists(), "nothing half-written"


@pytest.mark.parametrize("step", ["evaluate", "diagnose"])
@pytest.mark.parametrize(
    "window",
    [
        {"seq_len": 16, "label_len": 8, "pred_len": 5},
        {"seq_len": 24, "label_len": 8, "pred_len": 3},
        {"seq_len": 16, "label_len": 4, "pred_len": 3},
    ],
)
def test_a_dataset_of_other_windows_than_the_models_is_refused_and_the_remedy_works(
    step: str, window: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, _, outputs = COMMANDS[step]
    lengths = ", ".join(f"{name}: {length}" for name, length in window.items())
    dataset = ["--source", "sample://synthetic", "--config", TINY, "--dataset", str(tmp_path / "dataset")]
    prepare_data([*dataset, "--set", f"data.window={{{lengths}}}"])
    out = next(iter(outputs))
    words = ["--config", TINY, "--dataset", str(tmp_path / "dataset"), "--model", str(small_run()["model"])]
    words += [f"--{out}", str(tmp_path / "made")]
    with pytest.raises(SystemExit) as stop:
        command(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        "the model was trained on windows of 16 known days (label_len 8) and 3 forecast days in layout"
        in error
    )
    assert not (tmp_path / "made").exists()
    prepare_data([*dataset, *(word for setting in advice(error) for word in ("--set", setting))])
    command(words)
    assert (tmp_path / "made" / MANIFEST).exists()
