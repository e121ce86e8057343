"""A run's report in the web browser."""

import hashlib
import webbrowser
from pathlib import Path

from model_core.config.data import SkySettings
from model_core.errors import UserError
from model_core.sky.cache import cache_folder
from pipelines.runs import find_run


def fetched_pages(uri: str) -> Path:
    """Folder in this user's cache for the pages that are fetched from the store at ``uri``."""
    return cache_folder(SkySettings()) / "pages" / hashlib.sha256(uri.encode()).hexdigest()[:16]


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
