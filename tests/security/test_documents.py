"""Whatever a settings file, an override or a JSON file holds: one short sentence, and never a traceback."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from model_core.artifacts import open_artifact, read_json
from model_core.config.load import load_settings
from model_core.documents import MAX_DEPTH, parse_json, parse_yaml
from model_core.errors import (
    QUOTED_CHARACTERS,
    TEXT_CHARACTERS,
    ArtifactError,
    PgatError,
    SettingsError,
    SourceError,
    printable,
    quoted,
)
from model_core.texts import DocumentError

MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)
)
ALIAS_BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
HOSTILE_YAML = {
    "deep lists": "training: " + "[" * 5_000,
    "deep mappings": "{a: " * 5_000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(400)),
    "a bomb of aliases": ALIAS_BOMB,
    "a bomb of merges": MERGE_BOMB,
    "a list within itself": "training: &a [*a]",
    "a number of 5,000 digits": "training: {seed: " + "9" * 5_000 + "}",
    "a number of 5,000 digits in base 16": "training: {seed: 0x" + "f" * 5_000 + "}",
    "digits that are none": "training: {seed: 0b_}",
    "a day that does not exist": "data: {holidays: [2020-13-45]}",
    "an object": "training: !!python/object/apply:os.system [true]",
    "a tag without its value": "training: {seed: !!int ''}",
    "a truth that is none": "training: {seed: !!bool maybe}",
    "half a character": 'report: {title: "\\uD800"}',
    "a null character": "report: {title: a\0b}",
    "a control character": 'report: {titel: "a", "\\e[2J": 1}',
    "a null as key": "null: 1",
    "a list as key": "? [a]\n: 1",
    "6,000 unknown settings": "".join(f"k{n}: 1\n" for n in range(6_000)),
    "a key of 60,000 letters": "a" * 60_000 + ": 1",
    "a value of 60,000 letters": "training: {seed: " + "a" * 60_000 + "}",
    "a file that is too large": '{"a": "' + "x" * 2**24 + '"}',
}


def sentence(error: PgatError) -> str:
    """The error's text, which must be one printable line that is not too long."""
    text = str(error)
    assert len(text) <= TEXT_CHARACTERS
    assert printable(text) == text
    text.encode("utf-8")
    return text


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML.keys())
def test_a_hostile_settings_file_is_refused_in_one_short_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    sentence(caught.value)


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML.keys())
def test_a_hostile_override_is_refused_in_one_short_sentence(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [f"training={text}"])
    sentence(caught.value)


def test_an_override_of_ten_thousand_names_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not a setting") as caught:
        load_settings(None, [".".join(["a"] * 10_000) + "=1"])
    sentence(caught.value)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/stdin", "pipe", ".", "loop", "a\0b", "x" * 5_000])
def test_a_file_extends_regular_files_only(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / "settings.yaml"
    path.write_text(f"extends: {json.dumps(place)}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    sentence(caught.value)


def test_a_long_chain_of_files_is_refused(tmp_path: Path) -> None:
    for n in range(2_000):
        (tmp_path / f"{n}.yaml").write_text(f"extends: {n + 1}.yaml\n")
    with pytest.raises(SettingsError, match="files that extend each other; merge some"):
        load_settings(tmp_path / "0.yaml")


HOSTILE_JSON = {
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep mappings": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "one level too deep": '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
    "a number of 5,000 digits": '{"a": ' + "9" * 5_000 + "}",
    "no number": '{"a": NaN}',
    "an infinity": '{"a": -Infinity}',
    "half a character": '{"a": "\\ud800"}',
    "half of it": '{"a": ',
    "another value": "[1]",
    "nothing": "",
    "a file that is too large": '{"a": "' + "x" * 2**24 + '"}',
}


@pytest.mark.parametrize("text", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_a_hostile_json_file_is_refused_in_one_short_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        read_json(path)
    sentence(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc", b'{"a": "\xed\xa0\x80"}'])
def test_json_that_is_no_unicode_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        read_json(tmp_path / "results.json")
    sentence(caught.value)


def test_a_manifest_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to("/dev/zero")
    with pytest.raises(ArtifactError, match="a device or a pipe"):
        open_artifact(tmp_path, producer="train")


def test_what_is_allowed_is_read() -> None:
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    assert parse_json(json.dumps(deepest)) == deepest
    assert parse_yaml("a: {b: [1, 2.5, 'x & y *z !']}\nc: Größe") == {
        "a": {"b": [1, 2.5, "x & y *z !"]},
        "c": "Größe",
    }
    assert parse_yaml("") is None


def test_the_largest_whole_number_has_64_bits() -> None:
    assert parse_json(str(2**63 - 1)) == parse_yaml(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(DocumentError, match="more than 64 bits"):
        parse_json(str(2**63))


def test_the_remedy_for_an_anchor_works() -> None:
    with pytest.raises(DocumentError, match=r"line 1, column 8: anchors .* put quotes around & and \*"):
        parse_yaml("title: *star")
    assert parse_yaml("title: '*star'") == {"title": "*star"}


@pytest.mark.parametrize(
    "value",
    [
        10**6_000,
        "x" * 10**6,
        ["y" * 1_000] * 10**5,
        {n: [n] * 100 for n in range(1_000)},
        b"z" * 10**6,
        float("nan"),
    ],
    ids=["integer", "text", "list", "mapping", "bytes", "nan"],
)
def test_a_quoted_value_is_a_few_words_however_large_it_is(value: object) -> None:
    assert 0 < len(quoted(value)) <= QUOTED_CHARACTERS


def test_a_value_that_unfolds_to_gigabytes_is_quoted_at_once() -> None:
    value: list[Any] = ["x"]
    for _ in range(40):
        value = [value] * 9
    assert len(quoted(value)) <= QUOTED_CHARACTERS


def test_no_error_steers_a_terminal_or_breaks_the_line() -> None:
    error = SourceError("a\x1b[2Jb\nc\u202ed\u2028e\udcff")
    assert str(error) == "a\\x1b[2Jb\\nc\\u202ed\\u2028e\\udcff"


def test_a_long_error_keeps_its_beginning_and_its_remedy() -> None:
    text = str(SourceError("prices.csv is refused: " + "\x00" * 10**6 + "; mend the table"))
    assert len(text) <= TEXT_CHARACTERS
    assert text.startswith("prices.csv is refused: ")
    assert text.endswith("; mend the table")
