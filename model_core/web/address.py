"""Whether what is sent to a URL leaves this machine, and whether others can read it."""

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
    # In http://a\@localhost the host is "a" for the sender, and "localhost" for urlsplit.
    return parts.scheme == "http" and ("\\" in host or not is_loopback(parts.hostname or ""))
