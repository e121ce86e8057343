"""The keys of a role: asked for when they are needed, and again before they expire.

A pod has a role through its ServiceAccount: the cluster mounts a token, renews it, and a server (STS, the security
token service) gives keys for it. A container or machine has one through an agent that answers on an address of its own.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import IamAwsProvider, Provider, WebIdentityProvider

from model_core.errors import StoreError, UnavailableError, quoted, shortened
from model_core.store.certificates import unsafe
from model_core.store.endpoint import checked_url, endpoint_of, given, is_amazons, is_sendable, region_of
from model_core.texts import DocumentError, read_text
from model_core.variables import (
    CONTAINER_PATH,
    CONTAINER_TOKEN_FILE,
    CONTAINER_URL,
    CREDENTIALS_FILE,
    IDENTITY_FILE,
    KEYS,
    MACHINE_DISABLED,
    MACHINE_ENDPOINT,
    ROLE,
    ROLE_ENDPOINT,
    ROLE_SESSION,
)

_MARGIN_SECONDS = 300.0
"""New keys are asked for this long before the old ones expire, or a quarter of their time if that is less."""
_PAUSE_SECONDS = 30.0
"""Between two attempts while the old keys are still valid."""
_TOKEN_BYTES = 2**16
_AGENTS = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"}
"""Hosts of container agents, as AWS's SDKs have them; a token goes to no other host unencrypted."""
_NONE = (
    f"s3:// needs credentials; set {' and '.join(KEYS)} in the environment, name a file of keys with "
    f"{CREDENTIALS_FILE}, or give the pod or machine a role"
)

_held: dict[tuple[str, ...], "_Renewed"] = {}
"""What a role is asked with → its keys, which all stores of this process share."""


def role_of(environment: Mapping[str, str], pools: Callable[[str, bool], urllib3.PoolManager]) -> Provider:
    """The keys of the role of this pod, container or machine; no server is asked before the first request.

    Raises:
        StoreError: only half of a role is described, or there is none.
    """
    names = (
        IDENTITY_FILE,
        ROLE,
        ROLE_SESSION,
        CONTAINER_URL,
        CONTAINER_PATH,
        CONTAINER_TOKEN_FILE,
        MACHINE_ENDPOINT,
    )
    values = {name: given(environment, name) for name in (*names, ROLE_ENDPOINT, MACHINE_DISABLED)}
    if values[IDENTITY_FILE] or values[ROLE]:
        made = _pods_role(environment, values, pools)
    elif values[CONTAINER_URL] or values[CONTAINER_PATH]:
        made = _containers_role(values, pools)
    elif values[MACHINE_DISABLED].lower() == "true":
        raise StoreError(_NONE)
    else:
        made = _machines_role(values, pools)
    asked = (*values.values(), *map(str, endpoint_of(environment)), region_of(environment))
    return _held.setdefault(asked, made)


class _Renewed(Provider):
    """Keys that expire, and are renewed before they do.

    Args:
        make: gives a provider that asks for new ones.
        failed: makes a sentence of the reason of a failure.
        variable: the one that holds the server's URL.
        pauses: seconds before each further attempt after a failure that may pass.
    """

    def __init__(
        self,
        make: Callable[[], Provider],
        failed: Callable[[str], str],
        variable: str,
        pauses: Sequence[float] = (0.5, 1.0),
    ) -> None:
        self._make, self._failed, self._variable, self._pauses = make, failed, variable, pauses
        self._keys: Credentials | None = None
        self._again = 0.0
        """When to ask for new ones, on the monotonic clock."""
        self._lock = threading.Lock()

    def retrieve(self) -> Credentials:
        """Keys that are still valid.

        Raises:
            StoreError: there are none, and the server gives none.
        """
        with self._lock:
            if self._keys is None or time.monotonic() >= self._again:
                try:
                    self._keys = self._new()
                    self._again = time.monotonic() + _seconds_of(self._keys)
                except StoreError:
                    if self._keys is None or self._keys.is_expired():
                        raise
                    self._again = time.monotonic() + _PAUSE_SECONDS
            return self._keys

    def _new(self) -> Credentials:
        for pause in self._pauses:
            try:
                return self._asked()
            except UnavailableError:
                time.sleep(pause)
        return self._asked()

    def _asked(self) -> Credentials:
        provider = self._make()
        try:
            keys = provider.retrieve()
        except urllib3.exceptions.SSLError as error:
            raise StoreError(self._failed(unsafe(error, "that server", self._variable))) from None
        except urllib3.exceptions.NewConnectionError as error:
            raise UnavailableError(
                self._failed(f"no connection ({str(error).rpartition(': ')[2]})")
            ) from None
        except urllib3.exceptions.HTTPError as error:
            # Its text may hold the URL, and with it the token.
            raise UnavailableError(self._failed(type(error).__name__)) from None
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            ParseError,
            OSError,
        ) as error:
            # The client does not check the answer, which may be of any form.
            raise StoreError(self._failed("its answer holds no keys")) from error
        # The error for a header that cannot be sent would quote it, and it is a secret.
        if not all(map(is_sendable, (keys.access_key, keys.session_token or "-"))):
            raise StoreError(self._failed("its keys hold a character that cannot be sent"))
        return keys


