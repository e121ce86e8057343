"""Single flipped bits, the same ones each time."""

import random
from collections.abc import Iterator
from pathlib import Path


def flipped(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """``content`` with one bit flipped, ``count`` times at another place; all places if there are not so many."""
    places = range(8 * len(content))
    for place in random.Random(seed).sample(places, min(count, len(places))):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def flip_a_bit(path: Path) -> None:
    """Flip a bit in the middle of a file, which may have other links that keep what they hold."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
