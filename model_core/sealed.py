"""One digest for whatever a step handed over: a file, or a folder whose manifest vouches for the rest."""

from pathlib import Path

from model_core.artifacts import MANIFEST, open_artifact, read_json, sha256_of
from model_core.errors import ArtifactError


def seal_of(output: Path) -> str:
    """SHA-256 of a file, or of a folder's manifest.

    Raises:
        ArtifactError: it cannot be read.
    """
    path = vouching_file(output)
    try:
        return sha256_of(path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror})", path=path) from error


def vouching_file(output: Path) -> Path:
    """The file whose digest says whether an output is unchanged."""
    return output / MANIFEST if output.is_dir() else output


def refuse_changed(output: Path, seal: str | None, keeper: Path) -> None:
    """Check that an output, with every file of a folder, is what it was when it was sealed.

    Args:
        keeper: file that holds the seal, for the message.

    Raises:
        ArtifactError: it differs, or cannot be read.
    """
    path = vouching_file(output)
    if seal_of(output) != seal:
        raise ArtifactError(f"{path} does not match its seal in {keeper}", path=path)
    if output.is_dir():
        open_artifact(output, producer=str(read_json(path)["producer"]))
