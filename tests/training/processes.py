"""Real processes that train the tiny model and are really killed, at a point that is known exactly.

They are forked from a server that has imported torch, so that each starts in milliseconds. The server keeps
the environment it was started with; each process gets that of the test.
"""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from model_core.config.run import TrainingSettings
from model_core.data.windows import Window
from model_core.deadlines import Ending
from model_core.distributed import MEETING_FOLDER, ProcessGroup
from model_core.nn.bundles import Forecast
from tests.training.tiny import TinyModel, train_tiny

Point = Literal["forward", "sync", "rename", "renamed"]
HANGS_AFTER = 600.0
"""Seconds after which a process counts as hanging: far longer than any takes, on a busy machine too."""
_SERVER = multiprocessing.get_context("forkserver")
# torch imports its compiler when the first optimizer is made: 1.5 s that the server spends once.
_SERVER.set_forkserver_preload(["torch._dynamo", "torch.nn.parallel", "tests.training.tiny"])


def _always() -> bool:
    return True


class Countdown:
    """Sends this process a signal when it has been called ``calls`` times, then once ``ready()`` holds."""

    def __init__(self, calls: int, number: signal.Signals, ready: Callable[[], bool] = _always) -> None:
        self.left, self.number, self.ready = calls, number, ready

    def __deepcopy__(self, memo: object) -> "Countdown":
        """Copies of a model count down together."""
        return self

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            while not self.ready():
                time.sleep(0.01)
            os.kill(os.getpid(), self.number)


class MortalModel(TinyModel):
    """Counts down at each forward pass, in training and in validation."""

    def __init__(self, countdown: Countdown, dropout: float = 0.2) -> None:
        super().__init__(dropout)
        self.countdown = countdown

    def forward(self, window: Window) -> Forecast:
        self.countdown()
        return super().forward(window)


def started_later(target: Callable[..., None], *arguments: Any) -> Any:
    """A process that will call ``target`` in the environment of this one."""
    return _SERVER.Process(target=_in_environment, args=(dict(os.environ), target, arguments))


def _in_environment(environment: dict[str, str], target: Callable[..., None], arguments: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


def attempt(
    folder: Path,
    settings: TrainingSettings,
    point: Point = "forward",
    calls: int = 0,
    number: signal.Signals = signal.SIGKILL,
    uri: str | None = None,
) -> int | None:
    """Train in a process of its own that gets a signal at the ``calls``-th ``point``; its exit code.

    With ``uri`` it stands still there until a checkpoint has arrived in the store, however late the background
    upload comes to it; the result is None if none ever does.
    """
    process = started_later(_train, folder, settings, point, calls, number, uri)
    process.start()
    process.join(HANGS_AFTER)
    return process.exitcode


def attempt_as_group(
    folder: Path, settings: TrainingSettings, size: int, rows: int, calls: int = 0, killed_rank: int = 0
) -> list[int | None]:
    """Train in ``size`` processes that are one group; rank ``killed_rank`` gets SIGTERM. Their exit codes."""

    def member(rank: int) -> tuple[object, ...]:
        return folder / str(rank), settings, rows, calls if rank == killed_rank else 0

    return as_group(size, _train_as_member, member)


def as_group(
    size: int, work: Callable[..., None], arguments_of: Callable[[int], tuple[object, ...]]
) -> list[int | None]:
    """Call ``work(group, *arguments_of(rank))`` in ``size`` processes that are one group. Their exit codes.

    The group meets in a folder, as it does under this project's torchrun: no port is needed.
    """
    with tempfile.TemporaryDirectory(prefix="pgat-") as meeting:
        processes = [
            started_later(_as_member, rank, size, meeting, work, arguments_of(rank)) for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(HANGS_AFTER)
    return [process.exitcode for process in processes]


def _as_member(
    rank: int, size: int, meeting: str, work: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        MEETING_FOLDER: meeting,
    }
    with ProcessGroup.from_env("cpu") as group:
        work(group, *arguments)


def _train_as_member(
    group: ProcessGroup, folder: Path, settings: TrainingSettings, rows: int, calls: int
) -> None:
    torch.manual_seed(settings.seed)
    train_tiny(folder, settings, MortalModel(Countdown(calls, signal.SIGTERM), dropout=0.0), group, rows)


def in_a_process(
    work: Callable[..., Any], calls: int, number: signal.Signals, *arguments: Any, **named: Any
) -> int | None:
    """Call ``work`` in a process that gets a signal at the ``calls``-th forward pass of any model."""
    process = started_later(_work, work, calls, number, arguments, named)
    process.start()
    process.join(HANGS_AFTER)
    return process.exitcode


def _work(
    work: Callable[..., Any], calls: int, number: signal.Signals, arguments: Any, named: dict[str, Any]
) -> None:
    countdown = Countdown(calls, number)
    torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: countdown() if inputs and isinstance(inputs[0], Window) else None
    )
    work(*arguments, **named)


def start(folder: Path, settings: TrainingSettings, uri: str | None = None) -> Any:
    """Train in a process of its own and return it at once."""
    process = started_later(_train, folder, settings, "forward", 0, signal.SIGKILL, uri)
    process.start()
    return process


def _train(
    folder: Path,
    settings: TrainingSettings,
    point: Point,
    calls: int,
    number: signal.Signals,
    uri: str | None,
) -> None:
    from model_core.checkpoints.mirror import open_mirror
    from model_core.checkpoints.records import newest_position
    from model_core.store.locate import open_store

    def arrived() -> bool:
        return uri is None or newest_position(open_store(uri)) is not None

    torch.set_num_threads(1)
    countdown = Countdown(calls, number, arrived)
    match point:
        case "sync":
            os.fsync = _counted(os.fsync, before=countdown)
        case "rename":
            Path.rename = _counted(Path.rename, before=countdown)  # type: ignore[method-assign]
        case "renamed":
            Path.rename = _counted(Path.rename, after=countdown)  # type: ignore[method-assign]
    torch.manual_seed(settings.seed)
    model = MortalModel(countdown if point == "forward" else Countdown(0, number))
    folder.mkdir(parents=True, exist_ok=True)
    mirror = (
        open_mirror(uri, folder, 2, Ending(HANGS_AFTER, 5.0), lease_period_seconds=0.1)
        if uri is not None
        else None
    )
    train_tiny(folder, settings, model, mirror=mirror)
    if mirror is not None:
        mirror.close()


def _nothing() -> None:
    pass


def _counted(
    function: Callable[..., Any], before: Callable[[], None] = _nothing, after: Callable[[], None] = _nothing
) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        before()
        result = function(*arguments)
        after()
        return result

    return counted
