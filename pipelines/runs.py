"""What runs left behind, for whoever reviews them: list, show, compare, open."""

import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_core.artifacts import read_json
from model_core.errors import UserError

RECORD = "run.json"


def score_table(scores: Mapping[str, Any]) -> str:
    """Test errors of the model beside every baseline, best first, and the verdict in words."""
    forecasts = scores["forecasts"]
    rows = [
        (name, f["title"], f["metrics"]["price"]["overall"], f["metrics"]["log"]["overall"])
        for name, f in forecasts.items()
    ]
    rows.sort(key=lambda row: row[3]["mae"])
    width = max(len(title) for _, title, _, _ in rows)
    lines = [
        f"test windows: {scores['windows']}, {scores['first_date']} … {scores['last_date']}, "
        f"{scores['pred_len']} days ahead",
        f"  {'':{width}}  {'MAE price':>10}  {'RMSE price':>10}  {'MAE log':>9}",
    ]
    for name, title, price, log in rows:
        mark = "*" if name == "model" else " "
        lines.append(
            f"{mark} {title:{width}}  {price['mae']:10.3f}  {price['rmse']:10.3f}  {log['mae']:9.6f}"
        )
    return "\n".join([*lines, str(scores["verdict"]["text"])])


def records(runs: Path) -> list[dict[str, Any]]:
    """Every run's record, newest first."""
    found = [dict(read_json(path)) for path in runs.glob(f"*/{RECORD}")]
    return sorted(found, key=lambda record: str(record["started_at"]), reverse=True)


def list_runs(runs: Path) -> str:
    """One line a run."""
    found = records(runs)
    if not found:
        return f"no runs in {runs}; `make run` makes one"
    lines = [f"{'name':32}  {'started':25}  {'status':9}  {'MAE log':>9}  source"]
    for record in found:
        scores = _scores(record)
        mae = f"{_mae(scores, 'model'):9.6f}" if scores else " " * 9
        lines.append(
            f"{record['name']:32}  {record['started_at']:25}  {record['status']:9}  {mae}  {record['source']}"
        )
    return "\n".join(lines)


def show_run(runs: Path, name: str) -> str:
    """Scores, verdict, time per step and where everything is."""
    record = _find(runs, name)
    lines = [f"{record['name']}: {record['status']}, started {record['started_at']}, {record['source']}"]
    if record["status"] != "succeeded":
        lines.append(f"{record['failed_step']}: {record['reason']}")
    for step, seconds in record.get("step_seconds", {}).items():
        lines.append(f"  {step:14} {seconds:7.1f} s")
    lines += [f"  {step:14}  reused" for step in record.get("reused", [])]
    if scores := _scores(record):
        lines.append(score_table(scores))
    lines += [f"  {kind:10} {path}" for kind, path in record.get("artifacts", {}).items()]
    return "\n".join(lines)


def compare_runs(runs: Path, first: str, second: str) -> str:
    """The settings in which two runs differ, and their scores side by side."""
    one, two = _find(runs, first), _find(runs, second)
    lines = [f"{'':40}  {first:>24}  {second:>24}"]
    left, right = _flat(one["settings"]), _flat(two["settings"])
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            lines.append(f"{key:40}  {left.get(key)!s:>24}  {right.get(key)!s:>24}")
    if len(lines) == 1:
        lines.append("the settings are the same")
    for field in ("source", "code_version"):
        if one[field] != two[field]:
            lines.append(f"{field:40}  {one[field]!s:>24}  {two[field]!s:>24}")
    a, b = _scores(one), _scores(two)
    if a and b:
        if (a["first_date"], a["last_date"], a["windows"]) != (b["first_date"], b["last_date"], b["windows"]):
            lines.append("the test windows differ, so the errors below are not comparable")
        for name in a["forecasts"].keys() & b["forecasts"].keys():
            lines.append(f"MAE log, {name:31}  {_mae(a, name):24.6f}  {_mae(b, name):24.6f}")
    return "\n".join(lines)


def open_run(runs: Path, name: str) -> str:
    """Show the report in the web browser; returns its path."""
    page = runs / _find(runs, name)["name"] / "report.html"
    if not page.exists():
        raise UserError(f"the run {name} left no report; see python -m pipelines runs show {name}")
    webbrowser.open(page.resolve().as_uri())
    return str(page)


def _find(runs: Path, name: str) -> dict[str, Any]:
    path = runs / name / RECORD
    if not path.exists():
        known = ", ".join(str(record["name"]) for record in records(runs)[:5]) or "none yet"
        raise UserError(f"there is no run {name} in {runs}; the newest are: {known}")
    return dict(read_json(path))


def _scores(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if record["status"] != "succeeded":
        return None
    path = Path(record["artifacts"]["evaluation"]) / "scores.json"
    return dict(read_json(path)) if path.exists() else None


def _mae(scores: Mapping[str, Any], forecast: str) -> float:
    return float(scores["forecasts"][forecast]["metrics"]["log"]["overall"]["mae"])


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
