"""``python -m pipelines terminate``: end a run on a cluster."""

from argparse import Namespace

from pipelines.commands.options import Commands, add_run_command

_DESCRIPTION = "End a run on a cluster. What training has mirrored to its checkpoint URI stays."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    add_run_command(actions, "terminate", "end a run on a cluster", _DESCRIPTION, _act)


def _act(given: Namespace) -> None:
    from pipelines.kubeflow.api import Api, checked_id

    Api(given.host, over_http=given.token_over_http).terminate(checked_id(given.run_id))
    print(f"the run {given.run_id} is being ended")
