"""The credentials for an API: a bearer token or a session's cookie from the environment, read again for every request.

Both may expire while somebody waits. The variables of a running process do not change, so each of the two may also be
in a file, such as the token that a cluster projects into a pod and renews.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_core.errors import UserError
from model_core.texts import DocumentError, read_text
from model_core.web.address import is_readable_on_the_way

_FILE_BYTES = 2**16
_SHORTEST_SECRET = 6
"""Characters: shorter pieces of a cookie would cut words out of a message."""


@dataclass(frozen=True)
class Variables:
    """Where a server's credentials stand in the environment, and how its URL is given.

    Args:
        headers: ``Authorization`` or ``Cookie`` → the variable that holds its secret, and the one that names a file
            with it.
        address: the flag with the server's URL.
        over_http: the flag that lets credentials travel unencrypted; empty: there is none.
    """

    headers: Mapping[str, tuple[str, str]]
    address: str
    over_http: str = ""


@dataclass(frozen=True)
class Credentials:
    """What a request carries to say who asks.

    Args:
        headers: name → value, as HTTP sends them.
        named: the variables that they come from, for messages.
        renewed: whether one of them comes from a file, which may hold another secret a moment later.
    """

    headers: Mapping[str, str]
    named: tuple[str, ...]
    renewed: bool = False

    def cut_out(self, text: str) -> str:
        """``text`` with ``…`` in place of each secret: a server may repeat what it was sent."""
        for value in self.headers.values():
            for piece in re.split(r"[\s;]+", value.removeprefix("Bearer ")):
                for secret in (piece, piece.partition("=")[2]):
                    if len(secret) >= _SHORTEST_SECRET:
                        text = text.replace(secret, "…")
        return text


def credentials_for(host: str, variables: Variables, *, over_http: bool) -> Credentials:
    """The credentials of the environment, if they may travel to ``host``.

    Raises:
        UserError: one cannot be read or sent, or others could read it on the way.
    """
    headers, named, renewed = {}, [], False
    for header, (variable, file_variable) in variables.headers.items():
        name, text = variable, os.environ.get(variable, "")
        if not text.strip() and (file := os.environ.get(file_variable)):
            name, text, renewed = file_variable, _content(file_variable, file), True
        if secret := text.strip():
            headers[header] = _sendable(name, secret, header)
            named.append(name)
    if named and is_readable_on_the_way(host) and not over_http:
        trusted = f", or {variables.over_http} where the network is trusted" if variables.over_http else ""
        raise UserError(
            f"{variables.address} {host} is not encrypted, and {named[0]} would be readable on the way; use "
            f"https://{trusted}"
        )
    return Credentials(headers, tuple(named), renewed)


def _content(variable: str, file: str) -> str:
    try:
        return read_text(Path(file), _FILE_BYTES)
    except (OSError, DocumentError) as error:
        raise UserError(f"{variable} names a file that cannot be read ({error}); check its path") from error


def _sendable(name: str, secret: str, header: str) -> str:
    """The header's value; no message repeats it."""
    cookie = header == "Cookie"
    if not re.fullmatch(r"[!-~]+(?: [!-~]+)*" if cookie else r"[!-~]+", secret):
        raise UserError(
            f"{name} holds a character that cannot be sent, for example a line break; copy it again"
        )
    if not cookie:
        return f"Bearer {secret}"
    if not re.match(r"[^=;:]+=", secret):
        raise UserError(
            f"{name} is not a cookie; write NAME=VALUE, as the browser shows it of a signed-in page"
        )
    return secret
