"""The addresses of a store and of a server that gives keys for it: read from the environment, and checked."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from model_core.errors import StoreError
from model_core.variables import CLUSTER_STORE, ENDPOINT, KEYS, OTHER_ENDPOINT, OTHER_REGION, REGION

_AWS = "https://s3.amazonaws.com"
_REGIONAL_HOST = re.compile(r"s3(?:\.dualstack)?[.-]([a-z]+-[a-z-]+-\d+)\.amazonaws\.com(?:\.cn)?")
_HEADER_VALUE = re.compile(r"[!-~]+")


def is_sendable(value: str) -> bool:
    """Whether ``value`` can stand in an HTTP header."""
    return _HEADER_VALUE.fullmatch(value) is not None


def given(environment: Mapping[str, str], name: str) -> str:
    """A variable's value without white space around it; empty if it is not set.

    Raises:
        StoreError: it cannot stand in an HTTP header; the message does not repeat it.
    """
    value = environment.get(name, "").strip()
    if value and not is_sendable(value):
        raise StoreError(
            f"{name} holds a character that cannot be sent, for example a line break or a blank; copy it again"
        )
    return value


def endpoint_of(environment: Mapping[str, str]) -> SplitResult:
    """The store's URL: scheme, host and port, nothing else; Amazon's if the environment names none.

    Raises:
        StoreError: it is not such a URL.
    """
    name = ENDPOINT if environment.get(ENDPOINT) else OTHER_ENDPOINT
    return checked_url(given(environment, name) or _AWS, name)


def checked_url(url: str, name: str) -> SplitResult:
    """``url`` in its parts: scheme, host and port.

    Args:
        name: of the variable or flag that holds it; the URL itself is not repeated, since it may hold a password.

    Raises:
        StoreError: it is not a URL, or has more than these parts.
    """
    wanted = f"{name} is not a URL like {CLUSTER_STORE}"
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError as error:
        raise StoreError(f"{wanted}; write scheme, host and port") from error
    if "@" in parts.netloc:
        raise StoreError(
            f"{name} holds credentials; put them into {' and '.join(KEYS)}, and take them out of the URL"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_fits:
        raise StoreError(f"{wanted}; write scheme, host and port")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise StoreError(
            f"{name} has more than scheme, host and port; the bucket and prefix belong in s3://…"
        )
    return parts


def region_of(environment: Mapping[str, str]) -> str:
    """The region that requests are signed for: the one that is named, else that of Amazon's endpoint, else us-east-1.

    Without it the client would take the region from the name of Amazon's host, and ask another host.

    Raises:
        StoreError: as ``endpoint_of`` and ``given``.
    """
    named = given(environment, REGION) or given(environment, OTHER_REGION)
    match = _REGIONAL_HOST.fullmatch(endpoint_of(environment).hostname or "")
    return named or (match[1] if match else "us-east-1")


def is_amazons(endpoint: SplitResult) -> bool:
    """Whether a store is Amazon's own."""
    return bool(re.search(r"\.amazonaws\.com(?:\.cn)?$", endpoint.hostname or ""))
