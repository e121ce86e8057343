"""Computed skies on disk, so that the same request is never computed twice.

A sky is one Parquet file in ``<cache folder>/sky``, named ``<request>.<content>.parquet``: a digest
of everything the sky depends on (dates, hour, place, this package's code and table, the libraries'
versions), and the SHA-256 of the file itself. A file whose content no longer matches its name is
damaged; it is said so in the log, removed, and computed again. Files are written under another name
and renamed, so that several processes may share one folder. Several users may too, if root or the reader wrote what is
in it: the SHA-256 says that a file is whole, not who made it, so nothing is taken that another user could have written.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model_core.config.data import SkySettings
from model_core.errors import StoreError
from model_core.store.ownership import distrust, distrusted_folder

logger = logging.getLogger("pgat.sky")


def cached(
    days: NDArray[np.datetime64], settings: SkySettings, compute: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """The sky of these days and settings: read when it was computed before, else computed and kept.

    Args:
        days: datetime64[D] [n].
        settings: hour, place and cache folder.
        compute: makes the sky, one row per day.

    Raises:
        StoreError: the cache folder cannot be made or read.
    """
    folder = cache_folder(settings) / "sky"
    request = _request_digest(days, settings)
    with _usable(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted = _is_trusted(folder)
        stored = _read(folder, request) if trusted else None
    if stored is not None:
        return stored
    sky = compute()
    if trusted:
        try:
            _write(folder, request, sky)
        except OSError as error:
            # The sky is there, and only the next run will have to wait for it again.
            logger.warning("the sky is not kept in %s (%s)", folder, error.strerror or error)
    return sky


def _is_trusted(folder: Path) -> bool:
    """Whether only this user and root can put files into the folder, or replace it by another folder."""
    reason = distrusted_folder(folder)
    if reason is not None:
        logger.warning(
            "the sky cache is not used, since %s; set data.sky.cache to a folder of your own, or remove other users' "
            "write access with chmod go-w",
            reason,
        )
    return reason is None


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say what to do when the folder cannot be used."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the sky cache {folder} cannot be used ({error.strerror or error}); set data.sky.cache or the "
            "environment variable XDG_CACHE_HOME to a folder that can be written",
            uri=str(folder),
        ) from error


def cache_folder(settings: SkySettings) -> Path:
    """The settings' folder, or the user's own cache folder for this package.

    Raises:
        StoreError: no folder is set and the user has no home.
    """
    if settings.cache is not None:
        return Path(settings.cache).expanduser()
    # The XDG base directory specification: a relative path is to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = configured if configured.is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise StoreError(
            "the user has no home folder for the sky cache; set data.sky.cache to a folder"
        ) from error
    return base / "celestial-enhanced-pgat"


def _request_digest(days: NDArray[np.datetime64], settings: SkySettings) -> str:
    """Digest of everything that the sky's numbers depend on."""
    observer = (
        [settings.latitude_deg, settings.longitude_deg, settings.elevation_m]
        if settings.place == "observer"
        else settings.place
    )
    request = {
        "days": hashlib.sha256(days.astype("datetime64[D]").astype("<i8").tobytes()).hexdigest(),
        "hour_utc": settings.hour_utc,
        "place": observer,
        "code": _code_digest(),
        "libraries": {name: version(name) for name in ("skyfield", "skyfield-data", "jplephem", "numpy")},
    }
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]


def _code_digest() -> str:
    """Digest of this folder's sources and of Chiron's table."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.glob("*.npz")]):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read(folder: Path, request: str) -> pd.DataFrame | None:
    """The stored sky of a request, or ``None`` when there is no intact one."""
    for path in sorted(folder.glob(f"{request}.*.parquet")):
        if reason := distrust(path):
            logger.warning("the cached sky %s is not used, since it %s; it is computed again", path, reason)
            continue
        content = path.read_bytes()
        if path.name == _file_name(request, content):
            return pq.read_table(pa.BufferReader(content)).to_pandas()
        logger.warning("the cached sky %s is damaged; it is removed and computed again", path)
        path.unlink(missing_ok=True)
    return None


def _write(folder: Path, request: str, sky: pd.DataFrame) -> None:
    buffer = pa.BufferOutputStream()
    # Nearly every number differs from every other, so that neither dictionaries nor compression pay.
    pq.write_table(
        pa.Table.from_pandas(sky, preserve_index=False), buffer, compression="none", use_dictionary=False
    )
    content = buffer.getvalue().to_pybytes()
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{request}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(folder / _file_name(request, content))
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _file_name(request: str, content: bytes) -> str:
    return f"{request}.{hashlib.sha256(content).hexdigest()}.parquet"
