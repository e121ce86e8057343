"""Over which way what is sent to a URL travels."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(hostname: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def is_readable_on_the_way(host: str) -> bool:
    """Whether others on the network can read what is sent to the URL ``host``."""
    parts = urlsplit(host)
    # A backslash ends the host for whoever sends, and stands before the host for ``urlsplit``.
    return parts.scheme == "http" and ("\\" in host or not is_loopback(parts.hostname or ""))
