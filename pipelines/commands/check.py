"""``python -m pipelines check``: a compiled pipeline, before a cluster gets it."""

from argparse import Namespace
from pathlib import Path

from components.arguments import examples
from model_core.errors import counted
from pipelines.commands.options import Commands

_DESCRIPTION = (
    "Check a compiled pipeline: that KFP reads it, that images cannot change under their names, that each pod has a "
    "deadline and is not root, that pods with GPUs have shared memory and tolerations, that only what may run twice is "
    "tried again, and that no secret stands in it. compile and submit check theirs by themselves."
)

_EXAMPLES = examples("%(prog)s pipeline.yaml")


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "check", help="check a compiled pipeline", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("file", type=Path, help="what compile wrote, e.g. pipeline.yaml")
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from pipelines.check import check_file

    count = check_file(given.file)
    print(f"{given.file}: {counted(count, 'task')}, and all rules are kept")
