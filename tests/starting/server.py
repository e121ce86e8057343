"""Forks the processes that stand-ins of Python ask for, with the imports of all steps done.

It serves until its standard input ends. Nothing but imports happens before a fork: what a process does afterwards is
done by a process of its own, with its own environment, exit handlers and end.
"""

import gc
import importlib
import io
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    *(f"components.{name}.step" for name in ("prepare_data", "train", "evaluate", "diagnose", "report")),
    *("components.train.launchers", "pipelines.commands.run", "pipelines.commands.runs", "kfp.dsl.executor"),
    # What torch imports when the first optimizer is made, what torchrun needs, and what a figure is drawn with.
    *("torch._dynamo", "torch.distributed.launcher.api", "matplotlib.backends.backend_svg"),
)


def serve(path: str) -> None:
    """Answer at the socket ``path``. In each forked process this returns once its module has ended."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    clients: dict[int, socket.socket] = {}
    """By the pid of the process that each waits for."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        waiting: list[Any] = [0, ended, listener, *clients.values()]
        ready, _, _ = select.select(waiting, [], [])
        if 0 in ready:
            for pid in clients:
                os.kill(pid, signal.SIGKILL)
            return
        if ended in ready:
            os.read(ended, 512)
            _report_the_ended(clients)
        for pid, client in list(clients.items()):
            if client in ready:  # it says nothing more, so it is gone
                os.kill(pid, signal.SIGKILL)
                clients.pop(pid).close()
        if listener in ready:
            client, _ = listener.accept()
            request, streams = _request(client)
            if request is None:
                client.close()
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for held in (listener, client, *clients.values()):
                    held.close()
                os.close(ended)
                os.close(wake)
                _become(request, streams)
            for stream in streams:
                os.close(stream)
            clients[pid] = client
            _say(client, pid)


def _request(client: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """What is asked for and the standard streams of who asks; None if it was killed while it did."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    content = b""
    while block := client.recv(2**16):
        content += block
        if content.endswith(b"\n"):
            return json.loads(content), list(streams)
    return None, []


def _say(client: socket.socket, number: int) -> None:
    with suppress(OSError):  # it was killed
        client.sendall(f"{number}\n".encode())


def _report_the_ended(clients: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # there are none
            return
        if pid == 0:
            return
        if pid in clients:
            with clients.pop(pid) as client:
                _say(client, os.waitstatus_to_exitcode(status))


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """The rest of this process's life, as if Python had just been started with the arguments of the request."""
    os.setsid()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    for name, limit in request["limits"].items():
        resource.setrlimit(getattr(resource, name), limit)
    os.umask(request["umask"])
    own_paths = [str(Path.cwd()), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [str(Path.cwd()), *paths, *(path for path in sys.path if path and path not in own_paths)]
    sys.executable = request["python"]
    words: list[str] = request["arguments"]
    unbuffered = words[0] == "-u" or bool(os.environ.get("PYTHONUNBUFFERED"))
    standard = (open(0, closefd=False), _text(1, unbuffered), _text(2, True))  # noqa: SIM115
    for name, text in zip(("stdin", "stdout", "stderr"), standard, strict=True):
        # Who wraps one of them anew counts on the other name: it keeps the buffer open.
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    module, *rest = words[words.index("-m") + 1 :]
    sys.argv = [module, *rest]
    # What ``python -m`` does itself.
    runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    raise SystemExit(0)


def _text(descriptor: int, unbuffered: bool) -> io.TextIOWrapper:
    raw = open(descriptor, "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    errors = "backslashreplace" if descriptor == 2 else "strict"
    return io.TextIOWrapper(
        raw, encoding="utf-8", errors=errors, write_through=unbuffered, line_buffering=os.isatty(descriptor)
    )


if __name__ == "__main__":
    serve(sys.argv[1])
