"""The candidates of a search: named changes to a centre, itself a list of changes to a settings file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_core.config.base import Section
from model_core.config.load import load_settings, validated
from model_core.config.run import Settings
from model_core.documents import parse_yaml
from model_core.errors import SettingsError, quoted
from model_core.texts import DocumentError, read_text

CENTRE = "centre"
"""Name of the candidate without changes, which the others are compared with."""
_FILE_BYTES = 2**16
_SEARCHED = ("model.", "training.")
_OTHERWISE = {"training.seed": "seeds", "training.device": "--device"}
"""What is not a candidate's to change → what sets it."""


class Grid(Section):
    """A grid file."""

    config: str
    """Settings file that everything starts from, relative to this one."""
    seeds: tuple[int, ...]
    """Of each candidate; all candidates go through the first one before any goes through the second."""
    centre: dict[str, Any]
    """Changes that all candidates share: ``{training.learning_rate: 3.0e-4}``."""
    candidates: dict[str, dict[str, Any]]
    """Name → what this candidate changes besides; the centre is a candidate, too, and is not listed."""


@dataclass(frozen=True)
class Candidate:
    """One set of settings to be tried."""

    name: str
    changes: dict[str, Any]
    """To the centre."""
    settings: Settings

    @property
    def digest(self) -> str:
        """Of what decides the result, seed and device apart, and whether steps are recorded."""
        told = {
            "model": self.settings.model.model_dump(mode="json"),
            "training": self.settings.training.model_dump(
                mode="json", exclude={"seed", "device", "cuda_graph"}
            ),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def with_seed(self, seed: int, device: str) -> Settings:
        """The settings of one run."""
        training = self.settings.training.model_copy(update={"seed": seed, "device": device})
        return self.settings.model_copy(update={"training": training})


def load_grid(path: Path, overrides: Sequence[str] = ()) -> tuple[list[Candidate], tuple[int, ...]]:
    """The candidates of a grid file, the centre first, and the seeds.

    Args:
        overrides: settings of all candidates, ``training.cuda_graph=false``, on top of the file's.

    Raises:
        SettingsError: the file or a settings file cannot be read, or a change is not a setting that can be searched.
    """
    try:
        tree = parse_yaml(read_text(path, _FILE_BYTES))
    except (OSError, DocumentError) as error:
        raise SettingsError(f"grid file {path} cannot be read ({error}); give a YAML text file") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"grid file {path} holds no settings; see benchmarks/settings_search.yaml")
    grid = validated(Grid, tree)
    if not grid.seeds:
        raise SettingsError(f"grid file {path} names no seeds; write seeds: [2024]")
    if CENTRE in grid.candidates:
        raise SettingsError(f"candidate {CENTRE} is there of itself; choose another name in {path}")
    changes = {CENTRE: dict[str, Any](), **grid.candidates}
    return [_candidate(name, own, grid, path, overrides) for name, own in changes.items()], grid.seeds


def _candidate(name: str, own: dict[str, Any], grid: Grid, path: Path, overrides: Sequence[str]) -> Candidate:
    changes = {**grid.centre, **own}
    for setting in [*changes, *(override.partition("=")[0].strip() for override in overrides)]:
        if not setting.startswith(_SEARCHED) or setting in _OTHERWISE:
            remedy = f"use {_OTHERWISE[setting]}" if setting in _OTHERWISE else "change model.… or training.…"
            raise SettingsError(f"candidate {name}: {quoted(setting)} cannot be searched here; {remedy}")
    words = [f"{setting}={json.dumps(value)}" for setting, value in changes.items()]
    try:
        settings = load_settings(path.parent / grid.config, [*words, *overrides])
    except SettingsError as error:
        raise SettingsError(f"candidate {name}: {error}") from error
    return Candidate(name, own, settings)
