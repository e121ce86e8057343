"""``python -m pipelines runs``: what runs left behind."""

from argparse import Namespace
from pathlib import Path

from model_core.errors import UserError
from pipelines.commands.options import Commands

_DESCRIPTION = "Review what runs left behind."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "runs", help="list | show NAME | compare NAME NAME | open NAME", description=_DESCRIPTION
    )
    parser.add_argument("what", choices=["list", "show", "compare", "open"], help="what to do with them")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="list takes none, show and open one, compare two"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs; default runs")
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from pipelines import runs

    wanted = {"list": 0, "show": 1, "compare": 2, "open": 1}[given.what]
    if len(given.names) != wanted:
        raise UserError(f"runs {given.what} takes {wanted} names; `runs list` shows them")
    match given.what:
        case "list":
            print(runs.list_runs(given.runs))
        case "show":
            print(runs.show_run(given.runs, given.names[0]))
        case "compare":
            print(runs.compare_runs(given.runs, *given.names))
        case _:
            print(runs.open_run(given.runs, given.names[0]))
