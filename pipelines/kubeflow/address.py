"""Where the API of Kubeflow Pipelines may be, and over which way to it credentials may travel."""

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
    try:
        parts = urlsplit(host)
        hostname, port_fits = parts.hostname, parts.port is None or parts.port > 0
    except ValueError:
        parts, hostname, port_fits = None, None, False
    if "@" in host or (parts is not None and parts.query):
        raise UserError(
            "--host holds credentials or a query; put the API's token into KFP_TOKEN, and leave the URL bare"
        )
    if parts is None or parts.scheme not in {"http", "https"} or not hostname or printable(host) != host:
        raise UserError(f"--host {quoted(host)} is not a URL; write e.g. {EXAMPLE}")
    if not port_fits or any(character.isspace() for character in host):
        raise UserError(f"--host {quoted(host)} has no host and port that fit; write e.g. {EXAMPLE}")
    if "#" in host:
        raise UserError(
            f"--host {quoted(host)} is the address of a page; leave out # and what follows: {host.partition('#')[0]}"
        )
    return host.rstrip("/")
