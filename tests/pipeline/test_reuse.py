"""An earlier output is reused only if it is, byte for byte, what the step left; else it is made again, and said."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kfp import dsl
from kfp.local import cache

from model_core.artifacts import (
    read_json,
    replace_json,
    sha256_of,
    staged_folder,
    write_json,
    write_manifest,
)
from pipelines.runners.reuse import verified_reuse

KEY = "0" * 64


class Reuse:
    """KFP's cache with one entry: a model's folder and a report's page."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, []  # type: ignore[var-annotated]
        with staged_folder(folder / "model") as staged:
            (staged / "best").mkdir()
            (staged / "best" / "model.safetensors").write_bytes(bytes(range(64)))
            write_json(staged / "results.json", {"loss": 0.25})
            write_manifest(staged, producer="train", settings={})
        (folder / "report.html").write_text("<html>…</html>\n", encoding="utf-8")
        self.kfp: cache.LocalCache = cache.LocalCache(str(folder / "cache"))
        model = dsl.Model(name="model", uri=str(folder / "model"))
        page = dsl.HTML(name="report", uri=str(folder / "report.html"))
        self.kfp.put(KEY, {"model": model, "report": page})

    def get(self) -> set[str] | None:
        found = self.kfp.get(KEY)
        return None if found is None else set(found)


@pytest.fixture(name="reuse")
def _reuse(tmp_path: Path) -> Iterator[Reuse]:
    said: list[str] = []
    with verified_reuse(said.append):
        made = Reuse(tmp_path)
        made.said = said
        yield made


def test_what_is_whole_is_reused_in_silence(reuse: Reuse) -> None:
    assert reuse.get() == {"model", "report"}
    assert reuse.said == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, halve, Path.unlink])
@pytest.mark.parametrize(
    "name",
    [
        "model/best/model.safetensors",
        "model/results.json",
        "model/manifest.json",
        "report.html",
        f"cache/{KEY}.json",
        f"cache/{KEY}.seal",
    ],
)
def test_damage_anywhere_is_named_in_one_line_and_the_step_runs_again(
    name: str, damage: Callable[[Path], None], reuse: Reuse
) -> None:
    damage(reuse.folder / name)
    assert reuse.get() is None
    if damage is Path.unlink and name in {"report.html", f"cache/{KEY}.json"}:
        return  # deleted on purpose, or never there: nothing to tell
    (said,) = reuse.said
    assert Path(name).name in said
    assert said.startswith("\nmade again: ")
    assert said.count("\n") == 1
    assert "run the" not in said


def test_a_consistent_forgery_is_noticed_too(reuse: Reuse) -> None:
    """Files and manifest that fit each other, but are not what this step left for this entry."""
    with staged_folder(reuse.folder / "model") as staged:
        write_json(staged / "results.json", {"loss": 0.0})
        write_manifest(staged, producer="train", settings={})
    assert reuse.get() is None
    assert "manifest.json does not match" in reuse.said[0]


def test_a_deleted_run_is_no_damage(reuse: Reuse) -> None:
    for path in sorted((reuse.folder / "model").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (reuse.folder / "model").rmdir()
    assert reuse.get() is None
    assert reuse.said == []


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"5",
        b'{"model": 1}',
        b'{"model": {"uri": "/etc/passwd"}}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=range(7),
)
def test_an_entry_that_another_version_or_somebody_else_wrote_is_made_again(
    reuse: Reuse, content: bytes
) -> None:
    """With a seal that fits: whoever can write to the cache can write that, too."""
    (seal,) = (reuse.folder / "cache").rglob("*.seal")
    entry = seal.with_suffix(".json")
    entry.write_bytes(content)
    replace_json(seal, read_json(seal) | {"entry": sha256_of(entry)})
    assert reuse.get() is None
    (said,) = reuse.said
    assert "is not a cache entry of this version" in said
