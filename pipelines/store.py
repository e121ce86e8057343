"""A real S3 server on this machine, for trying out ``s3://`` URIs: SeaweedFS, from the PyPI package.

It listens on 127.0.0.1 only and asks for keys: on its S3 port for S3's, on every other for a certificate that is made
at its start. docs/decisions/0006-the-local-store-asks-at-every-door.md says why it is made this way.
"""

import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from model_core.disk import followed, require_room
from model_core.errors import StoreError, UserError
from model_core.store.ownership import distrust
from pipelines.store_process import Server, end_on_sigterm, keys_given, started

__all__ = ["Server", "running_server", "serve"]
_GRPC_PORT_OFFSET = 10000
"""``weed`` also listens on each port plus this (gRPC)."""
_LOWEST, _PORTS = 12000, 10000
"""Linux gives programs that ask for any port one from 32768 on."""
_TRIES = 5


def serve(folder: Path, bucket: str, port: int) -> None:
    """Run the server until Ctrl-C or SIGTERM, after printing what to export.

    Raises:
        UserError: the program is missing, the port is taken or the folder cannot be written.
        StoreError: the server ended, does not answer or lets strangers in.
    """
    end_on_sigterm()
    with running_server(folder, bucket, port) as (server, process):
        print(f"S3 server at {server.endpoint}, bucket {bucket}, objects in {folder.resolve()}")
        print("in another terminal:\n")
        for name, value in server.environment().items():
            print(f"  export {name}={value}")
        print(f"\nthen e.g. --publish-uri s3://{bucket}/reports; Ctrl-C stops the server", flush=True)
        with suppress(KeyboardInterrupt):
            code = process.wait()
            raise StoreError(
                f"the S3 server ended with exit code {code}; see {folder / 'server.log'}", uri=str(folder)
            )
    print("\nstopped", flush=True)


@contextmanager
def running_server(
    folder: Path, bucket: str, port: int = 0
) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """The server as long as the block runs.

    Args:
        folder: where it keeps its objects, its keys and its log, for its owner only.
        bucket: made if there is none.
        port: 0 for any free one.

    Raises:
        UserError: the program is missing, the port is taken, or the folder cannot be written.
        StoreError: the server ended, does not answer or lets strangers in.
    """
    data, log = followed(folder, "--folder") / "data", folder / "server.log"
    try:
        _keep_to_its_owner(folder, data)
        require_room(folder)
        access_key, secret_key = keys_given() or _own_keys(folder / "keys")
        log.touch(mode=0o600)
        log.chmod(0o600)
        written = log.open("wb")
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another --folder") from error
    with written:
        try:
            with _started_at_free_ports(bucket, (access_key, secret_key), data, port, written) as running:
                yield running
        except StoreError as error:
            raise StoreError(f"{error}; its log is {log}", uri=str(folder)) from error


@contextmanager
def _started_at_free_ports(
    bucket: str, keys: tuple[str, str], data: Path, port: int, log: IO[bytes]
) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """The server at ``port``, or anywhere: then a port that another program took in between costs another try."""
    with ExitStack() as stack:
        for tries_left in reversed(range(_TRIES if port == 0 else 1)):
            ports = _ports(port)
            server = Server(f"http://127.0.0.1:{ports[0]}", bucket, *keys)
            try:
                process = stack.enter_context(started(server, data, ports, log))
            except StoreError:
                # Whoever holds one of the ports now took it after it was seen free.
                if not tries_left or all(map(_free, _with_grpc_ports(ports))):
                    raise
            else:
                yield server, process
                return


def _keep_to_its_owner(folder: Path, data: Path) -> None:
    """Make both folders; refuse them where somebody else could replace them.

    Raises:
        UserError: the folder or what is in it belongs to somebody else, or others may write there.
    """
    for each in (folder, data):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if reason := distrust(each):
            raise UserError(
                f"{each} {reason}; choose another --folder, or make this one yours alone with chmod 700"
            )
    # An earlier version made it for everybody to read.
    data.chmod(0o700)


def _own_keys(path: Path) -> tuple[str, str]:
    """The keys made for this folder; readable by its owner only."""
    if not path.exists():
        staged = path.with_name(f".{path.name}.part")
        staged.touch(mode=0o600)
        staged.write_text(f"{secrets.token_hex(10)}\n{secrets.token_hex(20)}\n", encoding="utf-8")
        staged.replace(path)
    path.chmod(0o600)
    access_key, secret_key = path.read_text(encoding="utf-8").split()
    return access_key, secret_key


def _ports(first: int) -> list[int]:
    """The wanted port and four free ones, each with a free neighbor ``_GRPC_PORT_OFFSET`` above.

    Raises:
        UserError: the wanted port is taken.
    """
    if first and not (_free(first) and _free(first + _GRPC_PORT_OFFSET)):
        raise UserError(f"port {first} or {first + _GRPC_PORT_OFFSET} is taken; choose another --port")
    ports = [first] if first else []
    while len(ports) < 5:
        port = random_port()
        if not {port, port + _GRPC_PORT_OFFSET} & set(_with_grpc_ports(ports)):
            ports.append(port)
    return ports


def random_port() -> int:
    """A port that is free now, as is its gRPC port; both lie below those that Linux hands out by itself."""
    while True:
        port = _LOWEST + secrets.randbelow(_PORTS)
        if _free(port) and _free(port + _GRPC_PORT_OFFSET):
            return port


def _with_grpc_ports(ports: list[int]) -> list[int]:
    return [*ports, *(port + _GRPC_PORT_OFFSET for port in ports)]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # A connection that has just ended does not hold a port; a server does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True
