"""Takes the place of ``python``: a command of this project is forked from a server that has imported what it needs.

    python -I -S client.py REAL SOCKET STAND_IN ARGUMENTS…

The forked process gets this one's arguments, environment, folder, standard streams, limits and ignored signals. This
one passes signals on and ends as it does: by the same exit code, or by the same signal. If this one is killed, so is
the other. Whatever is no ``-m MODULE`` of ``SERVED`` is started by the real Python. Standard library only: it starts
in milliseconds.
"""

import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress

SERVED = ("components.", "pipelines", "kfp.dsl.executor_main", "torch.distributed.run", "tests.faults.killer")
PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
LIMITS = ("RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_CORE")


def served(arguments: list[str]) -> bool:
    """Whether the server can run this command line of Python's."""
    words = arguments[1:] if arguments[:1] == ["-u"] else arguments
    return len(words) > 1 and words[0] == "-m" and words[1].startswith(SERVED)


def main(real: str, path: str, stand_in: str, arguments: list[str]) -> None:
    """Become the real Python, or have the server run it."""
    if not served(arguments) or os.environ.get("PYTHONWARNINGS"):
        os.execv(real, [real, *arguments])
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.connect(path)
    running: list[int] = []
    early: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        if not running:
            early.append(number)
            return
        with suppress(ProcessLookupError):
            os.kill(running[0], number)

    ignored = [number for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
    for number in PASSED_ON:
        if number not in ignored:
            signal.signal(number, pass_on)
    mask = os.umask(0)
    os.umask(mask)
    request = {
        "python": stand_in,
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  pathlib takes as long to import as all the rest
        "umask": mask,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "ignored": ignored,
    }
    socket.send_fds(server, [b"\n"], [0, 1, 2])
    server.sendall(json.dumps(request).encode() + b"\n")
    answers = server.makefile("r")
    running.append(int(answers.readline()))
    for arrived in early:
        pass_on(arrived, None)
    code = int(answers.readline())
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
