"""What the command lines of the steps share: settings flags, URIs as inputs and outputs, exit codes.

Inputs and outputs are paths, ``file://`` or ``s3://`` URIs. An input from an object store is fetched to a
temporary folder; an output for one is tried before the work, kept in an outbox and sent from there once the
step has succeeded. Errors and log lines that name such a folder name the URI instead: the folder is gone when
somebody reads them.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from components.arguments import Parser, examples, parse
from components.entry_points import exit_on_user_error, start_logging
from components.naming import named_by_uri
from components.outbox import Outbox, outbox, request_of
from components.output import check_said, keep_saying
from components.sending import named_files
from components.work import Work
from model_core.artifacts import MANIFEST, code_version
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.disk import temporary_folder
from model_core.errors import StoreError, UploadError
from model_core.progress import ProgressMeter
from model_core.store.locate import local_path, open_store
from model_core.store.names import contained
from model_core.store.together import together

Run = Callable[[Namespace, Settings, "Files"], Mapping[str, float]]
"""A step with its command line's arguments: returns its headline numbers."""


_ABOUT = (
    "Inputs and outputs may be paths, file:// or s3:// URIs. Exit codes: 0 done, 1 failed, 2 wrong input."
)


def command(step: str, story: str | None, *lines: str) -> ArgumentParser:
    """A parser with the flags that every step has.

    Args:
        story: its first line is what the step does.
        lines: examples, where ``%(prog)s`` stands for the command.
    """
    parser = Parser(
        prog=f"python -m components.{step}",
        description=(story or "").strip().splitlines()[0],
        epilog=examples(*lines, about=_ABOUT),
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
    run: Run,
    arguments: Sequence[str] | None = None,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> None:
    """Parse, try the outputs, run, send; print the step's headline numbers as one line of JSON.

    Args:
        inputs, outputs: the arguments that name them; one that was left out is None.
    """
    keep_saying()
    with exit_on_user_error():
        given = parse(parser, arguments)
        start_logging()
        settings = load_settings(given.config, given.set)
        made_from, made = (
            [uri for name in names if (uri := getattr(given, name))] for names in (inputs, outputs)
        )

        def request() -> str:
            asked = vars(given) | {"config": None, "set": None}
            values = settings.model_dump(mode="json", exclude={"store"})
            return request_of([parser.prog, asked, values, code_version()], made_from)

        with settings.store.limits().in_force(), outbox(made, request) as box:
            headline = box.result()
            if headline is None:
                headline = _made(run, given, settings, box)
            box.send()
        print(json.dumps(headline, sort_keys=True), file=sys.stdout)
        check_said()


def _made(run: Run, given: Namespace, settings: Settings, box: Outbox) -> dict[str, float]:
    try:
        with Files(box) as files, files.named_by_uri():
            headline = dict(run(given, settings, files))
    except UploadError:
        # The outputs are whole; what failed is a copy elsewhere, which the same command makes again.
        box.send()
        raise
    box.finished(headline)
    return headline


class Files:
    """Local stand-ins for inputs and outputs that live in an object store, for the length of one step."""

    def __init__(self, box: Outbox | None = None) -> None:
        self._stack = ExitStack()
        self._outbox = box or Outbox(None, "", [])
        self._uris = self._outbox.stand_ins
        """Path on this machine → what it stands for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def input(self, uri: str) -> Path:
        """The folder at ``uri``, fetched if need be: of an artifact what its manifest names, and nothing beside it.

        Raises:
            StoreError: nothing is there, a key would lead out of the folder, or the store cannot be reached.
        """
        if (path := local_path(uri)) is not None:
            return path
        store = open_store(uri)
        folder = self._temporary()
        self._uris[str(folder)] = uri.rstrip("/")
        keys = list(store.keys())
        if not keys:
            raise StoreError(f"{uri} holds no objects; give the output folder of a finished step", uri=uri)
        paths = {key: contained(folder, key) for key in keys}
        if MANIFEST in keys:
            named = {MANIFEST, *named_files(store, MANIFEST)}
            paths = {key: path for key, path in paths.items() if key in named}
        with ProgressMeter(f"fetching {uri}", len(paths), "files") as meter:

            def fetch(key: str) -> None:
                store.download(key, paths[key])
                meter.update()

            together(fetch, paths)
        return folder

    def output(self, uri: str) -> Path:
        """Where to write what is to end up at ``uri``, one of the command's outputs."""
        return self._outbox.path_for(uri)

    def work(self, uri: str) -> Work | None:
        """Where training for the output ``uri`` is kept until it has been sent; None if it goes to no store."""
        return self._outbox.work(uri)

    def named_by_uri(self) -> AbstractContextManager[None]:
        """Within it errors and log lines name URIs instead of the folders that stand in for them."""
        return named_by_uri(self._uris)

    def _temporary(self) -> Path:
        return self._stack.enter_context(temporary_folder())