class _Telling(urllib3.PoolManager):
    """A pool that turns a server's refusal into an error with the server's own reason."""

    def __init__(self, pool: urllib3.PoolManager, failed: Callable[[str], str]) -> None:
        super().__init__()
        self._pool, self._failed = pool, failed

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request; raises ``StoreError`` for a status of 400 or more."""
        answer = self._pool.urlopen(method, url, redirect, **more)
        if answer.status < 400:
            return answer
        text = answer.data[:_TOKEN_BYTES].decode("utf-8", "replace")
        # A server may repeat what it was sent.
        sent = [*(more.get("headers") or {}).values()]
        for token in [*parse_qs(urlsplit(url).query).get("WebIdentityToken", []), *sent]:
            text = text.replace(token or "…", "…")
        found = [re.search(rf"<{name}>([^<]*)", text) for name in ("Code", "Message")]
        told = ": ".join([f"HTTP {answer.status}", *(shortened(match[1]) for match in found if match)])
        kind = UnavailableError if answer.status >= 500 or answer.status == 429 else StoreError
        raise kind(self._failed(told))


def _pods_role(
    environment: Mapping[str, str],
    values: Mapping[str, str],
    pools: Callable[[str, bool], urllib3.PoolManager],
) -> _Renewed:
    for name, other in ((IDENTITY_FILE, ROLE), (ROLE, IDENTITY_FILE)):
        if not values[name]:
            raise StoreError(f"{other} is set and {name} is not; a role needs both, as the cluster sets them")
    endpoint = values[ROLE_ENDPOINT]
    if not endpoint and not is_amazons(endpoint_of(environment)):
        raise StoreError(
            f"a role for a store that is not Amazon's needs {ROLE_ENDPOINT}, the URL of the server that gives its "
            "keys, often the store's own"
        )
    region = region_of(environment)
    china = ".cn" if region.startswith("cn-") else ""
    url = checked_url(endpoint or f"https://sts.{region}.amazonaws.com{china}", ROLE_ENDPOINT)
    remedy = f"check the role, its trust policy and {ROLE_ENDPOINT}"
    failed = partial(_refused, f"the role {shortened(values[ROLE])}", url.netloc, remedy)

    def make() -> Provider:
        token = _token_in(Path(values[IDENTITY_FILE]), IDENTITY_FILE)
        return WebIdentityProvider(
            jwt_provider_func=lambda: {"access_token": token},
            sts_endpoint=f"{url.scheme}://{url.netloc}",
            role_arn=values[ROLE],
            role_session_name=values[ROLE_SESSION] or _own_name(),
            http_client=_Telling(pools(url.scheme, False), failed),
        )

    return _Renewed(make, failed, ROLE_ENDPOINT)


def _containers_role(
    values: Mapping[str, str], pools: Callable[[str, bool], urllib3.PoolManager]
) -> _Renewed:
    full = values[CONTAINER_URL]
    scheme, host, variable = "http", "169.254.170.2", CONTAINER_PATH
    if full and not values[CONTAINER_PATH]:
        variable = CONTAINER_URL
        try:
            scheme, host = urlsplit(full).scheme, urlsplit(full).hostname or ""
        except ValueError:
            scheme, host = "", ""
        # A backslash ends the host for some readers of a URL, and not for others.
        elsewhere = scheme != "https" and (scheme != "http" or host not in _AGENTS)
        if elsewhere or "@" in full or "\\" in full:
            raise StoreError(
                f"{CONTAINER_URL} is neither https:// nor an agent of this machine; let the cluster set it"
            )
    remedy = f"check that role, and whether {variable} is as the cluster sets it"
    failed = partial(_refused, "this container's role", host, remedy)
    pool = _Telling(pools(scheme, False), failed)

    def make() -> Provider:
        if full and values[CONTAINER_TOKEN_FILE]:
            _token_in(Path(values[CONTAINER_TOKEN_FILE]), CONTAINER_TOKEN_FILE)
        return IamAwsProvider(http_client=pool)

    return _Renewed(make, failed, variable)


def _machines_role(values: Mapping[str, str], pools: Callable[[str, bool], urllib3.PoolManager]) -> _Renewed:
    endpoint = values[MACHINE_ENDPOINT].rstrip("/") or None
    scheme = checked_url(endpoint, MACHINE_ENDPOINT).scheme if endpoint else "http"

    def failed(reason: str) -> str:
        return f"{_NONE} (this machine gives none: {reason})"

    pool = _Telling(pools(scheme, True), failed)
    ask = partial(IamAwsProvider, custom_endpoint=endpoint, http_client=pool)
    return _Renewed(ask, failed, MACHINE_ENDPOINT, pauses=())


def _refused(whose: str, server: str, remedy: str, reason: str) -> str:
    return f"{server} gives no keys for {whose} ({reason}); {remedy}"


def _token_in(file: Path, variable: str) -> str:
    """The token as the cluster last wrote it.

    Args:
        variable: the one that names the file, for messages.

    Raises:
        StoreError: it cannot be read or sent.
    """
    try:
        token = read_text(file, _TOKEN_BYTES).strip()
        if not is_sendable(token.replace(" ", "-")):  # "Basic" and a blank may stand before it
            raise DocumentError("it is empty or not text")
    except (OSError, DocumentError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"{variable} names {quoted(str(file))}, which holds no token ({reason}); the cluster mounts it for a "
            "ServiceAccount that has a role"
        ) from error
    return token


def _own_name() -> str:
    """The name of this process in the role's log: STS takes 64 characters at most, and not all kinds."""
    return f"pgat-{re.sub(r'[^A-Za-z0-9.-]', '-', socket.gethostname())}"[:64]


def _seconds_of(keys: Credentials) -> float:
    """Seconds until new ones are to be asked for; infinite for keys that do not expire."""
    if keys.expiration is None:
        return float("inf")
    left = (keys.expiration.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, left - min(_MARGIN_SECONDS, left / 4))
