"""``python -m pipelines terminate``: end a run on a cluster."""

from argparse import Namespace

from components.arguments import examples
from pipelines.commands.options import Commands, add_host

_DESCRIPTION = "End a run on a cluster. What training has mirrored to its checkpoint URI stays."
_EXAMPLES = examples("%(prog)s 1c9f3a52-0f0e-4c7e-9d49-6a1b7f7f6c5d --host https://kubeflow.example/pipeline")


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "terminate", help="end a run on a cluster", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("run_id", metavar="ID", help="of the run, as submit and the UI show it")
    add_host(parser)
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from pipelines.kubeflow.api import Api, checked_id

    Api(given.host, over_http=given.token_over_http).terminate(checked_id(given.run_id))
    print(f"the run {given.run_id} is being ended")
