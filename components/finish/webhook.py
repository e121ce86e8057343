"""One message to a URL when a run has ended, for a chat room or a pager."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import urllib3

from model_core.deadlines import Limits
from model_core.errors import StoreError, StoreTimeoutError, UserError, printable
from model_core.store.answers import EndlessError, framed, whole
from model_core.store.certificates import authorities, unsafe
from model_core.store.pace import Pace, paced, pool_of
from model_core.variables import WEBHOOK
from model_core.web.address import is_readable_on_the_way

_LIMITS = Limits(
    connect_seconds=5.0,
    read_seconds=10.0,
    total_seconds=15.0,
    least_bytes_per_second=float("inf"),
    rate_window_seconds=float("inf"),
)
_ANSWER_BYTES = 2**16
"""Largest answer that is read; only its status matters."""


def checked_webhook(url: str) -> str:
    """``url``, if it may be posted to; no message repeats it, since whoever knows it may post, too.

    Raises:
        UserError: it is not a URL, or others could read it, and what is sent, on the way.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or printable(url) != url or any(character.isspace() for character in url):
        raise UserError(f"{WEBHOOK} holds no URL; write https://host/path")
    if is_readable_on_the_way(url):
        raise UserError(
            f"{WEBHOOK} starts with http://, and others could read it on the way; use https://, or http:// to a "
            "server on this machine"
        )
    return url


def post(url: str, message: Mapping[str, object]) -> None:
    """Send ``message`` as JSON, once, within 15 seconds, and follow no redirect.

    Raises:
        StoreError: the server cannot be reached, is not who it should be, or does not take it.
        UserError: ``url`` may not be posted to.
    """
    url = checked_webhook(url)
    host = f"the host of {WEBHOOK}"
    context = authorities() if urlsplit(url).scheme == "https" else None
    pool = pool_of(_LIMITS, urllib3.PoolManager, retries=False, ssl_context=context)
    try:
        with paced(Pace(_LIMITS, most_bytes=framed(_ANSWER_BYTES))):
            answer = pool.request("POST", url, json=dict(message), redirect=False, preload_content=False)
            status = whole(answer, "POST", _ANSWER_BYTES).status
    except (StoreTimeoutError, EndlessError) as error:
        raise StoreError(
            f"{host} did not answer within {_LIMITS.total_seconds:g} s, or not as a webhook does; check the URL and "
            "the network"
        ) from error
    except urllib3.exceptions.SSLError as error:
        raise StoreError(unsafe(error, host, WEBHOOK)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # The text of urllib3's errors holds the URL.
        raise StoreError(
            f"{host} cannot be reached ({type(error).__name__}); check the URL and the network"
        ) from error
    if not 200 <= status < 300:
        raise StoreError(f"{host} answered {status}; check that the URL is whole, and still valid")
