"""``python -m pipelines follow``: watch a run that was submitted before."""

from argparse import Namespace

from components.arguments import examples
from pipelines.commands.options import Commands, add_host

_DESCRIPTION = "Watch a run on a cluster until it has ended; exit code 0 if it succeeded, 1 if not."
_EXAMPLES = examples("%(prog)s 1c9f3a52-0f0e-4c7e-9d49-6a1b7f7f6c5d --host https://kubeflow.example/pipeline")


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "follow", help="watch a run on a cluster", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("run_id", metavar="ID", help="of the run, as submit and the UI show it")
    add_host(parser)
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from pipelines.kubeflow.api import Api, checked_id
    from pipelines.kubeflow.watch import watch

    watch(Api(given.host, over_http=given.token_over_http), checked_id(given.run_id), say=print)
