"""One request to an API that speaks JSON, and its answer, which is believed only if it is one of the API's.

Another server may answer, such as a sign-in page, and it may repeat what it was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError

from model_core.deadlines import Limits
from model_core.documents import parse_json
from model_core.errors import (
    DeniedError,
    StoreError,
    StoreTimeoutError,
    UnavailableError,
    UserError,
    shortened,
)
from model_core.store.answers import EndlessError, framed, whole
from model_core.store.certificates import authorities, unsafe
from model_core.store.pace import Pace, paced, pool_of
from model_core.texts import DocumentError
from model_core.web.credentials import Credentials, Variables, credentials_for

_LIMITS = Limits(
    connect_seconds=10.0,
    read_seconds=60.0,
    total_seconds=120.0,
    least_bytes_per_second=float("inf"),
    rate_window_seconds=float("inf"),
)
"""A request and the whole of its answer take no longer than ``total_seconds``, at whatever rate they come."""
_ANSWER_BYTES = 2**24
"""Largest answer, unpacked."""
_PASSING = {429, 500, 502, 503, 504}
"""Status codes of an API that is overloaded or being restarted, or of a gateway in front of it."""
_SAID_CHARACTERS = 500


class Answer(BaseModel):
    """An answer of the API, with the fields of it that are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NotTheApiError(StoreError):
    """Something other than the API answers."""


class UnknownError(UserError):
    """The API does not know what was asked for."""


@dataclass(frozen=True)
class Service:
    """An API, with the words of the messages about it.

    Args:
        title: what it is called.
        prefix: path that comes before that of every request.
        variables: where its credentials stand.
        if_denied: what to do if it asks for credentials.
        if_forbidden: what to do if it does not let this user.
        if_another: what to do if something else answers.
        checks: what to check, besides its address, if it refuses a request.
    """

    title: str
    prefix: str
    variables: Variables
    if_denied: str
    if_forbidden: str
    if_another: str
    checks: str


_Answer = TypeVar("_Answer", bound=Answer)


class Connection:
    """Requests to one host.

    Args:
        service: the API that is expected there.
        host: URL, without a slash at its end.
        over_http: whether credentials may travel unencrypted to another machine.

    Raises:
        UserError: the credentials cannot be read or sent, or there are no certificates where they should be.
    """

    def __init__(self, service: Service, host: str, *, over_http: bool = False) -> None:
        self.service, self.host, self._over_http = service, host, over_http
        self.credentials()
        self._pool = _pool(host)

    def credentials(self) -> Credentials:
        """The credentials of this moment: a file of them may have changed."""
        return credentials_for(self.host, self.service.variables, over_http=self._over_http)

    def beside(self, path: str) -> Self:
        """The same host, with ``path`` behind it."""
        return type(self)(self.service, self.host + path, over_http=self._over_http)

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The URL of ``path`` in the API."""
        return f"{self.host}{self.service.prefix}{path}" + (f"?{urlencode(query)}" if query else "")

    def ask(
        self,
        method: str,
        path: str,
        kind: type[_Answer],
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        file: tuple[str, bytes] | None = None,
    ) -> _Answer:
        """One request, which is not repeated.

        Args:
            method: ``GET``, ``POST`` and so on.
            path: what follows the API's prefix.
            kind: what the answer has to be.
            query: what follows the path; empty values are left out.
            body: sent as JSON; None: nothing.
            file: name and content, sent as a form; None: none.

        Raises:
            DeniedError: the API asks for credentials, or refuses those it was given.
            UnavailableError: it does not answer now, or not in time.
            NotTheApiError: something else answers, or more than an answer of the API can be.
            StoreError: the server's certificate cannot be trusted.
            UnknownError: the API does not know what was asked for.
            UserError: the API refuses.
        """
        credentials = self.credentials()
        more: dict[str, Any] = {"headers": dict(credentials.headers)}
        if body is not None:
            more["json"] = body
        if file is not None:
            more["fields"] = {"uploadfile": file}
        url = self.url(path, {name: value for name, value in (query or {}).items() if value})
        try:
            with paced(Pace(_LIMITS, most_bytes=framed(_ANSWER_BYTES))):
                answer = self._pool.request(method, url, redirect=False, preload_content=False, **more)
                response = whole(answer, method, _ANSWER_BYTES)
        except StoreTimeoutError as error:
            raise UnavailableError(
                f"{self.host} did not answer in full within {_LIMITS.total_seconds:g} s; check {self._address} and "
                "the network, or look at the cluster"
            ) from error
        except EndlessError as error:
            raise self._not_the_api(f"sends more than {_ANSWER_BYTES:,} bytes as one answer") from error
        except urllib3.exceptions.SSLError as error:
            raise StoreError(unsafe(error, self.host, self._address), uri=self.host) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = credentials.cut_out(shortened(str(error).rpartition(": ")[2]))
            raise UnavailableError(
                f"cannot reach {self.host} ({reason or type(error).__name__}); check {self._address} and the "
                "network"
            ) from error
        self._refuse_status(response, credentials)
        try:
            return kind.model_validate(parse_json(response.data))
        except (DocumentError, ValidationError) as error:
            raise self._not_the_api(f"does not answer as {self.service.title} does") from error

    def _refuse_status(self, response: urllib3.BaseHTTPResponse, credentials: Credentials) -> None:
        status = response.status
        if 200 <= status < 300 and not _is_page(response):
            return
        if target := response.get_redirect_location():
            raise self._not_the_api(f"redirects to {_whose(str(target))}, as to a sign-in page")
        said = f"{status} {credentials.cut_out(_said(response))}".strip()
        if status in {401, 403}:
            raise DeniedError(f"{self.host} answered {said}; {self._remedy(status, credentials)}")
        if status in _PASSING:
            raise UnavailableError(f"{self.host} answered {said}; try again, or look at the cluster")
        if _is_page(response):
            raise self._not_the_api(f"answers with a web page ({status})")
        kind = UnknownError if status == 404 else UserError
        raise kind(f"{self.host} answered {said}; check {self._address} and {self.service.checks}")

    def _not_the_api(self, what: str) -> NotTheApiError:
        return NotTheApiError(f"{self.host} {what}; {self.service.if_another}")

    @property
    def _address(self) -> str:
        return self.service.variables.address

    def _remedy(self, status: int, credentials: Credentials) -> str:
        if not credentials.named:
            return self.service.if_denied
        given = " and ".join(credentials.named)
        if status == 401:
            return f"{given} may have expired; get a new one"
        return f"the user of {given} may not do this; {self.service.if_forbidden}"


def _pool(host: str) -> urllib3.PoolManager:
    context = authorities() if urlsplit(host).scheme == "https" else None
    return pool_of(_LIMITS, urllib3.PoolManager, retries=False, ssl_context=context)


def _whose(target: str) -> str:
    """Where a redirect leads, without its path and query, which may hold a secret."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "something that is no URL"
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "another page of it"


def _is_page(response: urllib3.BaseHTTPResponse) -> bool:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"


def _said(response: urllib3.BaseHTTPResponse) -> str:
    """The API's own reason, from the field ``message`` of a JSON object, or else HTTP's."""
    try:
        message = parse_json(response.data)["message"]
    except (DocumentError, TypeError, KeyError):
        message = response.reason
    return shortened(str(message or ""), _SAID_CHARACTERS)
