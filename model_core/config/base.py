"""What every settings section has in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Unit:
    """The unit of a setting, for its documentation: ``seq_len: Annotated[int, Unit("days")]``."""

    name: str


class Section(BaseModel):
    """One part's settings: frozen, keyword-only, and no key that the part does not know.

    The text below a field is its documentation: ``make docs`` writes it beside the field into the settings file and
    into ``docs/settings.md``.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by the names that ``--set`` gives them: ``{"a": {"b": 1}}`` → ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
