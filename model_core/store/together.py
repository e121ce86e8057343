"""Several operations on a store at once: each waits for the network most of the time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_AT_ONCE = 8
"""As many as the client of a store keeps connections open."""


def together(work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What ``work`` makes of each item, in the order of ``items``; the first error is raised once no call is running.

    Each call runs in a copy of this thread's context, so that its deadline holds there, too.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as pool:
        asked = [pool.submit(copy_context().run, work, item) for item in items]
        try:
            return [each.result() for each in asked]
        except BaseException:
            for each in asked:
                each.cancel()
            raise
