"""Where ``kfp.local`` is patched, each patch with its reason; nothing else of KFP is touched.

KFP offers no way to register a task handler or a cache of one's own: it looks each up in its module when a task begins.
So the class there is replaced for the length of a run, and put back however that ends. ``tests/pipeline`` fails where a
version of KFP names one of them otherwise, since its own class would then start the steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from kfp.local import cache, docker_task_handler, subprocess_task_handler


@contextmanager
def subprocess_handler(handler: type) -> Iterator[None]:
    """``handler`` starts the steps of a ``SubprocessRunner``.

    KFP's own breaks on paths with blanks, keeps no log, hides progress bars, and knows a failure's exit code but not
    its reason.
    """
    with _replaced(subprocess_task_handler, "SubprocessTaskHandler", handler):
        yield


@contextmanager
def docker_handler(handler: type) -> Iterator[None]:
    """``handler`` starts the steps of a ``DockerRunner``.

    KFP's own talks to Docker's API: it takes a container that is gone for one that succeeded, mounts writable what a
    step only reads, and knows no podman.
    """
    with _replaced(docker_task_handler, "DockerTaskHandler", handler):
        yield


@contextmanager
def local_cache(kind: type) -> Iterator[None]:
    """``kind`` decides what is reused.

    KFP's own takes an earlier output for good if its path exists. It is made once and kept; a new one is made at both
    ends of the block.
    """
    with _replaced(cache, "LocalCache", kind):
        cache.reset_local_cache_singleton()
        try:
            yield
        finally:
            cache.reset_local_cache_singleton()


@contextmanager
def _replaced(module: ModuleType, name: str, kind: type) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, kind)
    try:
        yield
    finally:
        setattr(module, name, original)
