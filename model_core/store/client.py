"""The client of an S3-compatible object store: where it is, with which keys, and how long it may take.

Settings come from the environment, under the names the AWS tools use:

    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional)
    AWS_ENDPOINT_URL     e.g. http://seaweedfs.kubeflow:9000; default https://s3.amazonaws.com;
                         S3_ENDPOINT is read where it is not set
    AWS_REGION           default: AWS_DEFAULT_REGION, the one in an endpoint of Amazon's, or us-east-1

How long it may take stands in the section ``store`` of the settings; see ``model_core.deadlines``.
"""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3
from minio import Minio

from model_core.deadlines import Limits
from model_core.errors import StoreError
from model_core.store.answers import whole
from model_core.store.certificates import authorities
from model_core.store.pace import PacedRetry, pool_of
from model_core.variables import (
    ACCESS_KEY,
    CLUSTER_STORE,
    ENDPOINT,
    KEYS,
    OTHER_ENDPOINT,
    OTHER_REGION,
    REGION,
    SECRET_KEY,
    SESSION_TOKEN,
)

_AWS = "https://s3.amazonaws.com"
# The SDK's own default retries for minutes before a wrong endpoint is reported.
_RETRIES = PacedRetry(total=3, redirect=False, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))
_REGIONAL_HOST = re.compile(r"s3(?:\.dualstack)?[.-]([a-z]+-[a-z-]+-\d+)\.amazonaws\.com(?:\.cn)?")
_HEADER_VALUE = re.compile(r"[!-~]+")
ANSWER_BYTES = 2**24
"""Of a list or an error; a page of a list has 1,000 keys of at most 1,024 bytes."""


class RedirectError(urllib3.exceptions.HTTPError):
    """The server answered with a redirect."""


class _Guarded(urllib3.PoolManager):
    """Follows no redirect, and keeps no answer without end.

    Whoever a redirect leads to would get the session's token. Lists and errors are read whole by the SDK, whatever
    their size; only objects are not.
    """

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, preload_content: bool = True, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request; it is answered by the server that it is for."""
        response = super().urlopen(method, url, redirect=False, preload_content=False, **more)
        if response.get_redirect_location():
            response.close()
            raise RedirectError
        if not preload_content and response.status in {200, 206}:
            return response
        return whole(response, method, ANSWER_BYTES)


def connect(environment: Mapping[str, str] = os.environ, limits: Limits | None = None) -> Minio:
    """A client for the endpoint and credentials in the environment.

    Args:
        limits: how long it may take; those of the environment if None.

    Raises:
        StoreError: there are no credentials, one of them cannot be sent, the endpoint is not a URL, or
            ``SSL_CERT_FILE`` names no certificates; no message repeats a credential.
    """
    given = {name: _given(environment, name) for name in (*KEYS, SESSION_TOKEN, REGION, OTHER_REGION)}
    missing = [name for name in KEYS if not given[name]]
    if missing:
        raise StoreError(f"s3:// needs credentials; set {' and '.join(missing)} in the environment")
    parts = _endpoint(environment)
    pool = pool_of(
        limits or Limits.of_environment(environment),
        _Guarded,
        retries=_RETRIES,
        ssl_context=authorities() if parts.scheme == "https" else None,
    )
    try:
        return Minio(
            parts.netloc,
            access_key=given[ACCESS_KEY],
            secret_key=given[SECRET_KEY],
            session_token=given[SESSION_TOKEN] or None,
            secure=parts.scheme == "https",
            region=given[REGION] or given[OTHER_REGION] or _region_in(parts.hostname or "") or "us-east-1",
            http_client=pool,
        )
    except ValueError as error:
        raise StoreError(
            f"the S3 client refuses these settings ({error}); check {ENDPOINT} and {REGION}"
        ) from error


def _region_in(host: str) -> str | None:
    """The region that Amazon's own hosts name, e.g. ``s3.eu-west-1.amazonaws.com``; the client would rewrite it."""
    match = _REGIONAL_HOST.fullmatch(host)
    return match[1] if match else None


def _given(environment: Mapping[str, str], name: str) -> str:
    """A variable's value without white space around it; it will travel in an HTTP header."""
    value = environment.get(name, "").strip()
    if value and not _HEADER_VALUE.fullmatch(value):
        raise StoreError(
            f"{name} holds a character that cannot be sent, for example a line break or a blank; copy it again"
        )
    return value


def _endpoint(environment: Mapping[str, str]) -> SplitResult:
    """The store's URL: scheme, host and port, nothing else."""
    name = ENDPOINT if environment.get(ENDPOINT) else OTHER_ENDPOINT
    wanted = f"{name} is not a URL like {CLUSTER_STORE}"
    try:
        parts = urlsplit(_given(environment, name) or _AWS)
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
