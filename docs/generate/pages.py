"""Every generated page and file, and the function that makes its text from the code."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from docs.generate.artifacts import DOCUMENTS, artifacts_page, schema_text
from docs.generate.commands import commands_page
from docs.generate.images import compose_file, dockerfile
from docs.generate.performance import performance_page
from docs.generate.resources import resources_page
from docs.generate.settings import settings_file, settings_page
from docs.generate.waves import waves_page

ROOT = Path(__file__).parent.parent.parent
PAGES: dict[str, Callable[[], str]] = {
    "configs/celestial_enhanced_pgat.yaml": settings_file,
    "docker/Dockerfile": dockerfile,
    "docker/compose.yaml": compose_file,
    "docs/artifacts.md": artifacts_page,
    **{document.schema_path: partial(schema_text, document) for document in DOCUMENTS},
    "docs/cli.md": commands_page,
    "docs/performance.md": performance_page,
    "docs/resources.md": resources_page,
    "docs/settings.md": settings_page,
    "docs/waves.md": waves_page,
}
"""Path from the repository's root → its whole text."""
