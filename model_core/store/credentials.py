"""Who opens a store: the keys of the environment, those of a file, or those that a role gives for a while.

The first of these that is set up counts, and is never passed over when it fails:

    environment   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional)
    file          AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, profile AWS_PROFILE; read again for each request
    pod           AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, asked at AWS_ENDPOINT_URL_STS
                  (``model_core.store.roles``)
    container     AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI, with what authorizes it (EKS, ECS)
    machine       169.254.169.254, unless AWS_EC2_METADATA_DISABLED is true
"""

import configparser
from collections.abc import Callable, Mapping
from pathlib import Path

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import AWSConfigProvider, Provider, StaticProvider

from model_core.errors import StoreError, quoted
from model_core.store.endpoint import given, is_sendable
from model_core.store.roles import role_of
from model_core.texts import read_text
from model_core.variables import (
    ACCESS_KEY,
    CONTAINER_PATH,
    CONTAINER_URL,
    CREDENTIALS_FILE,
    CREDENTIALS_PROFILE,
    IDENTITY_FILE,
    KEYS,
    ROLE,
    SECRET_KEY,
    SESSION_TOKEN,
)

_FILE_BYTES = 2**20
Pools = Callable[[str, bool], urllib3.PoolManager]
"""A pool of connections for ``http`` or ``https``; for a machine that may not be there, one that gives up soon."""


def provider_of(environment: Mapping[str, str], pools: Pools) -> Provider:
    """Where the client takes its keys from, before each request; no server is asked for them yet.

    Raises:
        StoreError: one key of two is there, one of them cannot be sent, or a file has none; none is repeated.
    """
    keys = {name: given(environment, name) for name in (*KEYS, SESSION_TOKEN)}
    if any(keys[name] for name in KEYS):
        missing = [name for name in KEYS if not keys[name]]
        if missing:
            raise StoreError(f"s3:// needs credentials; set {' and '.join(missing)} in the environment")
        return StaticProvider(keys[ACCESS_KEY], keys[SECRET_KEY], keys[SESSION_TOKEN] or None)
    if (file := _file_of(environment)) is not None:
        file.retrieve()
        return file
    return role_of(environment, pools)


def only_here(environment: Mapping[str, str]) -> bool:
    """Whether keys come from a file or role of this process, which one in a container of its own does not see."""
    if any(environment.get(name) for name in KEYS):
        return False
    roles = (IDENTITY_FILE, ROLE, CONTAINER_URL, CONTAINER_PATH)
    return _file_of(environment) is not None or any(environment.get(name) for name in roles)


class _File(Provider):
    """The keys of one profile; a tool that renews them writes the file anew."""

    def __init__(self, path: Path, profile: str) -> None:
        self._path, self._profile = path, profile
        self._reader = AWSConfigProvider(str(path), profile)

    def retrieve(self) -> Credentials:
        """The keys as they stand there now.

        Raises:
            StoreError: the file cannot be read, or does not hold two keys that can be sent.
        """
        try:
            # A file that cannot be read is an empty one for the reader, and a device has no end.
            read_text(self._path, _FILE_BYTES)
            found: Credentials = self._reader.retrieve()
        except (OSError, ValueError, configparser.Error) as error:
            # Its text may be the line with the key.
            reason = error.strerror if isinstance(error, OSError) else "it lacks them, or is not such a file"
            raise StoreError(
                f"{self._path} gives no keys for the profile {quoted(self._profile)} ({reason}); write "
                f"aws_access_key_id and aws_secret_access_key there, or set {' and '.join(KEYS)}"
            ) from error
        if not all(map(is_sendable, (found.access_key, found.session_token or "-"))):
            raise StoreError(
                f"a key of the profile {quoted(self._profile)} in {self._path} holds a character that cannot be "
                "sent; copy it again"
            )
        return found


def _file_of(environment: Mapping[str, str]) -> _File | None:
    """The file of keys, if one is named, or is where AWS's tools keep it and has the profile."""
    wanted = environment.get(CREDENTIALS_PROFILE)
    profile = wanted or "default"
    if named := environment.get(CREDENTIALS_FILE):
        return _File(Path(named), profile)
    try:
        path = Path("~/.aws/credentials").expanduser()
        text = read_text(path, _FILE_BYTES) if path.is_file() else ""
    except (RuntimeError, PermissionError):  # no home, or somebody else's
        text = ""
    except (OSError, ValueError):
        return _File(path, profile)  # which says what is wrong with it
    return _File(path, profile) if wanted or f"[{profile}]" in text else None
