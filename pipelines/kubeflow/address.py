"""Where the API of Kubeflow Pipelines may be, and over which connections credentials may be sent to it."""

from urllib.parse import urlsplit

from model_core.errors import UserError, printable, quoted

EXAMPLE = "https://kubeflow.example/pipeline"
DASHBOARD_PATH = "/pipeline"
"""Where the API stands on a host that Kubeflow's dashboard answers for."""


def checked_host(host: str) -> str:
    """What a user gave with ``--host``, without a slash at its end; a password in it is not repeated.

    Raises:
        UserError: it is not a URL, or not one URL alone.
    """
    return checked_url(host, "--host", "the API's token into KFP_TOKEN", EXAMPLE)


def checked_url(host: str, flag: str, secret: str, example: str) -> str:
    """The URL of a server, without a slash at its end.

    Args:
        flag: with which it was given.
        secret: what belongs where instead of into a URL.
        example: of such a URL.

    Raises:
        UserError: it is not a URL, or not one URL alone; a password in it is not repeated.
    """
    try:
        parts = urlsplit(host)
        hostname, port_fits = parts.hostname, parts.port is None or parts.port > 0
    except ValueError:
        parts, hostname, port_fits = None, None, False
    if "@" in host or (parts is not None and parts.query):
        raise UserError(f"{flag} holds credentials or a query; put {secret}, and leave the URL bare")
    if parts is None or parts.scheme not in {"http", "https"} or not hostname or printable(host) != host:
        raise UserError(f"{flag} {quoted(host)} is not a URL; write e.g. {example}")
    if not port_fits or any(character.isspace() for character in host):
        raise UserError(f"{flag} {quoted(host)} has no host and port that fit; write e.g. {example}")
    if "#" in host:
        raise UserError(
            f"{flag} {quoted(host)} is the address of a page; leave out # and what follows: {host.partition('#')[0]}"
        )
    return host.rstrip("/")
