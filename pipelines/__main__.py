"""Run the pipeline here, compile it for a cluster, submit it, review what runs left behind.

``pgat`` and ``python -m pipelines`` are the same command; ``COMMAND --help`` shows examples of each.
"""

import sys
from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from components.arguments import Parser, parse
from components.output import check_said, keep_saying
from model_core.errors import PgatError, denied
from pipelines.commands import check, compile, follow, run, runs, store, submit, terminate
from pipelines.stopping import StoppedBySignal

SCRIPT = "pgat"
"""What the console script is called; ``pyproject.toml`` makes it."""
MODULE = "python -m pipelines"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code: 0 done, 1 failed, 2 wrong input, 128 + the signal."""
    keep_saying()
    parser = pipelines_parser(SCRIPT if Path(sys.argv[0]).name == SCRIPT else MODULE)
    try:
        try:
            given = parse(parser, arguments)
            given.action(given)
            check_said()
        except PermissionError as error:
            raise denied(error) from error
    except PgatError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except StoppedBySignal as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def pipelines_parser(name: str = MODULE) -> ArgumentParser:
    """The parser of all commands, as ``name``; each adds its own."""
    parser = Parser(prog=name, description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--version", action=_Version, help="print the version, the code's hash and commit")
    actions = parser.add_subparsers(
        required=True, metavar="run | compile | check | submit | follow | terminate | runs | store"
    )
    for command in (run, compile, check, submit, follow, terminate, runs, store):
        command.add(actions)
    return parser


class _Version(Action):
    """Looks at the sources only when it is asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from model_core.artifacts import code_version
        from model_core.versions import git_commit

        try:
            version = metadata.version("celestial-enhanced-pgat")
        except metadata.PackageNotFoundError:
            version = "of a checkout that is not installed"
        commit = f", commit {found}" if (found := git_commit()) else ""
        print(f"{SCRIPT} {version} (code {code_version()}{commit})")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
