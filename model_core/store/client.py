"""The client of an S3-compatible object store: where it is, with which keys, and how long it may take.

Settings come from the environment, under the names the AWS tools use:

    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional); where they are not set, see credentials.py
    AWS_ENDPOINT_URL     e.g. http://seaweedfs.kubeflow:9000; default https://s3.amazonaws.com;
                         S3_ENDPOINT is read where it is not set
    AWS_REGION           default: AWS_DEFAULT_REGION, the one in an endpoint of Amazon's, or us-east-1

How long it may take stands in the section ``store`` of the settings; see ``model_core.deadlines``.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import urllib3
from minio import Minio

from model_core.deadlines import Limits
from model_core.errors import StoreError
from model_core.store.answers import whole
from model_core.store.certificates import authorities
from model_core.store.credentials import provider_of
from model_core.store.endpoint import endpoint_of, region_of
from model_core.store.pace import PacedRetry, pool_of
from model_core.variables import ENDPOINT, REGION

# The SDK's own default retries for minutes before a wrong endpoint is reported.
_RETRIES = PacedRetry(total=3, redirect=False, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))
_SOON_SECONDS = 1.0
"""What somebody has who may not be there at all: the machine, asked for a role."""
_AT_ONCE = 8
"""Connections that are kept open."""
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
    parts, limits = endpoint_of(environment), limits or Limits.of_environment(environment)
    region = region_of(environment)

    def pool(scheme: str, retries: urllib3.Retry | bool, soon: bool = False) -> urllib3.PoolManager:
        return pool_of(
            replace(limits, connect_seconds=_SOON_SECONDS, read_seconds=_SOON_SECONDS) if soon else limits,
            _Guarded,
            retries=retries,
            maxsize=_AT_ONCE,
            ssl_context=authorities() if scheme == "https" else None,
        )

    def pool_for_keys(scheme: str, soon: bool) -> urllib3.PoolManager:
        # Who asks again by itself logs the URL, and there the token is.
        return pool(scheme, retries=False, soon=soon)

    try:
        return Minio(
            parts.netloc,
            credentials=provider_of(environment, pool_for_keys),
            secure=parts.scheme == "https",
            region=region,
            http_client=pool(parts.scheme, _RETRIES),
        )
    except ValueError as error:
        raise StoreError(
            f"the S3 client refuses these settings ({error}); check {ENDPOINT} and {REGION}"
        ) from error
