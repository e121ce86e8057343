"""Settings that do not overfit at once, found by rolling origins that end before the test span.

    python benchmarks/settings_search.py prepare DATA                  the origins of both samples, 7 MB
    python benchmarks/settings_search.py run DATA OUT --jobs 2         all candidates of benchmarks/settings_search.yaml
    python benchmarks/settings_search.py table OUT                     the ranking: JSON lines, then Markdown

``run`` needs the folder DATA, this repository, and of packages numpy, pandas, pyarrow, pydantic, PyYAML, SciPy, torch,
jaxtyping and tqdm. It stops after --minutes with what it has, and the same command goes on from there. Wrong input
exits with code 2.
"""

import sys
import time
from pathlib import Path

# A script's own folder is on the path, and the repository is not, unless it is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import components  # noqa: F401 - before torch, whose threads then wait as those of the steps do

# isort: split
import argparse
import json

from model_core.config.load import load_settings
from model_core.errors import PgatError, SettingsError

ROOT = Path(__file__).resolve().parent.parent
GRID = ROOT / "benchmarks" / "settings_search.yaml"
SOURCES = ("sample://nasdaq", "sample://sp500")


def main(words: list[str] | None = None) -> None:
    """Run one of the three commands."""
    started = time.monotonic()
    parser = _parser()
    given = parser.parse_args(words)
    try:
        match given.command:
            case "prepare":
                _prepare(given)
            case "run":
                _run(given, started)
            case "table":
                _table(given)
            case _:
                parser.print_help(sys.stderr)
    except PgatError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error


def _prepare(given: argparse.Namespace) -> None:
    # Skyfield and the sky come with this import, and the other commands do without.
    from benchmarks.search.origins import open_origins
    from benchmarks.search.preparation import Plan, market_of, prepare_market, total_bytes

    settings = load_settings(given.config).data
    plan = Plan(given.origins, given.validation, given.held_out)
    sources = {market_of(source): source for source in given.source or SOURCES}
    if len(sources) < len(given.source or SOURCES):
        raise SettingsError("two sources have one name; give each --source a name of its own")
    for market, source in sources.items():
        prepare_market(source, settings, plan, given.data / market)
    for origin in open_origins(given.data).values():
        splits = origin.dataset.splits
        spans = {"train": splits.train, "validation": splits.validation, "held_out": splits.test}
        told = {
            name: [str(origin.dataset.dates[row]) for row in (span.first, span.stop - 1)]
            for name, span in spans.items()
        }
        line = {"market": origin.market, "origin": origin.number, "anchors": told, "bars": origin.bars}
        print(json.dumps(line), flush=True)
    print(json.dumps({"bytes": total_bytes([given.data / market for market in sources])}))


def _run(given: argparse.Namespace, started: float) -> None:
    from benchmarks.search.grid import load_grid
    from benchmarks.search.workers import search

    candidates, seeds = load_grid(given.grid, given.set)
    done, wanted = search(
        given.data,
        given.out,
        candidates,
        seeds,
        device=given.device,
        jobs=given.jobs,
        deadline=started + 60 * given.minutes,
    )
    print(json.dumps({"runs": done, "of": wanted, "seconds": round(time.monotonic() - started, 1)}))


def _table(given: argparse.Namespace) -> None:
    from benchmarks.search.table import agreements, markdown, ranking
    from benchmarks.search.workers import read_runs

    runs = read_runs(given.out)
    rows = ranking(runs, given.select, given.patience)
    for row in (*rows, *agreements(runs, given.select)):
        print(json.dumps(row))
    used = sum(row["runs"] for row in rows)
    print(
        f"\n{len(rows)} candidates, {used} runs; {len(runs) - used} of rounds that are not complete are left out\n"
    )
    for line in markdown(rows):
        print(line)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes") from error
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a time; give minutes above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="settings_search.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command")
    prepare = commands.add_parser("prepare", help="write the rolling origins")
    prepare.add_argument("data", type=Path, help="folder to be written")
    prepare.add_argument(
        "--source", action="append", help="may be given more than once; both samples if left out"
    )
    prepare.add_argument(
        "--config", type=Path, default=ROOT / "configs/quickstart.yaml", help="whose data section"
    )
    prepare.add_argument("--origins", type=_count, default=4, help="of each market (%(default)s)")
    prepare.add_argument(
        "--validation", type=_count, default=400, help="rows that stop a training (%(default)s)"
    )
    prepare.add_argument("--held-out", type=_count, default=500, help="rows that judge it (%(default)s)")
    run = commands.add_parser("run", help="train all candidates")
    run.add_argument("data", type=Path, help="what prepare wrote")
    run.add_argument("out", type=Path, help="folder for runs.jsonl")
    run.add_argument(
        "--grid", type=Path, default=GRID, help="candidates and seeds (benchmarks/settings_search.yaml)"
    )
    run.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="change one setting of all candidates"
    )
    run.add_argument("--jobs", type=_count, default=1, help="processes, all on one device (%(default)s)")
    run.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    run.add_argument("--minutes", type=_minutes, default=60.0, help="from the command's start (%(default)s)")
    table = commands.add_parser("table", help="rank the candidates")
    table.add_argument("out", type=Path, help="what run wrote")
    table.add_argument(
        "--select",
        choices=["loss", "nll", "crps", "crps_close", "mse"],
        default="loss",
        help="chooses the epoch",
    )
    table.add_argument(
        "--patience", type=_count, help="as if runs had stopped after so many epochs without gain"
    )
    return parser


if __name__ == "__main__":
    main()
