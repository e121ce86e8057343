"""Logs of a run, which must never end it: one that cannot be written says so once, and then stays silent."""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

log = logging.getLogger("pgat.train")


class Harmless:
    """Writes a log as long as that works; the first failure is a warning, and the end of that log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    def __call__(self, write: Callable[[], object]) -> None:
        """Call ``write`` unless an earlier one failed."""
        if self._failed:
            return
        try:
            write()
        except OSError as error:
            self._failed = True
            log.warning(
                "%s is no longer written (%s); the run goes on without it",
                self._path,
                error.strerror or error,
            )


class LineLog:
    """Appends lines of JSON to a file."""

    def __init__(self, path: Path) -> None:
        self._file = _Appended(path)
        self._harmless = Harmless(path)

    def write(self, line: Mapping[str, object]) -> None:
        """Add a line; it is there when the call returns, so that a killed run leaves what it saw."""
        self._harmless(lambda: self._file.write(json.dumps(line).encode() + b"\n"))

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class Board:
    """A file of scalars in ``folder``, as TensorBoard reads them.

    TensorBoard's own writer has a thread, which prints a traceback where the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._file = _Appended(self._path)
        self._records = RecordWriter(self._file)
        self._harmless = Harmless(folder)
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def forget(self, gone: Callable[[str, int], bool]) -> None:
        """Take from the files of earlier processes what a resumed run does again: TensorBoard would show it twice.

        Args:
            gone: whether a value with this name and step is done again.
        """
        self._harmless(lambda: self._forget(gone))

    def _forget(self, gone: Callable[[str, int], bool]) -> None:
        for path in sorted(self._path.parent.glob("events.out.tfevents.*")):
            if path == self._path:
                continue
            events = list(_events_in(path))
            kept = [
                event
                for event in events
                if not any(gone(each.tag, event.step) for each in event.summary.value)
            ]
            if len(kept) < len(events):
                staged = path.with_name(f".{path.name}.part")
                file = _Appended(staged)
                records = RecordWriter(file)
                for event in kept:
                    records.write(event.SerializeToString())
                file.close()
                staged.replace(path)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add the values of a step by their names."""
        values_of_step = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=values_of_step)))

    def close(self) -> None:
        """No more values."""
        self._file.close()

    def _add(self, event: Event) -> None:
        self._harmless(lambda: self._records.write(event.SerializeToString()))


def _events_in(path: Path) -> Iterator[Event]:
    """Up to where the file ends or is damaged, as TensorBoard reads it."""
    # It imports much, and only a resumed run needs it.
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    for content in RawEventFileLoader(str(path)).Load():
        try:
            yield Event.FromString(content)
        except DecodeError:
            return


class _Appended:
    """A file to which each piece is appended whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, piece: bytes) -> None:
        """
        Raises:
            OSError: there is no room for it.
        """
        before = os.fstat(self._file.fileno()).st_size
        # Where there is room for a part of it only, a part is written, and nothing is raised.
        if self._file.write(piece) != len(piece):
            self._file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self._file.close()
