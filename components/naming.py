"""Messages name the URI that a person gave, not the temporary folder that stands in for it on this machine."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from model_core.errors import PgatError


def renamed(text: str, uris: Mapping[str, str]) -> str:
    """``text`` with each folder replaced by its URI.

    Args:
        uris: path on this machine → the URI that it stands in for.
    """
    for folder, uri in uris.items():
        text = text.replace(folder, uri)
    return text


@contextmanager
def named_by_uri(uris: Mapping[str, str]) -> Iterator[None]:
    """Within the block, errors and log lines name URIs; ``uris`` may grow meanwhile."""

    def rename(record: logging.LogRecord) -> bool:
        record.msg, record.args = renamed(record.getMessage(), uris), ()
        return True

    # Where no handler is set up, logging writes through its last resort.
    handlers = list(logging.getLogger().handlers)
    if not handlers and logging.lastResort is not None:
        handlers = [logging.lastResort]
    for handler in handlers:
        handler.addFilter(rename)
    try:
        yield
    except PgatError as error:
        error.args = (renamed(str(error), uris),)
        error.details = tuple(renamed(detail, uris) for detail in error.details)
        raise
    finally:
        for handler in handlers:
            handler.removeFilter(rename)
