"""What a step makes for an object store: kept in a folder that outlives the process until it has been sent.

    <folder>/<outputs>/                        one for the URIs of a command's outputs; locked while it works
    <folder>/<outputs>/training/               training that is not finished (``components.work``)
    <folder>/<outputs>/<request>/<n>/<name>    the outputs
    <folder>/<outputs>/<request>/result.json   they are whole, and only have to be sent

The request is a digest of everything that the result depends on. So the same command sends what it had made and
could not send, and no other command takes it for its own.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from components.sending import send
from components.work import WORK_VARIABLE, Work, discard_finished, named_folder
from model_core.artifacts import MANIFEST, read_json, replace_json
from model_core.errors import PgatError, StoreError, UploadError
from model_core.locks import try_lock
from model_core.sealed import refuse_changed, seal_of
from model_core.store.locate import check_uri, local_path, open_store
from model_core.store.ownership import distrusted_folder
from model_core.store.probe import parent_of, refuse_unwritable_object
from model_core.variables import ENDPOINT

log = logging.getLogger("pgat.files")
_RESULT = "result.json"


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    headline: dict[str, float]
    outputs: dict[str, str]
    """URI of each output → its seal."""


class Outbox:
    """The outputs of one command; those that are paths of this machine stand where they belong from the start.

    Args:
        folder: for the outputs that go to a store; None if there are none.
        request: digest of what the outputs depend on.
        uris: of all outputs.
    """

    def __init__(self, folder: Path | None, request: str, uris: Sequence[str]) -> None:
        self._request = folder and folder / request
        self._work = folder and folder / "training"
        self._unsent = False
        self._paths: dict[str, Path] = {}
        """URI → what stands in for it."""
        if self._request is not None:
            for number, uri in enumerate(_remote(uris)):
                self._paths[uri.rstrip("/")] = self._request / str(number) / parent_of(uri)[1]

    @property
    def stand_ins(self) -> dict[str, str]:
        """Path on this machine → URI that a person knows it by."""
        return {str(path): uri for uri, path in self._paths.items()}

    def path_for(self, uri: str) -> Path:
        """Where to write what is to end up at ``uri``, one of the outputs."""
        path = local_path(uri)
        return self._paths[uri.rstrip("/")] if path is None else path

    def work(self, uri: str) -> Work | None:
        """Where training for the output ``uri`` is kept until it has been sent; None if it goes to no store."""
        if self._work is None or local_path(uri) is not None:
            return None
        return Work(folder=str(self._work), uri=f"{uri.rstrip('/')}.work")

    def result(self) -> dict[str, float] | None:
        """The headline numbers of a result that is complete and has not been sent; None if there is none."""
        if self._request is None or not (self._request / _RESULT).exists():
            return None
        kept = self._request / _RESULT
        try:
            found = _Result.model_validate(read_json(kept))
            for uri, path in self._paths.items():
                refuse_changed(path, found.outputs.get(uri), kept)
        except (PgatError, ValidationError, KeyError) as error:
            log.warning("a result that had not been sent is damaged and will be made again (%s)", error)
            shutil.rmtree(self._request, ignore_errors=True)
            return None
        log.info("already made, only to be sent: %s", ", ".join(self._paths))
        return found.headline

    def finished(self, headline: Mapping[str, float]) -> None:
        """The outputs are whole."""
        if self._request is not None:
            outputs = {uri: seal_of(path) for uri, path in self._paths.items()}
            result = _Result(headline=dict(headline), outputs=outputs)
            try:
                replace_json(self._request / _RESULT, result.model_dump(mode="json"))
            except OSError as error:  # it is only needed if sending fails
                log.warning("cannot write to %s (%s)", self._request, error.strerror)

    def send(self) -> None:
        """Bring the outputs to their stores, each manifest last; whoever finds it finds everything.

        Raises:
            UploadError: a store refuses; the outputs stay.
        """
        for uri, path in self._paths.items():
            try:
                send(path, uri)
            except StoreError as error:
                self._unsent = True
                raise UploadError(
                    f"what was made for {uri} could not be sent: {str(error).partition('; ')[0]}; it is complete "
                    f"in {path}, and the same command sends it without making it again"
                ) from error
        for uri in self._paths:
            if (work := self.work(uri)) is not None and self._work is not None and self._work.exists():
                for left in discard_finished(work):
                    log.warning("unfinished training with other settings or data stays in %s", left)
        if self._request is not None:
            shutil.rmtree(self._request, ignore_errors=True)

    def abandon(self) -> None:
        """Remove what a command leaves that made nothing whole."""
        if self._request is not None and not self._unsent and not (self._request / _RESULT).exists():
            shutil.rmtree(self._request, ignore_errors=True)


@contextmanager
def outbox(uris: Sequence[str], request: Callable[[], str]) -> Iterator[Outbox]:
    """The outbox of a command, after a small write to each store that it will need.

    Args:
        uris: of its outputs.
        request: makes the digest of what they depend on; only asked if one of them goes to a store.

    Raises:
        StoreError: a store cannot be written, or another process makes the same outputs.
    """
    remote = _remote(uris)
    for uri in remote:
        check_uri(uri)
        refuse_unwritable_object(uri)
    if not remote:
        yield Outbox(None, "", uris)
        return
    asked = request()
    with _locked(_folder() / _digest([os.environ.get(ENDPOINT, ""), *remote]), remote[0]) as folder:
        for other in folder.glob(f"*/{_RESULT}"):
            if other.parent.name != asked:
                log.warning(
                    "%s holds an earlier result for %s that was never sent; delete it if nobody needs it",
                    other.parent,
                    remote[0],
                )
        box = Outbox(folder, asked, uris)
        try:
            yield box
        finally:
            box.abandon()


def request_of(what: object, inputs: Sequence[str]) -> str:
    """Digest of a command: what it was asked for, and the content of its inputs.

    Args:
        what: JSON values.
        inputs: paths and URIs of artifacts and tables; one that cannot be read is the step's to refuse.
    """
    return _digest([what, [_content_of(uri) for uri in inputs]])


def _content_of(uri: str) -> str:
    """Digest of an artifact's manifest or of a table."""
    try:
        path = local_path(uri)
        if path is None:
            parent, name = parent_of(uri)
            store = open_store(parent)
            manifest = f"{name}/{MANIFEST}"
            content = store.read(manifest if store.exists(manifest) else name)
        else:
            content = (path / MANIFEST if path.is_dir() else path).read_bytes()
    except (StoreError, OSError):
        return ""
    return hashlib.sha256(content).hexdigest()


