"""What the tests by chance share: how often, what is drawn, and what may come out.

Bounded and repeatable: hypothesis draws the same examples in every run. With ``FUZZ_TIMES=50`` in the environment it
draws fifty times as many, and others in every run.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from model_core.artifacts import sha256_of, write_json
from model_core.checkpoints.files import CHECKPOINT_MANIFEST
from model_core.errors import PgatError, printable

LONGEST = 4_000
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples, the same ones in every run, however long each takes."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def read_or_refused(read: Callable[[], object]) -> None:
    """Call ``read``; the only error that may come is a deliberate one, on one line that is not too long."""
    try:
        read()
    except PgatError as error:
        text = str(error)
        assert 0 < len(text) <= LONGEST
        assert printable(text) == text


seeds = st.integers(0, 2**32)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "../x", "/etc/passwd", "a/../../b", "\x1b[2J", "x" * 5_000, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def damaged(content: bytes, seed: int) -> bytes:
    """``content`` with a few bits flipped, and pieces cut out, doubled, overwritten or put in."""
    chance = random.Random(seed)
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 1, 4, 30, 300))
        piece = bytes(data[at : at + length])
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = piece * chance.choice((1, 2, 50))
            case 3:
                data[at:at] = chance.choice(
                    (
                        b"\0",
                        b"\xff",
                        b'"',
                        b"\n",
                        b"\r",
                        b",",
                        b";",
                        b"{",
                        b"[",
                        b"1e999",
                        b"-",
                        b"\xef\xbb\xbf",
                    )
                )
            case 4:
                data[at : at + len(piece)] = chance.randbytes(len(piece))
            case _:
                del data[at:]
    return bytes(data)


def places(tree: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    yield prefix
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*prefix, key))


def changed(tree: Any, place: tuple[str | int, ...], value: Any, remove: bool) -> Any:
    """A copy of ``tree`` with another value at ``place``, or without it."""
    if not place:
        return value
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(place) == 1 and remove:
        del copy[place[0]]
    else:
        copy[place[0]] = changed(copy[place[0]], place[1:], value, remove)
    return copy


@st.composite
def trees(draw: st.DrawFn, tree: Any, times: int = 2) -> Any:
    """``tree`` with one or two of its values replaced or removed."""
    for _ in range(draw(st.integers(1, times))):
        place = draw(st.sampled_from(list(places(tree))))
        tree = changed(tree, place, draw(json_values), draw(st.booleans()))
    return tree


def written(path: Path, tree: Any) -> Path:
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def unsigned(content: Any) -> Any:
    """A manifest of version 1, which has no digest of its own that would refuse every change at once."""
    return {name: value for name, value in content.items() if name != "sha256"} | {"schema_version": 1}


def reseal(checkpoint: Path) -> None:
    files = [path for path in checkpoint.iterdir() if path.name != CHECKPOINT_MANIFEST]
    write_json(
        checkpoint / CHECKPOINT_MANIFEST,
        {"files": {f.name: {"sha256": sha256_of(f), "size": f.stat().st_size} for f in files}},
    )
