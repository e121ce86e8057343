"""How a run on a cluster ended, from what KFP says of all steps together and what each of them noted."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.notes import BEGAN, ENDED, StepNote
from components.notes import FAILED as STEP_FAILED
from components.steps import ALL_STEPS, STEPS
from model_core.results.run import FAILED, STOPPED, SUCCEEDED

_SUCCESS = {"SUCCEEDED", "COMPLETE", "CACHED"}
_CANCELED = "CANCEL"
"""How the state of a canceled run begins, which is spelled with one L or two."""
_KILLED = (
    "its pod ended without saying why, as one does that runs out of memory or time or is evicted; the pod's events, on "
    "Kubeflow's page of the run, say which"
)
_SILENT = (
    "no step noted why: the failed step's pod never started (its image, its secrets, no room on the nodes), or has no "
    "keys to the store of KFP's artifacts (--secret or --store-role); Kubeflow's page of the run says which"
)


@dataclass(frozen=True)
class RunEnd:
    """How a run ended."""

    status: str
    """``succeeded``, ``failed`` or ``stopped``."""
    step: str | None = None
    """Where it failed or was stopped; None if it succeeded, or if no step noted that."""
    reason: str = ""
    last_lines: tuple[str, ...] = ()
    """The last lines of that step's log."""


def end_of(state: str, message: str, notes: Mapping[str, StepNote]) -> RunEnd:
    """How a run ended.

    Args:
        state: of all steps together, as KFP calls it: that of ML Metadata on a cluster (``COMPLETE``, ``FAILED``,
            ``CANCELED``; it stays ``RUNNING`` where a pod was killed), ``SUCCEEDED`` or ``FAILED`` in ``kfp.local``.
        message: of KFP's error; a cluster leaves it empty.
        notes: step → its note, for each that wrote one.
    """
    if state in _SUCCESS:
        return RunEnd(SUCCEEDED)
    in_order = [(step, notes[step]) for step in ALL_STEPS if step in notes]
    failed = next(((step, note) for step, note in in_order if note.state == STEP_FAILED), None)
    cut_off = next((step for step, note in in_order if note.state == BEGAN), None)
    if failed is not None:
        step, note = failed
        return RunEnd(FAILED, step, note.reason, note.last_lines)
    if state.startswith(_CANCELED):
        return RunEnd(STOPPED, cut_off, "it was stopped on the cluster")
    if cut_off is not None:
        return RunEnd(FAILED, cut_off, _KILLED)
    last = list(STEPS)[-1]
    if state != "FAILED" and last in notes:
        return RunEnd(SUCCEEDED)
    return RunEnd(FAILED, None, f"{message or 'a step failed'}; {_SILENT}")


def told_steps(notes: Mapping[str, StepNote], status: str) -> dict[str, str]:
    """Step → what became of it, in words; the steps are in running order."""
    noted = [number for number, step in enumerate(STEPS) if step in notes]
    last = max(noted, default=-1)
    told = {}
    for number, step in enumerate(STEPS):
        match notes.get(step):
            case None:
                # KFP starts no pod for a step that it reuses, so nothing notes it.
                unknown = "reused, or not begun" if number < last else "not run"
                told[step] = "reused" if status == SUCCEEDED else unknown
            case StepNote(state="ended", seconds=float(seconds)):
                told[step] = f"{seconds:.0f} s"
            case StepNote(state="failed"):
                told[step] = "failed"
            case _:
                told[step] = "not finished"
    return told


def seconds_of(notes: Mapping[str, StepNote]) -> dict[str, float]:
    """Step → seconds that it took, for each that ended."""
    return {
        step: notes[step].seconds or 0.0 for step in ALL_STEPS if step in notes and notes[step].state == ENDED
    }
