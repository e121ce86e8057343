"""Help with examples that work, one name for the command, and words that a command does not know."""

import importlib
import os
import shlex
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from components.arguments import EXAMPLES
from components.steps import ALL_STEPS
from components.train.__main__ import main as train
from docs.generate.commands import _parsers_of_pipelines
from pipelines.__main__ import SCRIPT
from pipelines.__main__ import main as pipelines

ROOT = Path(__file__).parents[2]

BROKEN = ["--set", "data.splits={kind:", "tail}"]
HINT = "a setting with blanks needs quotes: --set 'data.splits={kind: tail}'"


def refused(command: Callable[..., object], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        command(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["compile"],
        ["submit", "--host", "https://kubeflow.example"],
        ["runs list"],
        ["store"],
    ],
)
def test_an_unknown_option_shows_the_usage_of_the_subcommand(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(pipelines, [*words[0].split(), *words[1:], "--sorce=x"], capsys)
    assert told.startswith(f"usage: python -m pipelines {words[0]} ")
    assert told.endswith(f"python -m pipelines {words[0]}: error: unrecognized arguments: --sorce=x\n")


def test_a_setting_that_the_shell_broke_at_its_blanks_is_shown_with_quotes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["run", *BROKEN], ["compile", *BROKEN]):
        assert refused(pipelines, words, capsys).endswith(f"unrecognized arguments: tail}} ({HINT})\n")
    needed = ["--dataset", "a", "--model", "b"]
    assert refused(train, [*BROKEN, *needed], capsys).endswith(f"unrecognized arguments: tail}} ({HINT})\n")


def test_other_unknown_words_get_no_such_hint(capsys: pytest.CaptureFixture[str]) -> None:
    whole = ["run", "--set", "data.splits={kind: tail}", "more"]
    assert refused(pipelines, whole, capsys).endswith("error: unrecognized arguments: more\n")


def parsers() -> list[ArgumentParser]:
    steps = [importlib.import_module(f"components.{step}.__main__").step_parser() for step in ALL_STEPS]
    return [*_parsers_of_pipelines(), *steps]


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.prog)
def test_every_help_ends_with_examples_that_the_command_understands(parser: ArgumentParser) -> None:
    _, heading, lines = parser.format_help().partition(EXAMPLES)
    assert heading
    for line in lines.strip().splitlines():
        command = line.partition(" | ")[0].strip()
        assert command.startswith(parser.prog)
        parser.parse_args(shlex.split(command.removeprefix(parser.prog)))


def test_the_console_script_is_the_same_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert EntryPoint(SCRIPT, scripts[SCRIPT], "console_scripts").load() is pipelines


def test_a_usage_shows_the_name_under_which_the_command_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pgat"])
    assert refused(pipelines, ["runs", "show"], capsys).startswith("usage: pgat runs show ")


def test_the_version_names_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    from model_core.artifacts import code_version

    with pytest.raises(SystemExit) as ended:
        pipelines(["--version"])
    assert ended.value.code == 0
    assert f"(code {code_version()}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["pipelines", "runs", "list", "--runs", "docs"],
        ["components.prepare_data", "--source", "sample://synthetic", "--inspect"],
    ],
)
def test_a_reader_who_has_read_enough_ends_a_command_quietly(words: list[str]) -> None:
    """As ``| head`` does: the pipe is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
