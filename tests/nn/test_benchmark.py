"""The benchmark of a training step prints what it promises, for this model and for any other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import main as compare
from benchmarks.train_step import main

ROOT = Path(__file__).parent.parent.parent
SMALL = [
    "model.d_model=26", "model.n_heads=2", "model.e_layers=1", "model.d_layers=1", "model.d_ff=16",
    "model.celestial_dim=4", "model.celestial_fusion_layers=1",
]  # fmt: skip
PROMISED = {
    "case", "config", "batch_size", "seq_len", "device", "seconds_per_step", "samples_per_second", "peak_mb",
    "parameters", "parameters_without_gradient",
}  # fmt: skip
PEER = '''"""A linear peer: the last prices and nothing else."""

from torch import nn

NOT_CALLABLE = 7


class Peer(nn.Module):
    def __init__(self, horizon):
        super().__init__()
        self.horizon = horizon
        self.linear = nn.Linear(4, 4 * horizon)

    def forward(self, window):
        return self.linear(window.past_waves[:, -1, :4]).unflatten(1, (self.horizon, 4))


def build(settings, inputs):
    return Peer(inputs.window.pred_len)
'''


SETTINGS = [word for setting in SMALL for word in ("--set", setting)]
ONE_STEP = ["--steps", "1", "--batch", "2", *SETTINGS]


@pytest.fixture(autouse=True)
def _peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``peer.py`` is on the path, and settings files are where the command expects them."""
    (tmp_path / "peer.py").write_text(PEER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(ROOT)


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    main([*ONE_STEP, *words])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def assert_holds_what_was_promised(case: dict[str, Any]) -> None:
    assert set(case) >= PROMISED
    assert (case["case"], case["batch_size"], case["device"]) == ("train_step", 2, "cpu")
    assert case["samples_per_second"] == pytest.approx(2 / case["seconds_per_step"], rel=0.2)
    assert case["parameters"] > 0
    assert case["parameters_without_gradient"] == 0


def test_the_command_prints_one_line_for_each_window_length() -> None:
    ended = subprocess.run(
        [sys.executable, "benchmarks/train_step.py", *ONE_STEP, "--seq-len", "16", "24"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    cases = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [case["seq_len"] for case in cases] == [16, 24]
    for case in cases:
        assert_holds_what_was_promised(case)


def test_every_part_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    whole, *parts = lines(capsys, "--seq-len", "16", "--parts")
    assert_holds_what_was_promised(whole)
    expected = {"processor", "edge_sources", "combiner", "encoding", "interaction", "decoder.0", "head"}
    assert expected <= {line["part"] for line in parts}
    assert {line["case"] for line in parts} == {"part_forward"}
    assert whole["parameters"] > max(line["parameters"] for line in parts)


def test_another_model_is_timed_on_the_same_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    (case,) = lines(capsys, "--seq-len", "16", "--model", "peer:build")
    assert set(case) >= PROMISED
    assert case["model"] == "peer:build"
    assert case["parameters"] == (4 + 1) * 4 * 10
    assert case["parameters_without_gradient"] == 0


def test_a_peer_is_compared_with_this_model_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    compare([*ONE_STEP, "--seq-len", "16", "--peer", "peer:build"])
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    seconds = line["seconds_per_step_median"]
    assert line["peer_over_ours"] == pytest.approx(seconds["peer"] / seconds["ours"], rel=0.2)
    assert line["parameters"]["peer"] == (4 + 1) * 4 * 10
    with pytest.raises(SystemExit) as ended:
        compare([*ONE_STEP, "--peer", "peer:buidl"])
    assert ended.value.code == 2
    assert "--peer peer:buidl cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "peer:buidl"], "--model peer:buidl cannot be loaded"),
        (["--model", "nowhere:build"], "--model nowhere:build cannot be loaded"),
        (["--model", "peer:NOT_CALLABLE"], "--model peer:NOT_CALLABLE is not callable"),
        (["--seq-len", "15"], "data.window.seq_len is 15"),
        (["--device", "abacus"], "--device abacus is not a device"),
        (["--config", "nowhere.yaml"], "settings file nowhere.yaml does not exist"),
    ],
    ids=["attribute", "module", "not callable", "short window", "device", "settings"],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*ONE_STEP, *words])
    assert end.value.code == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {sentence}")
    assert not printed.out


def test_no_steps_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--steps", "0"])
    assert end.value.code == 2
    assert "0 is not a whole number of at least 1" in capsys.readouterr().err
