"""The real markets that a benchmark measures one after the other, and its command line."""

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any

MARKETS = ("sample://nasdaq", "sample://sp500")


def print_by_market(story: str | None, measure: Callable[[str], Iterable[dict[str, Any]]]) -> None:
    """Print what ``measure`` says of each market, a JSON line each; ``--source`` names others.

    Args:
        story: the benchmark's docstring; its first line is shown by ``--help``.
    """
    parser = argparse.ArgumentParser(description=(story or "").partition("\n")[0])
    parser.add_argument("--source", action="append", help="may be given more than once")
    for source in parser.parse_args().source or MARKETS:
        for line in measure(source):
            print(json.dumps(line), flush=True)
