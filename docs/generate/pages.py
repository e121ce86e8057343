"""Every generated page and file, and the function that makes its text from the code."""

from collections.abc import Callable
from pathlib import Path

from docs.generate.settings import settings_file, settings_page
from docs.generate.waves import waves_page

ROOT = Path(__file__).parent.parent.parent
PAGES: dict[str, Callable[[], str]] = {
    "configs/celestial_enhanced_pgat.yaml": settings_file,
    "docs/settings.md": settings_page,
    "docs/waves.md": waves_page,
}
"""Path from the repository's root → its whole text."""
