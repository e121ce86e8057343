"""What the two entry points of every step share: how a step speaks, and how it fails.

A step's ``run`` knows neither KFP nor a command line. Its entry points set up logging, call it, and turn the
errors that the package raises on purpose into one line and an exit code: 1 the work failed, 2 the input
is wrong. Anything else is a bug and keeps its traceback.
"""

import hashlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from components.notes import noted
from components.output import keep_saying
from model_core.config.data import SkySettings
from model_core.config.load import validated
from model_core.config.run import Settings
from model_core.errors import PgatError, StoreError, denied, shown
from model_core.store.ownership import distrusted_folder

ERROR_PREFIX = "error: "
"""How the one line starts; ``pipelines`` finds it in a step's log."""

_NULL = "null"
_Section = TypeVar("_Section", bound=BaseModel)


class MetricsArtifact(Protocol):
    """What a step needs of KFP's ``Metrics``."""

    path: str
    uri: str
    """Where KFP keeps it: in its store, or on this machine."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show one number beside the run."""
        ...


def start_logging() -> None:
    """The package's log to stdout, plain lines, for as long as somebody reads them."""
    keep_saying()
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    for handler in logging.getLogger().handlers:
        if handler.formatter is not None and handler.formatter._fmt == "%(message)s":
            handler.setFormatter(_Shown("%(message)s"))
        # KFP's executor has set up its own handler before a step begins.
        if handler.formatter is not None and str(handler.formatter._fmt).startswith("[KFP Executor"):
            handler.setFormatter(_OwnLinesPlain(handler.formatter))
    logging.getLogger("pgat").setLevel(logging.INFO)
    logging.captureWarnings(True)


class _Shown(logging.Formatter):
    """A log line may hold names and answers from elsewhere: it stays one line, and tells no secret."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record))


class _OwnLinesPlain(_Shown):
    """What this package says comes as it is; everything else keeps KFP's mark, so that it can be told apart."""

    def __init__(self, others: logging.Formatter) -> None:
        super().__init__("%(message)s")
        self._others = others

    def format(self, record: logging.LogRecord) -> str:
        own = record.name.partition(".")[0] == "pgat"
        return super().format(record) if own else self._others.format(record)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Deliberate errors end the process with one line instead of a traceback; so does a file that may not be used."""
    try:
        try:
            yield
        except PermissionError as error:
            raise denied(error) from error
    except PgatError as error:
        print(f"{ERROR_PREFIX}{error}{_kept_details(error)}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error


def _kept_details(error: PgatError) -> str:
    """Write what the error's text leaves out to a file in the user's cache folder, and say where it lies.

    Not beside the step's output, which must not exist after a refusal, and not among temporary files, which
    end with the step.
    """
    if not error.details:
        return ""
    from model_core.sky.cache import cache_folder

    text = "\n".join(error.details) + "\n"
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    try:
        path = cache_folder(SkySettings()) / "refusals" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where others may write, a link of theirs may stand at the file's path.
        if (reason := distrusted_folder(path.parent)) is not None:
            return f" (a list of all is not written, since {shown(reason)})"
        path.write_text(text, encoding="utf-8")
    except (OSError, StoreError) as problem:
        return f" (a list of all could not be written: {shown(str(problem))})"
    return f" (all are listed in {shown(str(path))})"


@contextmanager
def kfp_entry_point(
    metrics: MetricsArtifact, left: Mapping[str, str] | None = None
) -> Iterator[dict[str, float]]:
    """The KFP entry point of a step: the block puts the step's headline numbers into the mapping it is given.

    Args:
        left: name → path of what the step may have written although it fails, which a cluster does not keep.
    """
    headline: dict[str, float] = {}
    start_logging()
    paths = {name: Path(path) for name, path in (left or {}).items()}
    with exit_on_user_error(), noted(metrics.uri, paths):
        yield headline
    for name, value in headline.items():
        metrics.log_metric(name, value)
    # kfp.local reuses a step only if each of its artifacts exists as a file, and log_metric writes none.
    path = Path(metrics.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(headline, sort_keys=True), encoding="utf-8")


class NeverFailing:
    """What fails within it is said and ends nothing: for work at the end of a run, which is not the run's own."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, PermissionError):
            error = denied(error)
        if isinstance(error, PgatError):
            print(f"{ERROR_PREFIX}{error}", file=sys.stderr, flush=True)
        elif isinstance(error, Exception):
            traceback.print_exception(error)
        return isinstance(error, Exception)


def settings_of(**sections: dict[str, Any]) -> Settings:
    """All settings, from KFP parameters by section.

    Raises:
        SettingsError: a key is unknown or a value does not fit.
    """
    usual = dict(Settings())
    return Settings(
        **{name: section_of(type(usual[name]), values, name) for name, values in sections.items()}
    )


def parameters_of(section: BaseModel) -> dict[str, Any]:
    """A settings section as a KFP parameter; KFP knows no null there, so it travels as the word ``null``."""
    return {name: _without_null(value) for name, value in section.model_dump(mode="json").items()}


def section_of(model: type[_Section], parameters: dict[str, Any], section: str) -> _Section:
    """The settings section that ``parameters_of`` turned into a KFP parameter.

    Args:
        section: its name, for messages.

    Raises:
        SettingsError: a key is unknown or a value does not fit.
    """
    return validated(model, {name: _with_null(value) for name, value in parameters.items()}, section)


def _without_null(value: Any) -> Any:
    match value:
        case None:
            return _NULL
        case dict():
            return {name: _without_null(inner) for name, inner in value.items()}
        case list():
            return [_without_null(inner) for inner in value]
        case _:
            return value


def _with_null(value: Any) -> Any:
    match value:
        case "null":
            return None
        case dict():
            return {name: _with_null(inner) for name, inner in value.items()}
        case list():
            return [_with_null(inner) for inner in value]
        case _:
            return value
