"""Settings files: ``extends`` one another, are overridden by ``a.b=c``, and answer for every key.

A file may name another one (``extends: base.yaml``, relative to itself) and state only what differs.
Sections merge key by key, everything else replaces. Where a section comes in several kinds with keys of
their own (``data.splits``), another ``kind`` replaces the whole section.
"""

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from model_core.config.run import Settings
from model_core.documents import MAX_DEPTH, DocumentError, parse_yaml, read_text
from model_core.errors import SettingsError, quoted, shortened

Tree = dict[str, Any]
_RETIRED = dict.fromkeys(
    ("evaluation.bootstrap_replications", "evaluation.seed", "diagnostics.bootstrap_replications"),
    "intervals have a closed form now, and nothing is drawn at random",
)
"""Settings of earlier versions, and why they are gone."""
_Section = TypeVar("_Section", bound=BaseModel)
_Sections = tuple[type[BaseModel], ...]
_TOLD = 10
"""Mistakes told in full; the rest are counted."""
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
        SettingsError: a file is missing or no YAML, a key is unknown, a value does not fit.
    """
    tree = _read(Path(path), ()) if path is not None else {}
    changes: Tree = {}
    for override in overrides:
        # Overrides join one another first, so that their order does not matter to a change of kind.
        changes = merged(changes, _parse_override(override), (Settings,))
    return validated(Settings, merged(tree, changes, (Settings,)))


def validated(model: type[_Section], tree: Mapping[str, Any], place: str = "") -> _Section:
    """``tree`` as a settings section, or one sentence that names every key that does not fit.

    Args:
        place: where the section stands in the whole, for messages, e.g. ``"training"``.

    Raises:
        SettingsError: a key is unknown or a value does not fit.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = [_sentence(model, place, dict(problem)) for problem in error.errors()[:_LISTED]]
        sentences = [" or ".join(told) for told in _together(problems)]
        unseen = max(error.error_count() - _LISTED, 0)
        more = f"; and {len(sentences) - _TOLD + unseen} more" if len(sentences) > _TOLD else ""
        raise SettingsError("; ".join(sentences[:_TOLD]) + more, sentences if more else ()) from error


def merged(base: Tree, changes: Tree, sections: _Sections) -> Tree:
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
            inner = [s for section in sections if key in section.model_fields for s in _inner(section, key)]
            result[key] = merged(old, value, tuple(inner))
        else:
            result[key] = value
    return result


def _read(path: Path, seen: tuple[Path, ...]) -> Tree:
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
    return merged(_read(path.parent / parent, (*seen, here)), tree, (Settings,))


def _parse_override(override: str) -> Tree:
    name, equals, text = override.partition("=")
    parts = [part.strip() for part in name.split(".")]
    if not equals or not all(parts) or len(parts) > MAX_DEPTH:
        raise SettingsError(f"--set {quoted(override)} is not a setting; write --set section.name=value")
    tree: Any = _text_value(text) if _takes_text(parts) else _yaml_value(override, text)
    for part in reversed(parts):
        tree = {part: tree}
    return dict(tree)


def _yaml_value(override: str, text: str) -> Any:
    try:
        value = parse_yaml(text)
    except DocumentError as error:
        raise SettingsError(
            f"--set {quoted(override)}: the value is not valid YAML ({error}); quote it"
        ) from error
    return _number(value) if isinstance(value, str) else value


def _text_value(text: str) -> str | None:
    """What a person typed for a setting that holds text: ``%d-%m-%Y``, ``,`` and ``=`` need no quotes."""
    typed = text.strip() or text
    if typed in ("", "null"):
        return None
    in_quotes = len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "\"'"
    return typed[1:-1] if in_quotes else typed


def _takes_text(parts: Sequence[str]) -> bool:
    """Whether the setting ``parts`` holds text and nothing else (but ``null``)."""
    annotations: list[Any] = [Settings]
    for part in parts:
        inner: list[Any] = []
        for annotation in annotations:
            if get_origin(annotation) is dict:
                inner.append(get_args(annotation)[1])
            for model in _models(annotation):
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


