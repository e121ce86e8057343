"""One of the processes that train together: what ``torchrun`` starts, here or in a Kubeflow TrainJob.

    torchrun … -m components.train.worker JOB

JOB is the text of a ``Job`` in JSON, or the path of a file that holds it.
"""

import json
import logging
import os
import sys
from pathlib import Path

from components.cli import Files
from components.entry_points import exit_on_user_error, start_logging
from components.outbox import outbox, request_of
from components.train.job import Job
from components.train.step import run
from model_core.config.load import validated
from model_core.errors import PgatError
from model_core.variables import SECRET_FIELDS


def main(arguments: list[str]) -> None:
    """Train as one of the processes; the main one uploads the model."""
    start_logging()
    if not _is_main():
        logging.getLogger("pgat").setLevel(logging.WARNING)
    text = (
        arguments[0]
        if arguments[0].lstrip().startswith("{")
        else Path(arguments[0]).read_text(encoding="utf-8")
    )
    with exit_on_user_error():
        job = validated(Job, json.loads(text))
        if job.credentials is not None:
            for name, variable in SECRET_FIELDS.items():
                os.environ[variable] = (Path(job.credentials) / name).read_text(encoding="utf-8").strip()
        try:
            work(job)
        except PgatError as error:
            if job.failure is not None and _is_main():
                failure = {"kind": type(error).__name__, "message": str(error)}
                Path(job.failure).write_text(json.dumps(failure), encoding="utf-8")
            raise


def work(job: Job) -> None:
    """Fetch the dataset, train, and upload what belongs in a store."""
    outputs = [job.model] if _is_main() else []
    with (
        outbox(outputs, lambda: request_of(job.model_dump(mode="json"), [job.dataset])) as box,
        Files(box) as files,
    ):
        # The main process alone writes the model.
        model = files.output(job.model) if _is_main() else Path(job.model)
        here = {"dataset": str(files.input(job.dataset)), "model": str(model)}
        run(job.model_copy(update=here))
        box.finished({})
        box.send()


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


if __name__ == "__main__":
    main(sys.argv[1:])
