"""Settings files: they extend one another, ``a.b=c`` overrides them, and every key must be one that is known.

A file may name another one (``extends: base.yaml``, relative to itself) and state only what differs.
Sections merge key by key, everything else replaces. Where a section comes in several kinds with keys of
their own (``data.splits``), another ``kind`` replaces the whole section.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from model_core.config.mistakes import Sections, Tree, describe, inner_sections, models_in
from model_core.config.run import Settings
from model_core.documents import MAX_DEPTH, parse_yaml
from model_core.errors import SettingsError, quoted
from model_core.texts import DocumentError, read_text

_Section = TypeVar("_Section", bound=BaseModel)
_IN_FULL = 10
"""Mistakes named one by one; the rest are counted."""
_LISTED = 1_000
"""Mistakes that are looked at: each is compared with the names of all settings."""
_FILE_BYTES = 2**16
"""Largest settings file: many times the standard one, which states and explains every setting."""
_FILES = 16
"""Settings files that extend one another."""


def load_settings(path: Path | str | None, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a file, of those it extends, and of ``a.b=c`` overrides on top.

    Args:
        path: YAML file; ``None`` starts from the defaults.
        overrides: each ``dotted.name=value``, the value in YAML (``1e-3``, ``true``, ``[1, 2]``).

    Raises:
        SettingsError: a file is missing or is not YAML, a key is unknown, a value does not fit.
    """
    return load_section(Settings, path, overrides)


def load_section(
    model: type[_Section], path: Path | str | None, overrides: Sequence[str] = (), flag: str = "--set"
) -> _Section:
    """The same for settings other than those of a run.

    Args:
        model: what the file describes as a whole.
        flag: that gave the overrides, for messages.
    """
    tree = _read(Path(path), (), model) if path is not None else {}
    changes: Tree = {}
    for override in overrides:
        # Overrides join one another first, so that their order does not matter to a change of kind.
        changes = merged(changes, _parse_override(override, model, flag), (model,))
    return validated(model, merged(tree, changes, (model,)))


def validated(model: type[_Section], tree: Mapping[str, Any], section: str = "") -> _Section:
    """``tree`` as a settings section, or one sentence that names every key that does not fit.

    Args:
        section: name of the section in the whole, for messages, e.g. ``"training"``.

    Raises:
        SettingsError: a key is unknown or a value does not fit.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems: list[Tree] = [dict(problem) for problem in error.errors()[:_LISTED]]
        keys, sentences = describe(model, section, problems)
        unseen = max(error.error_count() - _LISTED, 0)
        more = f"; and {len(sentences) - _IN_FULL + unseen} more" if len(sentences) > _IN_FULL else ""
        text = "; ".join(sentences[:_IN_FULL]) + more
        raise SettingsError(text, sentences if more else (), keys) from error


def merged(base: Tree, changes: Tree, sections: Sections) -> Tree:
    """``base`` with ``changes`` on top; neither is altered.

    Args:
        sections: the settings sections that the two may describe: several if the section has kinds.
    """
    if len(sections) > 1 and "kind" in changes and base.get("kind") != changes["kind"]:
        return base | changes if "kind" not in base and not base.keys() & changes.keys() else dict(changes)
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            inner = [
                s for section in sections if key in section.model_fields for s in inner_sections(section, key)
            ]
            result[key] = merged(old, value, tuple(inner))
        else:
            result[key] = value
    return result


def _read(path: Path, seen: tuple[Path, ...], model: type[BaseModel]) -> Tree:
    try:
        here = path.resolve()
        text = read_text(path, _FILE_BYTES)
    except FileNotFoundError as error:
        raise SettingsError(
            f"settings file {path} does not exist; configs/ holds the ready-made ones"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"settings file {path} cannot be read ({error}); give a YAML text file"
        ) from error
    if here in seen:
        chain = " → ".join(p.name for p in (*seen, here))
        raise SettingsError(f"settings files extend each other in a circle: {chain}; remove one extends")
    if len(seen) == _FILES:
        raise SettingsError(f"{path} is one of more than {_FILES} files that extend each other; merge some")
    try:
        tree = parse_yaml(text) or {}
    except DocumentError as error:
        raise SettingsError(
            f"settings file {path} is not valid YAML ({error}); fix that line (a value that starts with % or "
            "another sign needs quotes)"
        ) from error
    if not isinstance(tree, dict):
        raise SettingsError(f"settings file {path} must hold a mapping like 'training: {{train_epochs: 3}}'")
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise SettingsError(
            f"settings file {path}: extends is {quoted(parent)}; name one file, relative to this one"
        )
    return merged(_read(path.parent / parent, (*seen, here), model), tree, (model,))


def _parse_override(override: str, model: type[BaseModel], flag: str) -> Tree:
    name, equals, text = override.partition("=")
    parts = [part.strip() for part in name.split(".")]
    if not equals or not all(parts) or len(parts) > MAX_DEPTH:
        raise SettingsError(f"{flag} {quoted(override)} is not a setting; write {flag} section.name=value")
    tree: Any = _text_value(text) if _takes_text(parts, model) else _yaml_value(override, text, flag)
    for part in reversed(parts):
        tree = {part: tree}
    return dict(tree)


def _yaml_value(override: str, text: str, flag: str) -> Any:
    try:
        value = parse_yaml(text)
    except DocumentError as error:
        raise SettingsError(
            f"{flag} {quoted(override)}: the value is not valid YAML ({error}); quote it"
        ) from error
    return _number(value) if isinstance(value, str) else value


def _text_value(text: str) -> str | None:
    """What a person typed for a setting that holds text: ``%d-%m-%Y``, ``,`` and ``=`` need no quotes."""
    typed = text.strip() or text
    if typed in ("", "null"):
        return None
    in_quotes = len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "\"'"
    return typed[1:-1] if in_quotes else typed


def _takes_text(parts: Sequence[str], model: type[BaseModel]) -> bool:
    """Whether the setting ``parts`` holds text and nothing else (but ``null``)."""
    annotations: list[Any] = [model]
    for part in parts:
        inner: list[Any] = []
        for annotation in annotations:
            if get_origin(annotation) is dict:
                inner.append(get_args(annotation)[1])
            for model in models_in(annotation):
                if part in model.model_fields:
                    inner.append(model.model_fields[part].annotation)
        annotations = inner
    return bool(annotations) and all(map(_only_text, annotations))


def _only_text(annotation: Any) -> bool:
    if annotation is str:
        return True
    kinds = get_args(annotation)
    if get_origin(annotation) is Literal:
        return all(isinstance(kind, str) for kind in kinds)
    return get_origin(annotation) in (UnionType, Union) and all(
        kind is type(None) or _only_text(kind) for kind in kinds
    )


def _number(text: str) -> float | str:
    """YAML 1.1 reads ``1e-3`` as text; a person means a number."""
    try:
        return float(text)
    except ValueError:
        return text
