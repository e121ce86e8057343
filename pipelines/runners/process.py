"""How a local run starts its steps: one child process a step, shown live and kept in a log file.

``kfp.local`` decides what runs, in which order and what is reused. Its own way of starting a step breaks
on paths with spaces, keeps no log, hides progress bars and knows a failure's exit code but not its
reason; ``step_processes`` puts this one in its place for the length of a run.
"""

import codecs
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import TextIO

from kfp.local import subprocess_task_handler
from kfp.local.status import Status

from components.entry_points import ERROR_PREFIX
from components.work import WORK_VARIABLE
from model_core.disk import temporary_folder
from model_core.errors import shown
from pipelines.runners.kfp_patches import subprocess_handler
from pipelines.runners.log_filter import LogFilter, last_drawn

_CHUNK_BYTES = 65536
_GUARD = str(Path(__file__).with_name("guard.py"))
_LAUNCH = "_KFP_RUNTIME=true python3 -m"
_LAST_LINES = 200
"""Of a step, among which the reason of its failure is looked for."""
_SHOWN_LINES = 30
"""Of those, on the page of a run that failed."""
_GRACE_SECONDS = 25.0
"""How long an interrupted step may take to save its work."""


@dataclass
class RunProgress:
    """What a run tells while it goes, and remembers for its record."""

    screen: TextIO
    logs: Path
    steps: int
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each step that ran."""
    reused: list[str] = field(default_factory=list)
    """Steps whose earlier output was taken from the cache."""
    running: str | None = None
    """The step that runs now, or was running when the run was stopped."""
    failed: str | None = None
    exit_code: int = 0
    reason: str = ""
    last_lines: tuple[str, ...] = ()
    """What the step that failed said last."""
    left: dict[str, Path] = field(default_factory=dict)
    """What the step that failed has written all the same, by the name of the output."""
    changed: Callable[[], None] = lambda: None
    """Called when a step begins, so that the record can tell of it."""

    @property
    def work(self) -> Path:
        """Where training keeps its checkpoints until the run has succeeded."""
        return self.logs.parent / "checkpoints"

    @property
    def variables(self) -> dict[str, str]:
        """What a step is told by its environment; it is not part of the cache's key."""
        return {WORK_VARIABLE: str(self.work)}

    def started(self, step: str) -> None:
        """A step begins."""
        self.running = step
        self.changed()
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


def run_step(step: str, command: list[str], env: Mapping[str, str], progress: RunProgress) -> Status:
    """Run one step, copying what it prints to the screen and to ``<logs>/<step>.log``."""
    progress.started(step)
    begun = time.monotonic()
    log_path = progress.logs / f"{step}.log"
    code, said = _stream(command, env, progress.screen, log_path)
    seconds = time.monotonic() - begun
    progress.running = None
    if code == 0:
        progress.seconds[step] = seconds
        progress.say(f"      {seconds:.1f} s")
        return Status.SUCCESS
    progress.failed, progress.exit_code, progress.reason = step, code, _reason(said, code)
    progress.last_lines = tuple("".join(said).splitlines()[-_SHOWN_LINES:])
    progress.left = {name: path for name, path in outputs_of(command).items() if path.exists()}
    return Status.FAILURE


def _stream(
    command: list[str], env: Mapping[str, str], screen: TextIO, log_path: Path
) -> tuple[int, Sequence[str]]:
    """Exit code of ``command`` and its last lines; on a terminal the child sees one too, so that it draws bars."""
    reader, writer = _channel(screen)
    guard = [sys.executable, "-I", "-S", _GUARD]
    with temporary_folder("pgat-step-") as scratch, log_path.open("wb", buffering=0) as log:
        try:
            # KFP's launcher leaves temporary folders behind; a session of its own, so that Ctrl-C reaches
            # this process only and the step gets one signal, to which it can answer; a guard, which notices
            # by its input that this process is gone.
            child = subprocess.Popen(
                [*guard, str(_GRACE_SECONDS), str(reader), str(log_path), str(scratch), *command],
                stdin=subprocess.PIPE,
                stdout=writer,
                stderr=writer,
                env={**env, "TMPDIR": str(scratch)},
                start_new_session=True,
                pass_fds=(reader,),
            )
        finally:
            os.close(writer)
        copy = _Copy(reader, screen, log, log_path)
        try:
            while copy.next():
                pass
            return child.wait(), copy.last_lines
        except BaseException:
            # The step may save its work: training answers SIGTERM with a checkpoint.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            copy.rest(_GRACE_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        finally:
            assert child.stdin is not None
            child.stdin.close()
            copy.close()


