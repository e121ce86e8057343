"""``python -m pipelines follow``: watch a run that was submitted before."""

from argparse import Namespace

from pipelines.commands.options import Commands, add_run_command

_DESCRIPTION = "Watch a run on a cluster until it has ended; exit code 0 if it succeeded, 1 if not."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    add_run_command(actions, "follow", "watch a run on a cluster", _DESCRIPTION, _act)


def _act(given: Namespace) -> None:
    from pipelines.kubeflow.api import Api, checked_id
    from pipelines.kubeflow.watch import watch

    watch(Api(given.host, over_http=given.token_over_http), checked_id(given.run_id), say=print)
