"""Watching a run on a cluster until it has ended, whatever the way to the API does meanwhile."""

import time
from collections.abc import Callable
from urllib.parse import quote

from model_core.errors import DeniedError, PipelineError, StoreError, UnavailableError, shown
from pipelines.kubeflow.api import Api, Run, Status

_GOOD, _BAD = ("SUCCEEDED", "SKIPPED"), ("FAILED", "CANCELED")
POLL_SECONDS = 10.0
PATIENCE_SECONDS = 900.0
"""Without an answer, before watching ends; a gateway or an API that is updated is back sooner."""
_LONGEST_PAUSE_SECONDS = 60.0


def page_of(host: str, run_id: str) -> str:
    """URL of a run's page."""
    return f"{host}/#/runs/details/{quote(run_id)}"


def how_to_go_on(host: str, run_id: str) -> str:
    """What to do about a run that is not watched any more."""
    return (
        f"the run goes on; to follow it: python -m pipelines follow {run_id} --host {host} (or "
        f"{page_of(host, run_id)}), to end it: python -m pipelines terminate {run_id} --host {host}"
    )


def watch(
    api: Api,
    run_id: str,
    *,
    say: Callable[[str], None],
    poll_seconds: float = POLL_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Tell of each step's state until the run has ended.

    Args:
        say: gets one line per news.
        poll_seconds: how often to ask.
        patience_seconds: how long the API may not answer. What answers without end is not asked again.

    Raises:
        PipelineError: the run failed or was ended.
        StoreError, UserError: how it goes cannot be asked any more; the message says how to go on.
        KeyboardInterrupt: of whoever stops watching, after a line that says the same.
    """
    told: dict[str, str] = {}
    answered, failures = time.monotonic(), 0
    try:
        while True:
            try:
                run = api.run(run_id)
            except (UnavailableError, DeniedError) as error:
                failures += 1
                if not _may_pass(api, error) or time.monotonic() - answered >= patience_seconds:
                    raise
                if failures == 1:
                    reason = str(error).partition("; ")[0]
                    say(
                        shown(
                            f"  {reason}; the run goes on, asking again for up to {patience_seconds / 60:g} min"
                        )
                    )
            else:
                answered, failures = time.monotonic(), 0
                if _ended(run, told, say):
                    return
            time.sleep(min(poll_seconds * 2**failures, max(_LONGEST_PAUSE_SECONDS, poll_seconds)))
    except KeyboardInterrupt:
        say(how_to_go_on(api.host, run_id))
        raise
    except DeniedError as error:
        raise DeniedError(f"{error}; {how_to_go_on(api.host, run_id)}") from error
    except StoreError as error:
        raise StoreError(f"{error}; {how_to_go_on(api.host, run_id)}") from error


def _may_pass(api: Api, error: Exception) -> bool:
    """Whether the same question may be answered later: credentials in a file are renewed there."""
    return isinstance(error, UnavailableError) or api.renews_credentials()


def _ended(run: Run, told: dict[str, str], say: Callable[[str], None]) -> bool:
    for task in run.tasks:
        if task.state and told.get(task.display_name) != task.state:
            told[task.display_name] = task.state
            say(shown(f"  {task.display_name}: {task.state.lower()}"))
    if run.state in _GOOD:
        say(shown(f"run {run.display_name}: {run.state.lower()}"))
    elif run.state in _BAD:
        failed = [f"{task.display_name} ({_why(task.error)})" for task in run.tasks if task.state == "FAILED"]
        raise PipelineError(
            f"the run {run.display_name} was {run.state.lower()}: {'; '.join(failed) or _why(run.error)}"
        )
    return run.state in _GOOD


def _why(error: Status | None) -> str:
    return error.message if error is not None and error.message else "see its log on the run's page"