def _remote(uris: Sequence[str]) -> list[str]:
    return [uri for uri in uris if local_path(uri) is None]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _folder() -> Path:
    """Where unfinished work is kept; a temporary folder if that cannot be written.

    Raises:
        StoreError: others could change what is kept there, or nothing can be kept at all.
    """
    configured = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        state = configured if configured.is_absolute() else Path.home() / ".local" / "state"
        folder = named_folder() or state / "celestial-enhanced-pgat"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = distrusted_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        temporary = _temporary_folder()
        log.warning(
            "unfinished work is kept in %s only, since %s; set %s to a folder that lasts",
            temporary,
            error.strerror if isinstance(error, OSError) else error,
            WORK_VARIABLE,
        )
        return temporary
    if reason:
        raise StoreError(f"{reason}; set {WORK_VARIABLE} to a folder of your own", uri=str(folder))
    return folder


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="pgat-"))
    except OSError as error:
        raise StoreError(
            f"unfinished work can be kept nowhere, not even in a temporary folder ({error.strerror}); set "
            f"{WORK_VARIABLE} to a folder that can be written"
        ) from error


@contextmanager
def _locked(folder: Path, uri: str) -> Iterator[Path]:
    """``folder``, made if need be, for this process alone; removed at the end if nothing is in it."""
    while True:  # whoever held it may just remove it
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(
                f"unfinished work cannot be kept in {folder} ({error.strerror}); remove what is there",
                uri=str(folder),
            ) from error
        if try_lock(handle) is False:
            os.close(handle)
            raise StoreError(
                f"another process makes {uri}; wait until it has ended, or choose another output",
                uri=uri,
            )
        if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
            break
        os.close(handle)
    try:
        yield folder
    finally:
        # The folder that the user named stays, since its user may have made it.
        for empty in (
            folder / "training",
            folder,
            *([] if named_folder() else [folder.parent]),
        ):
            with suppress(OSError):
                empty.rmdir()
        os.close(handle)
