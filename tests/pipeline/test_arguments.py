"""Words that a command does not know: the usage of that command, and a hint where quotes are missing."""

from collections.abc import Callable

import pytest

from components.train.__main__ import main as train
from pipelines.__main__ import main as pipelines

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
        ["runs", "list"],
        ["store"],
    ],
)
def test_an_unknown_option_shows_the_usage_of_the_subcommand(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(pipelines, [*words, "--sorce=x"], capsys)
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
