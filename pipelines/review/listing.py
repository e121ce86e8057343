"""What the terminal shows of runs: a line for each, or everything of one."""

import logging
from collections.abc import Sequence
from pathlib import Path

from model_core.errors import ArtifactError, shown
from model_core.evaluation.verdict import skill_words
from model_core.results.headline import Headline
from model_core.results.record import JsonObject
from model_core.results.run import RUNNING, SUCCEEDED, RunRecord
from pipelines.runs import find_run, headline_in, records, score_table, scores_of

log = logging.getLogger("pgat.runs")
_SKILL = 22
"""Width of ``−12.3 % [−45.6, +78.9]``."""


def list_runs(runs: Path, found: Sequence[RunRecord] | None = None) -> str:
    """A table with a line for each run, or a sentence if there is none.

    Args:
        found: the runs; those in the folder ``runs`` if None.

    Raises:
        UserError: there is no such folder.
    """
    found = records(runs) if found is None else found
    if not found:
        return f"no runs in {runs}; `make run` makes one"
    lines = [
        f"{'name':32}  {'started':25}  {'status':11}  {'MAE log':>9}  {'skill of the point':{_SKILL}}  "
        f"{'of the distribution':{_SKILL}}  {'fragile':7}  source"
    ]
    for record in found:
        started, status, source = map(shown, (record.started_at, record.status, record.source))
        lines.append(f"{record.name:32}  {started:25}  {status:11}  {_results(runs, record)}  {source}")
    return "\n".join(lines)


def runs_as_json(runs: Path, found: Sequence[RunRecord] | None = None) -> JsonObject:
    """The runs as JSON, for programs.

    Raises:
        UserError: there is no such folder.
    """
    return {"runs": [run_as_json(runs, record) for record in (records(runs) if found is None else found)]}


def run_as_json(runs: Path, record: RunRecord) -> JsonObject:
    """A run's record with headline and paths of artifacts; ``damaged`` says why its scores cannot be trusted."""
    damaged = None
    try:
        headline = headline_in(runs, record)
    except ArtifactError as error:
        headline, damaged = None, str(error)
    artifacts = {kind: str(record.artifact(runs, kind)) for kind in record.artifacts}
    return record.model_copy(update={"headline": headline, "artifacts": artifacts}).model_dump(
        mode="json"
    ) | {"damaged": damaged}


def show_run(runs: Path, name: str) -> str:
    """State, scores, verdict, time per step, and where everything is.

    Raises:
        ArtifactError: its record or its scores are damaged.
        UserError: there is no such run.
    """
    record = find_run(runs, name)
    lines = [f"{record.name}: {record.status}, started {record.started_at}, {record.source}"]
    code = f"code {record.code_version}" + (f", commit {record.git_commit}" if record.git_commit else "")
    lines += [f"  {code}" + (f", on {record.host}" if record.host else "")]
    lines += [
        f"  an earlier try, started {each.started_at}: {each.status} at {each.failed_step}"
        for each in record.attempts
    ]
    if record.status not in (RUNNING, SUCCEEDED):
        lines.append(f"{record.failed_step}: {record.reason}")
    lines += [f"  {step:14}  reused" for step in record.reused]
    lines += [f"  {step:14} {seconds:7.1f} s" for step, seconds in record.step_seconds.items()]
    if record.status == RUNNING:
        lines.append(f"  {record.running_step or 'starting'} …")
    if (scores := scores_of(runs, record)) is not None:
        lines += score_table(scores).splitlines()
    if (headline := headline_in(runs, record)) is not None:
        lines.append(f"{fragility(headline)}; market table {headline.source_sha256[:12]}")
    lines += [f"  {kind:10} {record.artifact(runs, kind)}" for kind in record.artifacts]
    return "\n".join(map(shown, lines))


def fragility(headline: Headline) -> str:
    """In how many perturbations a model is fragile, and which invariants failed, in words."""
    broken = f", INVARIANT FAILED: {', '.join(headline.broken)}" if headline.broken else ""
    return f"fragile in {len(headline.fragile)} of {headline.perturbations} perturbations{broken}"


def _results(runs: Path, record: RunRecord) -> str:
    """The columns from ``MAE log`` to ``fragile``, blank where a run has no scores."""
    try:
        headline = headline_in(runs, record)
    except ArtifactError as error:
        log.warning("%s", error)
        return f"{'damaged':>9}  {'':{_SKILL}}  {'':{_SKILL}}  {'':7}"
    if headline is None:
        return f"{'':9}  {'':{_SKILL}}  {'':{_SKILL}}  {'':7}"
    point, distribution = map(skill_words, (headline.skill, headline.crps_skill))
    fragile = f"{len(headline.fragile)}/{headline.perturbations}" + ("!" if headline.broken else "")
    return f"{headline.mae_log:9.6f}  {point:{_SKILL}}  {distribution:{_SKILL}}  {fragile:7}"
