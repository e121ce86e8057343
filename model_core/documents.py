"""JSON and YAML from files, stores and command lines: plain, small and shallow, whoever wrote them.

Nothing here trusts what it reads. A text nests at most
``MAX_DEPTH`` deep, and is made of plain values only: YAML's anchors and tags are refused, because a few lines
with them unfold to gigabytes or to objects, and nothing that this project reads needs them.
"""

import json
from typing import Any, NoReturn

import yaml

from model_core.texts import DocumentError

MAX_DEPTH = 64
"""Levels of mappings and lists within one another."""


def parse_json(text: str | bytes) -> Any:
    """The JSON value that ``text`` holds.

    Raises:
        DocumentError: it is not JSON, nests too deep, or holds what JSON cannot express (NaN, half a character).
    """
    try:
        value = json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"byte {error.start + 1} is not UTF-8") from error
    except ValueError as error:  # also of a number with thousands of digits
        raise DocumentError(str(error)) from error
    _check(value)
    return value


def parse_yaml(text: str) -> Any:
    """The plain values that a YAML text holds; ``None`` if it is empty.

    Raises:
        DocumentError: it is not YAML, nests too deep, or has anchors, tags or dates that do not exist.
    """
    try:
        value = yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise DocumentError(f"{where}{error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(" ".join(str(error).split())) from error
    _check(value)
    return value


_TOO_DEEP = f"it nests more than {MAX_DEPTH} levels deep"


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses anchors, tags and deep nesting before anything unfolds."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node of the tree; called for each within its parent."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            problem = "anchors and aliases are not read; write the value out, or put quotes around & and *"
        elif event.tag is not None:
            problem = "tags are not read; write the plain value, or put quotes around !"
        elif self._depth >= MAX_DEPTH:
            problem = _TOO_DEEP
        if problem is not None:
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _no_number(name: str) -> NoReturn:
    raise DocumentError(f"{name} is not a JSON number")


def _check(value: object) -> None:
    """Refuse deep nesting, numbers that do not fit a machine word, and text that is not Unicode; without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not item.isascii():
                _check_text(item)
            elif isinstance(item, int) and not -(2**63) <= item < 2**63:
                raise DocumentError("a whole number in it has more than 64 bits")
        level = below
    if level:
        raise DocumentError(_TOO_DEEP)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DocumentError("a text in it holds half a character (a lone surrogate)") from error