def _together(problems: Sequence[str]) -> list[list[str]]:
    """Different sentences about one value, as kinds of numbers and words that it might be, told as one."""
    told: dict[str, list[str]] = {}
    for problem in dict.fromkeys(problems):
        start, mark, wanted = problem.partition("; input should be ")
        known = told.setdefault(start + mark, [])
        known.append(wanted if known else problem)
    return list(told.values())


def _sentence(model: type[BaseModel], place: str, problem: Tree) -> str:
    prefix = [place] if place else []
    name = ".".join([*prefix, *_as_written(model, problem["loc"])])
    name = shortened(name)
    match problem["type"]:
        case "extra_forbidden":
            return f"{name} is not a setting; {_hint(name, [f'{place}.{n}' if place else n for n in names(model)])}"
        case "missing":
            return f"{name} is missing; add it"
        case "value_error":
            text = problem["msg"].removeprefix("Value error, ")
            return f"{name}: {text}" if name else text
        case "union_tag_invalid":
            context = problem["ctx"]
            return f"{name}.kind is {quoted(context['tag'])}; choose one of {context['expected_tags']}"
        case "union_tag_not_found":
            return f"{name}.kind is missing; state which kind of {name} these settings are for"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{name} {_value(problem)}; it takes names with values, e.g. {{name: value}}"
        case "tuple_type" | "list_type":
            return f"{name} {_value(problem)}; it takes a list, e.g. [first, second]"
        case "bool_type" | "bool_parsing":
            return f"{name} {_value(problem)}; write true or false"
        case _:
            wanted = re.sub(r", (unable to|input is|got) .*", "", problem["msg"])
            return f"{name} {_value(problem)}; {wanted[:1].lower() + wanted[1:]}"


def _value(problem: Tree) -> str:
    value = str(problem["input"]) if isinstance(problem["input"], dt.date) else problem["input"]
    return "has no value" if value is None else f"is {quoted(value)}"


def _as_written(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The location of a problem as a person wrote it: pydantic inserts the kind of a section with kinds."""
    written: list[str] = []
    sections: _Sections = (model,)
    is_mapping = False
    for part in location:
        if part == "[key]":
            continue
        if len(sections) > 1 and part in {_kind(section) for section in sections}:
            sections = tuple(section for section in sections if _kind(section) == part)
            continue
        if written and not sections and not is_mapping and isinstance(part, str):
            break  # a kind of value that pydantic tried, such as "constrained-int"
        written.append(str(part))
        is_mapping = any(
            get_origin(section.model_fields[part].annotation) is dict
            for section in sections
            if part in section.model_fields
        )
        sections = tuple(
            s for section in sections if part in section.model_fields for s in _inner(section, str(part))
        )
    return written


def _kind(section: type[BaseModel]) -> object:
    return get_args(section.model_fields["kind"].annotation)[0]


def _hint(name: str, known: Sequence[str]) -> str:
    if name in _RETIRED:
        return f"it belonged to an earlier version; delete it, since {_RETIRED[name]}"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if not near:
        # A right name in the wrong section, e.g. ``learning_rate`` at the top.
        last = name.rpartition(".")[2]
        near = [other for other in known if other.rpartition(".")[2] == last][:1]
    if not near:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "configs/celestial_enhanced_pgat.yaml lists all settings"


def _inner(section: type[BaseModel], field: str) -> _Sections:
    """The sections that a field may hold: none, one, or one for each kind."""
    return tuple(_models(section.model_fields[field].annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def names(model: type[BaseModel]) -> list[str]:
    """Dotted names of every setting and section below ``model``."""
    found: list[str] = []
    for field in model.model_fields:
        found.append(field)
        for section in _inner(model, field):
            found += [f"{field}.{name}" for name in names(section)]
    return found
