"""What all results have in common: frozen, typed, with a schema version, and the one pair that writes and reads them.

A result is a JSON file that a step leaves in its folder. ``write_result`` writes it, ``read_result`` gives it back or
raises one sentence that says which step to run again. A file of an earlier version is brought up to date by its
class's ``upgraded``; files from before there were versions count as version 0.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_core.artifacts import read_json, write_json
from model_core.errors import ArtifactError, quoted, shortened

VERSION_FIELD = "schema_version"
LARGEST = 1e15
"""Beyond any price, loss or count; figures cannot be drawn to scale with more."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
"""A number that can be drawn."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Words = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""Text for people or a name: printable, and not without end."""
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
"""An ISO date."""
Item = TypeVar("Item")
Rows = Annotated[tuple[Item, ...], Field(strict=False)]
"""A JSON list; a frozen record holds it as a tuple."""
JsonObject = dict[str, object]


class Record(BaseModel):
    """Part of a result: frozen, as strict as JSON (no text is taken for a number), and no field is unknown."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True
    )


class Interval(Record):
    """Ends of a confidence interval; both or none."""

    low: Finite | None
    """Lower end."""
    high: Finite | None
    """Upper end."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends or none")
        return self


class Result(Record):
    """A whole file."""

    file: ClassVar[str]
    """Its name in the folder of its step."""
    step: ClassVar[str]
    """The step that writes it."""
    version: ClassVar[int] = 1
    """Raised whenever a field changes; ``upgraded`` then reads the versions before."""

    @classmethod
    def upgraded(cls, content: JsonObject, version: int) -> JsonObject:
        """The fields of this version from those of an earlier one.

        By default those that are still known; what is new needs a default. Content that is not of that version may make
        it raise ``LookupError``, ``TypeError``, ``ValueError`` or ``AttributeError``.
        """
        return {name: value for name, value in content.items() if name in cls.model_fields}


Kind = TypeVar("Kind", bound=Result)


def write_result(folder: Path, result: Result) -> None:
    """Write ``result`` to its file in ``folder``."""
    content = {VERSION_FIELD: result.version, **result.model_dump(mode="json")}
    write_json(folder / result.file, content)


def read_result(kind: type[Kind], folder: Path) -> Kind:
    """The result of this kind in ``folder``.

    Raises:
        ArtifactError: the file is missing, is not JSON, has an unknown version, or a field of it does not fit.
    """
    path = folder / kind.file
    content = read_json(path)
    version = content.pop(VERSION_FIELD, 0)
    if not isinstance(version, int) or not 0 <= version <= kind.version:
        raise ArtifactError(
            f"{path} has the schema version {quoted(version)}, and this code reads 0 to {kind.version}; "
            f"run the {kind.step} step again",
            path=path,
        )
    try:
        if version < kind.version:
            content = kind.upgraded(content, version)
        return kind.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not what the {kind.step} step writes ({first_fault(error)}); run the {kind.step} step again",
            path=path,
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is not what an earlier {kind.step} step wrote ({shortened(repr(error))}); "
            f"run the {kind.step} step again",
            path=path,
        ) from error


def first_fault(error: ValidationError) -> str:
    """``field: what is wrong``, and how many faults more."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = shortened(".".join(map(str, first["loc"])))
    more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    return f"{f'{field}: ' if field else ''}{shortened(first['msg'])}{more}"
