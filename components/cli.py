"""What the command line faces of the steps share: settings flags, URIs as inputs and outputs, exit codes.

Inputs and outputs are paths, ``file://`` or ``s3://`` URIs. An input from an object store is fetched to a
temporary folder; an output for one is written there and uploaded once the step has succeeded, its
manifest last, so that whoever finds the manifest finds everything.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from components.face import one_sentence, start_logging
from model_core.artifacts import MANIFEST
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.errors import StoreError
from model_core.progress import ProgressMeter
from model_core.store.locate import check_uri, local_path, open_store
from model_core.store.names import contained


def command(step: str, story: str | None) -> ArgumentParser:
    """A parser with the flags that every step has."""
    parser = ArgumentParser(
        prog=f"python -m components.{step}",
        description=(story or "").strip().splitlines()[0],
        epilog="Inputs and outputs may be paths, file:// or s3:// URIs. Exit codes: 0 done, 1 failed, 2 wrong input.",
    )
    parser.add_argument(
        "--config", metavar="YAML", help="settings file; without it the standard run's values"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="override one setting; may be repeated"
    )
    return parser


def execute(
    parser: ArgumentParser,
    run: Callable[[Namespace, Settings, "Files"], Mapping[str, float]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse, run, upload; print the step's headline numbers as one line of JSON."""
    given = parser.parse_args(arguments)
    start_logging()
    with one_sentence():
        settings = load_settings(given.config, given.set)
        with Files() as files:
            headline = run(given, settings, files)
            files.upload()
    print(json.dumps(dict(headline), sort_keys=True), file=sys.stdout)


class Files:
    """Local stand-ins for inputs and outputs that live in an object store, for the length of one step."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._uploads: list[tuple[Path, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def input(self, uri: str) -> Path:
        """The folder at ``uri``, fetched if need be.

        Raises:
            StoreError: nothing is there, a key would lead out of the folder, or the store cannot be reached.
        """
        if (path := local_path(uri)) is not None:
            return path
        store = open_store(uri)
        folder = self._temporary()
        keys = list(store.keys())
        if not keys:
            raise StoreError(f"{uri} holds no objects; give the output folder of a finished step")
        with ProgressMeter(f"fetching {uri}", len(keys), "files") as meter:
            for key in keys:
                store.download(key, contained(folder, key))
                meter.update()
        return folder

    def output(self, uri: str) -> Path:
        """Where to write what shall stand at ``uri``.

        Raises:
            StoreError: no store has such a URI.
        """
        if (path := local_path(uri)) is not None:
            return path
        check_uri(uri)
        path = self._temporary() / uri.rstrip("/").rpartition("/")[2]
        self._uploads.append((path, uri.rstrip("/")))
        return path

    def upload(self) -> None:
        """Bring the outputs to their stores; call it when the step has succeeded."""
        for path, uri in self._uploads:
            parent, _, name = uri.rpartition("/")
            store = open_store(parent)
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            with ProgressMeter(f"uploading {uri}", len(files), "files") as meter:
                for file in sorted(files, key=lambda p: p.name == MANIFEST):
                    key = name if file == path else f"{name}/{file.relative_to(path).as_posix()}"
                    store.upload(key, file)
                    meter.update()

    def _temporary(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pgat-")))
