"""What ``manifest.json`` of a step's folder holds; ``model_core.artifacts`` writes, reads and checks it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal."""


class FileRecord(BaseModel):
    """What a manifest says of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    sha256: Digest
    """Of its content."""
    size: int = Field(ge=0)
    """Bytes."""


class Manifest(BaseModel):
    """``manifest.json``: who made a folder, from what, and what is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: int
    """Of this file's fields; version 1 had no digest of its own."""
    producer: str
    """The step that made the folder."""
    settings: dict[str, object]
    """Those that the step was given."""
    files: dict[str, FileRecord]
    """Every file of the folder, by its path in it."""
    code_version: str
    """Short hash of this project's sources."""
    git_commit: str | None
    """Of those sources; null outside a clone."""
    versions: dict[str, str]
    """Of Python and of each package that may change a result."""
    seed: int | None
    """Null for a step without chance."""
    inputs: dict[str, str]
    """Name of each input artifact → SHA-256 of its manifest."""
    created_at: str
    """When, in UTC."""
    sha256: str | None = None
    """Digest of everything above; null in version 1."""
