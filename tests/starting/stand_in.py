"""Real processes that start in milliseconds: the first imports what the steps need, and the others are forked from it.

``stand_in(folder)`` is a Python to be started instead of ``sys.executable``; what it starts uses it again, since it is
``sys.executable`` there. A process has the pid of a stand-in (``client.py``), which passes on signals and ends as the
forked one does; a test that compares pids or looks for children starts ``REAL_PYTHON``.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REAL_PYTHON = sys.executable
"""Also where a fixture has put a stand-in in its place."""
ROOT = Path(__file__).parent.parent.parent
_CLIENT = Path(__file__).with_name("client.py")
_SERVE = "from tests.starting.server import serve; import sys; serve(sys.argv[1])"


@contextmanager
def stand_in(folder: Path) -> Iterator[str]:
    """Path of a Python whose processes are forked; beside it in ``folder`` is what is beside the real one."""
    socket, program = folder / "socket", folder / "python3"
    words = [REAL_PYTHON, "-I", "-S", str(_CLIENT), REAL_PYTHON, str(socket), str(program)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    for beside in Path(REAL_PYTHON).parent.iterdir():
        if not beside.name.startswith("python"):
            (folder / beside.name).symlink_to(beside)
    # A module that is run by -m would be the forked processes' __main__, too.
    command = [REAL_PYTHON, "-c", _SERVE, str(socket)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield str(program)
        finally:
            server.stdin.close()
