"""The settings of every ready-made file are those of yesterday. ``make golden`` rewrites them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model_core.config.load import load_settings
from tests.config.test_load import SETTINGS_FILES

CONFIGS = Path(__file__).parents[2] / "configs"
STANDARD = "celestial_enhanced_pgat.yaml"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every setting under its dotted name."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        inner = isinstance(value, dict) and value
        found |= leaves(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return found


def test_what_each_file_of_configs_resolves_to_is_golden(golden: Callable[[str, str], str]) -> None:
    """The standard one whole, of the others what differs from it: a default that changes shows where it counts."""
    whole = {
        path.relative_to(CONFIGS).as_posix(): leaves(load_settings(path).model_dump(mode="json"))
        for path in SETTINGS_FILES
    }
    standard = whole[STANDARD]
    found = {
        name: {
            "set": {key: value for key, value in settings.items() if standard.get(key, ...) != value},
            "gone": sorted(standard.keys() - settings.keys()),
        }
        for name, settings in whole.items()
        if name != STANDARD
    }
    text = json.dumps({STANDARD: standard, **found}, indent=1, ensure_ascii=False) + "\n"
    assert json.loads(text) == json.loads(golden("settings.json", text))
