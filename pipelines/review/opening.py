"""A run's report in the web browser."""

import webbrowser
from pathlib import Path

from model_core.errors import UserError
from pipelines.runs import find_run


def open_run(runs: Path, name: str) -> str:
    """Show the report in the web browser; returns its path.

    Raises:
        UserError: there is no such run, or it left no report.
    """
    page = runs / find_run(runs, name).name / "report.html"
    if not page.exists():
        raise UserError(f"the run {name} left no report; see python -m pipelines runs show {name}")
    webbrowser.open(page.resolve().as_uri())
    return str(page)
