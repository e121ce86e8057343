"""How the API of Kubeflow Pipelines is reached: where it may be, what its token may travel over, what it may answer.

Nothing that it answers is trusted: it may be another server, such as a page to sign in, and repeat what it was sent.
"""

import ipaddress
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit

import kfp
import kfp_server_api
import urllib3

from model_core.errors import StoreError, UserError, printable, quoted
from model_core.variables import KFP_TOKEN


def refuse_bad_host(host: str) -> None:
    """Check what a user gave with ``--host``; a password in it is not repeated.

    Raises:
        UserError: it is no URL, or holds more than one.
    """
    try:
        parts = urlsplit(host)
        hostname = parts.hostname
    except ValueError:
        parts, hostname = None, None
    if "@" in host or (parts is not None and parts.query):
        raise UserError(
            "--host holds credentials or a query; put the API's token into KFP_TOKEN, and leave the URL bare"
        )
    if parts is None or parts.scheme not in {"http", "https"} or not hostname or printable(host) != host:
        raise UserError(f"--host {quoted(host)} is no URL; write e.g. https://kubeflow.example/pipeline")


def token_for(host: str, *, over_http: bool) -> str | None:
    """The API's token, where it may travel.

    Raises:
        UserError: it cannot be sent, or would go over the network for everybody to read.
    """
    token = os.environ.get(KFP_TOKEN, "").strip()
    if not token:
        return None
    if not re.fullmatch(r"[!-~]+", token):
        raise UserError(
            "KFP_TOKEN holds a character that cannot be sent, for example a line break; copy it again"
        )
    parts = urlsplit(host)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not over_http:
        raise UserError(
            f"--host {host} is not encrypted, and KFP_TOKEN would be readable on the way; use https://, or "
            "say --token-over-http where the network is trusted"
        )
    return token


def is_loopback(hostname: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def connected(host: str, namespace: str, token: str | None) -> kfp.Client:
    """A client of the API; ``SSL_CERT_FILE`` names the certificate of a private authority."""
    with warnings.catch_warnings():
        # The client says at each start that it wants a server newer than 2022's.
        warnings.filterwarnings("ignore", message="This client only works with", category=FutureWarning)
        return kfp.Client(
            host=host,
            namespace=namespace or "kubeflow",
            existing_token=token,
            ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
        )


def _said(error: kfp_server_api.ApiException) -> str:
    """The API's own words, which stand in the field ``message`` of a JSON object, or HTTP's."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return str(error.reason)


@contextmanager
def quiet() -> Iterator[None]:
    """The client prints links that the caller prints once, at the end, and logs what a server answers as it is."""
    root = logging.getLogger()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        root.addFilter(_not_of_kfp)
        try:
            yield
        finally:
            root.removeFilter(_not_of_kfp)


def _not_of_kfp(record: logging.LogRecord) -> bool:
    return Path(kfp.__file__).parent not in Path(record.pathname).parents


@contextmanager
def mapped(host: str) -> Iterator[None]:
    """Within it an answer that is none is a sentence.

    Raises:
        UserError: the API refuses.
        StoreError: it cannot be reached, or something else answers.
    """
    try:
        yield
    except kfp_server_api.ApiException as error:
        hint = "set KFP_TOKEN" if error.status in {401, 403} else "check --host and the submission"
        raise UserError(f"{host} answered {error.status} {_said(error)}; {hint}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreError(
            f"cannot reach {host} ({type(error).__name__}); check --host and the network"
        ) from error
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        # A page to sign in, for example: the client takes any answer with status 200 for one of the API's.
        raise StoreError(
            f"{host} does not answer as the API of Kubeflow Pipelines does; check --host, e.g. "
            "https://kubeflow.example/pipeline, and KFP_TOKEN"
        ) from error
