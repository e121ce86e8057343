"""Names that come from elsewhere: URIs, keys of a store, files in a manifest, runs. None of them is trusted."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from model_core.errors import StoreError, UserError, printable, quoted, redacted, shortened

_MOST_CHARACTERS = 1024
"""Of a name: as many as S3 allows in a key."""
_RUN_NAME_CHARACTERS = 63
_RUN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
INDEX = "index.html"
"""What the list of published runs is called, beside their folders."""
RUN_NAME_RULE = f"up to 63 small letters, digits, dots and dashes, a letter or digit first, and not {INDEX}"


def split_uri(uri: str) -> tuple[str | None, str]:
    """Scheme and rest of a URI, e.g. ``("s3", "bucket/key")``; a path has no scheme: ``(None, path)``."""
    scheme, separator, rest = uri.partition("://")
    return (scheme, rest) if separator else (None, uri)


def scheme_of(uri: str) -> str | None:
    """The scheme of a URI, e.g. ``s3``; ``None`` for a path."""
    return split_uri(uri)[0]


def s3_uri(uri: str) -> str:
    """``uri`` as this package opens it: KFP calls an object of its own store ``minio://bucket/key``."""
    scheme, rest = split_uri(uri)
    return f"s3://{rest}" if scheme == "minio" else uri


def contained(root: Path, name: object) -> Path:
    """The path of the object or file ``name`` below ``root``: it never leads anywhere else.

    Args:
        name: segments with slashes between them, as in keys and manifests.

    Raises:
        StoreError: ``name`` is not such a text (it is absolute, or has an empty segment, ``.``, ``..``, a backslash
            or a control character), it is longer than any key, or a link below ``root`` leads out of it.
    """
    if isinstance(name, str) and len(name) > _MOST_CHARACTERS:
        raise StoreError(
            f"the name {quoted(name)} has {len(name):,} characters, more than {_MOST_CHARACTERS:,}, so nothing is "
            f"read or written in {root}",
            uri=str(root),
            key=shortened(name),
        )
    if not isinstance(name, str) or not is_plain(name):
        raise StoreError(
            f"the name {quoted(name)} may lead out of {root}, so nothing is read or written there",
            uri=str(root),
            key=shortened(str(name)),
        )
    path = root / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links
        inside = False
    if not inside:
        raise StoreError(
            f"{quoted(name)} is a link that leads out of {root}; replace it by what it leads to",
            uri=str(root),
            key=name,
        )
    return path


def is_run_name(name: object) -> bool:
    """Whether ``name`` can name a run: a folder, a key, a link and a word in a table all at once."""
    return isinstance(name, str) and _RUN_NAME.fullmatch(name) is not None and name != INDEX


def run_name_of(text: str) -> str:
    """``text``, such as a cluster's name of a run, as a run's name; of a long one the end, which tells it apart."""
    plain = re.sub(r"[^a-z0-9.-]+", "-", text.lower())[-_RUN_NAME_CHARACTERS:]
    return plain.lstrip(".-")


def refuse_bad_run_name(name: str, flag: str) -> None:
    """Check the name that a user gave with ``flag``.

    Raises:
        UserError: it cannot name a run.
    """
    if not is_run_name(name):
        raise UserError(f"{quoted(name)} cannot name a run; use {RUN_NAME_RULE} ({flag})")


def published_name(uri: str) -> str:
    """What a published page may say of where a table came from, without a password or query in its URI.

    Of a path on somebody's machine it is the last part.
    """
    scheme, path = split_uri(uri)
    if scheme is None:
        return PurePosixPath(path.replace("\\", "/")).name
    return PurePosixPath(unquote(path)).name if scheme.lower() == "file" else redacted(uri)


def is_plain(name: str) -> bool:
    """Whether ``name`` is made of segments that lead nowhere else, as those of a key and of a manifest are."""
    segments = name.split("/")
    return "\\" not in name and printable(name) == name and not {"", ".", ".."} & set(segments)
