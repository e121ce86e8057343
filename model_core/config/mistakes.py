"""What is wrong with a settings file, in sentences: each names the setting, its value and what to write instead."""

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from model_core.errors import quoted, shortened

Tree = dict[str, Any]
Sections = tuple[type[BaseModel], ...]
"""What one key may hold: several sections where a section comes in kinds."""
_RETIRED = dict.fromkeys(
    ("evaluation.bootstrap_replications", "evaluation.seed", "diagnostics.bootstrap_replications"),
    "intervals have a closed form now, and nothing is drawn at random",
)
"""Settings of earlier versions, and why they are gone."""


def describe(
    model: type[BaseModel], section: str, problems: Sequence[Tree]
) -> tuple[tuple[str, ...], list[str]]:
    """The settings that pydantic complains of, by their dotted names, and one sentence for each wrong value.

    Args:
        section: where ``model`` stands in the whole, e.g. ``"training"``; empty for all settings.
        problems: ``ValidationError.errors()``.
    """
    keys = [_name(model, section, problem["loc"]) for problem in problems]
    pairs = zip(keys, problems, strict=True)
    sentences = _by_value([_sentence(model, section, key, problem) for key, problem in pairs])
    return tuple(dict.fromkeys(keys)), sentences


def _by_value(problems: Sequence[str]) -> list[str]:
    """One sentence a value: what it might be instead (a number, one of some words) is joined by "or"."""
    joined: dict[str, list[str]] = {}
    for problem in dict.fromkeys(problems):
        start, mark, wanted = problem.partition("; input should be ")
        known = joined.setdefault(start + mark, [])
        known.append(wanted if known else problem)
    return [" or ".join(parts) for parts in joined.values()]


def _name(model: type[BaseModel], section: str, location: Sequence[int | str]) -> str:
    return ".".join([*([section] if section else []), *_as_written(model, location)])


def _sentence(model: type[BaseModel], section: str, name: str, problem: Tree) -> str:
    name = shortened(name)
    match problem["type"]:
        case "extra_forbidden":
            return f"{name} is not a setting; {_hint(name, [f'{section}.{n}' if section else n for n in names(model)])}"
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
    sections: Sections = (model,)
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
            s
            for section in sections
            if part in section.model_fields
            for s in inner_sections(section, str(part))
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


def inner_sections(section: type[BaseModel], field: str) -> Sections:
    """The sections that a field may hold: none, one, or one for each kind."""
    return tuple(models_in(section.model_fields[field].annotation))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def names(model: type[BaseModel]) -> list[str]:
    """Dotted names of every setting and section below ``model``."""
    found: list[str] = []
    for field in model.model_fields:
        found.append(field)
        for section in inner_sections(model, field):
            found += [f"{field}.{name}" for name in names(section)]
    return found
