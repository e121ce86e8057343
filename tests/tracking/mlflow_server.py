"""A real MLflow server on the loopback interface, with SQLite, as its users start it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import MLFLOW
from tests.programs import program_serving


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port of a server that keeps everything in ``folder``."""

    def command(port: int) -> list[str]:
        return [
            *(str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/runs.db"),
            *("--artifacts-destination", str(folder / "files")),
        ]

    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))
    }
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # Its workers for evaluations of language models, six processes that import MLflow each.
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with program_serving(command, folder, "/health", environment) as port:
        yield port