class _Copy:
    """Copies what a child prints to the screen and, as it was last drawn, to its log."""

    def __init__(self, reader: int, screen: TextIO, log: RawIOBase, log_path: Path) -> None:
        self._reader, self._screen, self._log, self._log_path = reader, screen, log, log_path
        self._log_ends = False
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        """What the child said last, whatever became of its log."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = LogFilter()
        self._line = ""

    def next(self) -> bool:
        """Copy the next piece; False once the child and its children have closed their end."""
        content = _read(self._reader)
        text = self._decoder.decode(content, final=not content)
        self._screen.write(self._filter.feed(text))
        self._screen.flush()
        *whole, self._line = (self._line + text.replace("\r\n", "\n")).split("\n")
        for line in whole:
            self._keep(f"{last_drawn(line)}\n")
        return bool(content)

    def rest(self, seconds: float) -> None:
        """Copy what still comes, for so long at most."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and select.select([self._reader], [], [], left)[0]:
            if not self.next():
                return

    def close(self) -> None:
        """End both copies."""
        self._keep(last_drawn(self._line))
        self._screen.write(self._filter.feed("\n") if self._line else "")
        os.close(self._reader)

    def _keep(self, text: str) -> None:
        """Add to the log; a step goes on without one where the disk is full."""
        self.last_lines.append(text)
        if self._log_ends:
            return
        try:
            kept = self._log.write(text.encode()) == len(text.encode())
        except OSError:
            kept = False
        if not kept:
            self._log_ends = True
            self._screen.write(f"the log {shown(str(self._log_path))} ends here; the disk may be full\n")


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


def _reason(last_lines: Sequence[str], code: int) -> str:
    """The sentence with which a step failed, or the last line it wrote."""
    lines = [line.strip() for line in last_lines if line.strip()]
    said = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    if said:
        return said[-1]
    if code < 0:
        return f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return lines[-1] if lines else f"exit code {code}"


@contextmanager
def step_processes(progress: RunProgress) -> Iterator[None]:
    """Let ``kfp.local``'s SubprocessRunner start its steps here."""
    root = str(Path(__file__).parent.parent.parent)

    class StepHandler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]
        def validate_image(self, image: str) -> None:
            """Any image will do: no image is used."""

        def run(self) -> Status:
            python = shlex.quote(sys.executable)
            command = [self.full_command[0], *(without_shell(part, python) for part in self.full_command[1:])]
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            env = os.environ | self.env_vars | progress.variables
            env |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
            return run_step(step_of(self.full_command), command, env, progress)

    with subprocess_handler(StepHandler):
        yield


def outputs_of(command: Sequence[str]) -> dict[str, Path]:
    """Where the declared outputs of a KFP command go, by name; there may be nothing yet."""
    if "--executor_input" not in command:
        return {}
    declared = json.loads(command[list(command).index("--executor_input") + 1]).get("outputs", {})
    return {
        name: Path(artifact["uri"])
        for name, listed in declared.get("artifacts", {}).items()
        for artifact in listed["artifacts"]
    }


def step_of(command: list[str]) -> str:
    """The step that a KFP command runs."""
    return command[command.index("--function_to_execute") + 1]


def without_shell(part: str, python: str = "python3") -> str:
    """KFP's launcher script, in which Python takes the place of the shell: signals go to the first process only.

    Args:
        python: the Python to start, quoted if need be.
    """
    return part.replace(_LAUNCH, f"export _KFP_RUNTIME=true; exec {python} -m")
