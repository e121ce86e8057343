"""What ``kfp.local`` may reuse: only what is still, byte for byte, as the step left it.

KFP's cache takes an earlier output for good if its path exists. Here each entry has a seal beside it: the SHA-256 of
the entry, of each file that a step handed over, and of the manifest of each folder, which vouches for the rest.
What differs is said and made again.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kfp.local import cache
from pydantic import BaseModel, ConfigDict, ValidationError

from model_core.artifacts import read_json, replace_json
from model_core.errors import ArtifactError, PgatError, shown
from model_core.sealed import refuse_changed, seal_of
from pipelines.runners.kfp_patches import local_cache

_SEAL = ".seal"
_REMEDY = re.compile(r"; run the (\w+ )?step( that makes it)?( again)?$")
"""Ends the messages of who reads an artifact; here it happens by itself."""


class _Seal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    entry: str
    """SHA-256 of KFP's entry."""
    outputs: dict[str, str]
    """Name of each output → SHA-256 of the file, or of the folder's manifest."""


@contextmanager
def verified_reuse(say: Callable[[str], None]) -> Iterator[None]:
    """Within it ``kfp.local`` reuses only what was verified; ``say`` gets one line for whatever is damaged."""

    class SealedCache(cache.LocalCache):  # type: ignore[misc]
        def get(self, key: str) -> dict[str, Any] | None:
            entry = Path(self._entry_path(key))
            if not entry.exists():
                return None
            try:
                seal = _unchanged_entry(entry)
                try:
                    outputs: dict[str, Any] | None = super().get(key)
                    # None: a run's folder was deleted, and its artifacts with it.
                    paths = _paths(outputs or {})
                except (AttributeError, RecursionError, TypeError, ValueError) as error:
                    raise ArtifactError(
                        f"{entry} is not a cache entry of this version", path=entry
                    ) from error
                for name, path in paths.items():
                    refuse_changed(path, seal.outputs.get(name), entry.with_suffix(_SEAL))
                return outputs
            except PgatError as error:
                say(f"\nmade again: {shown(_REMEDY.sub('', str(error)))}")
                return None

        def put(self, key: str, outputs: dict[str, Any]) -> None:
            super().put(key, outputs)
            entry = Path(self._entry_path(key))
            sealed = {name: seal_of(path) for name, path in _paths(outputs).items()}
            replace_json(entry.with_suffix(_SEAL), {"entry": seal_of(entry), "outputs": sealed})

    with local_cache(SealedCache):
        yield


def _paths(outputs: dict[str, Any]) -> dict[str, Path]:
    """Where the artifacts among a step's outputs are; the others stand in the entry itself."""
    return {name: Path(output.uri) for name, output in outputs.items() if not isinstance(output, str)}


def _unchanged_entry(entry: Path) -> _Seal:
    path = entry.with_suffix(_SEAL)
    try:
        seal = _Seal.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(f"{path} is not a seal of this version", path=path) from error
    if seal_of(entry) != seal.entry:
        raise ArtifactError(f"{entry} does not match its seal in {path}", path=entry)
    return seal
