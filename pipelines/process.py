"""How a local run starts its steps: one child process a step, shown live and kept in a log file.

``kfp.local`` decides what runs, in which order and what is reused. Its own way of starting a step breaks
on paths with spaces, keeps no log, hides progress bars and knows a failure's exit code but not its
reason; ``step_processes`` puts this one in its place for the length of a run.
"""

import codecs
import os
import pty
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from kfp.local import subprocess_task_handler
from kfp.local.status import Status

from components.face import ERROR_PREFIX

_CHUNK_BYTES = 65536
_GRACE_SECONDS = 25.0
"""How long an interrupted step may take to save its work."""


@dataclass
class Progress:
    """What a run tells while it goes, and remembers for its record."""

    screen: TextIO
    logs: Path
    steps: int
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each step that ran."""
    reused: list[str] = field(default_factory=list)
    """Steps whose earlier output was taken from the cache."""
    failed: str | None = None
    exit_code: int = 0
    reason: str = ""

    def started(self, step: str) -> None:
        """A step begins."""
        self.say(f"\n[{len(self.seconds) + len(self.reused) + 1}/{self.steps}] {step}")

    def from_cache(self, step: str) -> None:
        """A step is reused."""
        self.say(
            f"\n[{len(self.seconds) + len(self.reused) + 1}/{self.steps}] {step}: nothing changed, reused"
        )
        self.reused.append(step)

    def say(self, line: str) -> None:
        """One line for the person who watches."""
        self.screen.write(line + "\n")
        self.screen.flush()


def run_step(step: str, command: list[str], env: Mapping[str, str], progress: Progress) -> Status:
    """Run one step, copying what it prints to the screen and to ``<logs>/<step>.log``."""
    progress.started(step)
    begun = time.monotonic()
    log_path = progress.logs / f"{step}.log"
    code = _stream(command, env, progress.screen, log_path)
    seconds = time.monotonic() - begun
    if code == 0:
        progress.seconds[step] = seconds
        progress.say(f"      {seconds:.1f} s")
        return Status.SUCCESS
    progress.failed, progress.exit_code, progress.reason = step, code, _reason(log_path, code)
    return Status.FAILURE


def _stream(command: list[str], env: Mapping[str, str], screen: TextIO, log_path: Path) -> int:
    """Exit code of ``command``; on a terminal the child sees one too, so that it draws progress bars."""
    reader, writer = _channel(screen)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with log_path.open("w", encoding="utf-8", newline="\n") as log:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=env)
        finally:
            os.close(writer)
        line = ""
        try:
            while text := decoder.decode(_read(reader)):
                screen.write(_without_errors(text))
                screen.flush()
                *whole, line = (line + text.replace("\r\n", "\n")).split("\n")
                log.writelines(f"{_last_drawn(each)}\n" for each in whole)
            log.write(_last_drawn(line))
            return child.wait()
        except BaseException:
            # The step may save its work: training answers SIGTERM with a checkpoint.
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_SECONDS)
            child.kill()
            child.wait()
            raise
        finally:
            os.close(reader)


def _channel(screen: TextIO) -> tuple[int, int]:
    if not screen.isatty():
        return os.pipe()
    reader, writer = pty.openpty()
    size = os.get_terminal_size(screen.fileno())
    termios.tcsetwinsize(writer, (size.lines, size.columns))
    return reader, writer


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, _CHUNK_BYTES)
    except OSError:
        # A pseudo-terminal answers EIO, not an empty read, once the child has closed it.
        return b""


def _without_errors(text: str) -> str:
    """What the screen shows live: the one line about the error comes at the end, once."""
    if ERROR_PREFIX not in text:
        return text
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(ERROR_PREFIX))


def _last_drawn(line: str) -> str:
    """A progress bar redraws its line; a log needs its last state only."""
    return line.rstrip("\r").rpartition("\r")[2]


def _reason(log_path: Path, code: int) -> str:
    """The sentence with which a step failed, or the last line it wrote."""
    lines = [line.strip() for line in log_path.read_text(encoding="utf-8").splitlines() if line.strip()]
    said = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    if said:
        return said[-1]
    if code < 0:
        return f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return lines[-1] if lines else f"exit code {code}"


@contextmanager
def step_processes(progress: Progress) -> Iterator[None]:
    """Let ``kfp.local``'s SubprocessRunner start its steps here."""
    root = str(Path(__file__).parent.parent)

    class StepHandler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]
        def validate_image(self, image: str) -> None:
            """Any image will do: no image is used."""

        def run(self) -> Status:
            python = shlex.quote(sys.executable)
            command = [self.full_command[0], *(_with_python(part, python) for part in self.full_command[1:])]
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            env = os.environ | self.env_vars | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
            return run_step(step_of(self.full_command), command, env, progress)

    original = subprocess_task_handler.SubprocessTaskHandler
    module: Any = subprocess_task_handler
    module.SubprocessTaskHandler = StepHandler
    try:
        yield
    finally:
        module.SubprocessTaskHandler = original


def step_of(command: list[str]) -> str:
    """The step that a KFP command runs."""
    return command[command.index("--function_to_execute") + 1]


def _with_python(part: str, python: str) -> str:
    """The launcher script with this Python in it, quoted: its path may hold spaces."""
    launcher = "kfp.dsl.executor_main" in part and '"$@"' in part
    return part.replace("python3", python) if launcher else part
