"""Try every door of a running S3 server as a stranger would: without keys and without a certificate.

Which doors there are is not taken from the command line but from the system: whatever the server's processes listen
on, so that a port that a later version opens by itself is tried, too.
"""

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import urllib3

from model_core.deadlines import Limits
from model_core.disk import temporary_folder
from model_core.store.pace import Pace, paced, pool_of
from pipelines.store_tls import write_certificate

_SECONDS = 30.0
"""After this a door that neither answers nor closes counts as open."""
_HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
"""How a gRPC client begins: HTTP/2's preface and an empty frame of settings."""
_NO = {400, 401, 403}
"""How the S3 port refuses; 400 where a request without a signature is not even understood."""
_KEY = "pgat-door"
_S3_REQUESTS = (
    ("GET", "/"),
    ("GET", "/{bucket}?list-type=2"),
    ("PUT", "/{bucket}/" + _KEY),
    ("GET", "/{bucket}/" + _KEY),
    ("DELETE", "/{bucket}/" + _KEY),
    ("POST", "/"),
)
_FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
_FORM = "Action=CreateAccessKey&UserName=pgat-door&Version=2010-05-08"
"""What the key management that shares S3's port is asked for by POST."""
_HEAD_BYTES = 2**20
"""Of an answer's head, and what comes with it."""
Address = tuple[str, int]
EVERYWHERE = "0.0.0.0"


def tcp_doors(server: int) -> list[Address]:
    """Where the process ``server`` and its children listen, as (address, port)."""
    return sorted(
        {
            (found.laddr.ip, found.laddr.port)
            for process in _family(server)
            for found in process.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN
        }
    )


def socket_files(server: int) -> list[Path]:
    """Files of the Unix sockets that the process ``server`` and its children have."""
    named = {
        Path(str(found.laddr))
        for process in _family(server)
        for found in process.net_connections("unix")
        if found.laddr
    }
    return sorted(path for path in named if path.is_socket())


def open_doors(server: int, address: str, s3_port: int, bucket: str) -> list[str]:
    """What lets a stranger in, in words; empty if nothing does.

    Args:
        server: process number of the server.
        address: where it was told to listen; what listens elsewhere counts as open.
        s3_port: its only port that may speak without TLS.
        bucket: one that exists.
    """
    doors = tcp_doors(server)
    found = (
        [f"nothing of the server listens on port {s3_port}"] if s3_port not in {p for _, p in doors} else []
    )
    found += [f"port {port} listens on {ip}" for ip, port in doors if address not in (ip, EVERYWHERE)]
    found += _open_s3(f"http://127.0.0.1:{s3_port}", bucket)
    with temporary_folder() as folder:
        write_certificate(folder)
        for port in sorted({port for _, port in doors} - {s3_port}):
            found += [f"port {port} {how}" for how in _entered(port, folder)]
    return found + [f"others may use {path}" for path in socket_files(server) if _reachable(path)]


def _family(server: int) -> Iterator[psutil.Process]:
    process = psutil.Process(server)
    yield process
    yield from process.children(recursive=True)


def _open_s3(endpoint: str, bucket: str) -> list[str]:
    """Requests without a signature that were not refused."""
    statuses = {}
    for method, template in _S3_REQUESTS:
        path = template.format(bucket=bucket)
        body, headers = (_FORM, _FORM_HEADERS) if method == "POST" else (None, None)
        statuses[f"{method} {path}"] = _status(method, endpoint + path, body, headers)
    return [f"{what} without keys was answered {got}" for what, got in statuses.items() if got not in _NO]


def _status(method: str, url: str, body: str | None, headers: dict[str, str] | None) -> int:
    """Of the answer; its content, which may go on without end, is not read."""
    limits = Limits(total_seconds=_SECONDS)
    with (
        pool_of(limits, urllib3.PoolManager, retries=False) as client,
        paced(Pace(limits, most_bytes=_HEAD_BYTES)),
    ):
        answer = client.request(
            method, url, body=body, headers=headers, redirect=False, preload_content=False
        )
        answer.close()
        return answer.status


def _entered(port: int, stranger: Path) -> list[str]:
    """How one gets in at a port that should ask for a certificate of the server's own authority."""
    ways = [
        how
        for how, request in (("answers HTTP without TLS", _HTTP), ("answers gRPC without TLS", _GRPC))
        if not _refused(_plain(port, request))
    ]
    if _tls(port, None) != b"":
        ways.append("needs no certificate")
    if _tls(port, stranger) != b"":
        ways.append("accepts anybody's certificate")
    return ways


def _refused(answer: bytes) -> bool:
    """Whether a server of TLS said no to somebody who speaks without: by silence, an alert, or HTTP's "bad request"."""
    return answer == b"" or answer.startswith((b"\x15\x03", b"HTTP/1.0 400", b"HTTP/1.1 400"))


def _plain(port: int, request: bytes) -> bytes:
    """The beginning of what a port answers; empty when it closes the connection, ``…`` when it only waits."""
    try:
        with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except TimeoutError:
        return "…".encode()
    except ConnectionError:
        return b""


def _tls(port: int, certificate: Path | None) -> bytes:
    """The beginning of what a port answers over TLS; empty when it refuses, ``…`` when it only waits."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    try:
        with (
            socket.create_connection(("127.0.0.1", port), _SECONDS) as connection,
            context.wrap_socket(connection) as tls,
        ):
            tls.sendall(_GRPC if tls.selected_alpn_protocol() == "h2" else _HTTP)
            return tls.recv(64)
    except TimeoutError:
        return "…".encode()
    except (ssl.SSLError, ConnectionError):
        return b""


def _reachable(path: Path) -> bool:
    """Whether others than its owner can connect to a Unix socket: they need to write it and to pass its folder."""
    others = stat.S_IRWXG | stat.S_IRWXO
    with suppress(FileNotFoundError):
        return bool(path.stat().st_mode & others and path.parent.stat().st_mode & others)
    return False


def remove_socket_files(paths: list[Path]) -> None:
    """Remove sockets of this user's that a server has left."""
    for path in paths:
        with suppress(FileNotFoundError):
            if path.is_socket() and path.lstat().st_uid == os.getuid():
                path.unlink()
