"""Run the pipeline here, compile it for a cluster, submit it, review what runs left behind.

python -m pipelines run --config configs/quickstart.yaml --source sample://nasdaq
python -m pipelines compile --tag $(git rev-parse --short=12 HEAD) --output pipeline.yaml
python -m pipelines submit --host https://kubeflow.example/pipeline --source s3://bucket/table.csv
python -m pipelines follow | terminate ID --host https://kubeflow.example/pipeline
python -m pipelines runs list | show NAME | compare NAME NAME | open NAME
python -m pipelines store
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from components.arguments import Parser, parse
from components.output import keep_saying
from model_core.errors import PgatError, denied
from pipelines.commands import compile, follow, run, runs, store, submit, terminate
from pipelines.stopping import StoppedBySignal


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code: 0 done, 1 failed, 2 wrong input, 128 + the signal."""
    keep_saying()
    given = parse(pipelines_parser(), arguments)
    try:
        try:
            given.action(given)
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


def pipelines_parser() -> ArgumentParser:
    """The parser of all commands; each adds its own."""
    parser = Parser(
        prog="python -m pipelines", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(
        required=True, metavar="run | compile | submit | follow | terminate | runs | store"
    )
    for command in (run, compile, submit, follow, terminate, runs, store):
        command.add(actions)
    return parser


if __name__ == "__main__":
    sys.exit(main())
