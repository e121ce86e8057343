"""Where the keys to a store come from: the environment, a file, or a role that gives them for a while.

The first of these that is set up is used; when it fails, no later one is tried:

    environment   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional)
    file          AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, profile AWS_PROFILE; read again for each request
    pod           AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, asked at AWS_ENDPOINT_URL_STS
                  (``model_core.store.roles``)
    container     AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI, with its authorization token (EKS, ECS)
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
"""Makes a pool of connections from ``http`` or ``https`` and whether it gives up soon, where no server may be."""


def provider_of(environment: Mapping[str, str], pools: Pools) -> Provider:
    """What the client asks for its keys before each request; no server is asked yet.

    Raises:
        StoreError: nothing gives keys, one of two is missing, or one cannot be sent; no message repeats a key.
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
    """Whether keys come from a file or role of this process, which a container that it starts does not have."""
    if any(environment.get(name) for name in KEYS):
        return False
    roles = (IDENTITY_FILE, ROLE, CONTAINER_URL, CONTAINER_PATH)
    return _file_of(environment) is not None or any(environment.get(name) for name in roles)


class _File(Provider):
    """The keys of one profile in a file, which is read again each time, since a tool may have renewed them."""

    def __init__(self, path: Path, profile: str) -> None:
        self._path, self._profile = path, profile
        self._reader = AWSConfigProvider(str(path), profile)

    def retrieve(self) -> Credentials:
        """The keys as they stand there now.

        Raises:
            StoreError: the file cannot be read, or does not hold two keys that can be sent.
        """
        try:
            # AWSConfigProvider takes a file that it cannot read for an empty one, and reads a device without end.
            read_text(self._path, _FILE_BYTES)
            found: Credentials = self._reader.retrieve()
        except (OSError, ValueError, configparser.Error) as error:
            # The error's text may be the line with the key.
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
    """The file of keys that is named, or the one of AWS's tools if it has the profile; None: neither."""
    wanted = environment.get(CREDENTIALS_PROFILE)
    profile = wanted or "default"
    if named := environment.get(CREDENTIALS_FILE):
        return _File(Path(named), profile)
    try:
        path = Path("~/.aws/credentials").expanduser()
        text = read_text(path, _FILE_BYTES) if path.is_file() else ""
    except (RuntimeError, PermissionError):  # there is no home folder, or it is somebody else's
        text = ""
    except (OSError, ValueError):
        return _File(path, profile)  # which says what is wrong with it
    return _File(path, profile) if wanted or f"[{profile}]" in text else None
