"""One process of a team that trains: what ``torchrun`` starts, here or in a Kubeflow TrainJob.

    torchrun … -m components.train.worker JOB

JOB is the text of a ``Job`` in JSON, or the path of a file that holds it.
"""

import json
import logging
import os
import sys
from pathlib import Path

from components.cli import Files
from components.face import one_sentence, start_logging
from components.outbox import outbox, request_of
from components.train.step import run
from components.work import Work
from model_core.config.base import Section
from model_core.config.load import validated
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.errors import PgatError

CREDENTIALS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
"""File of a mounted KFP secret → the variable that the store reads."""


class Job(Section):
    """A training step, as text that can travel to another machine."""

    dataset: str
    """Path or URI."""
    model: str
    """Path or URI."""
    model_settings: ModelSettings
    training_settings: TrainingSettings
    checkpoint_uri: str | None = None
    kept: Work | None = None
    failure: str | None = None
    """File for the error that ends the run, so that the launcher can repeat it."""
    credentials: str | None = None
    """Folder where the store's secret is mounted."""


def main(arguments: list[str]) -> None:
    """Train as one of the team; the leader uploads the model."""
    start_logging()
    if not _leads():
        logging.getLogger("pgat").setLevel(logging.WARNING)
    text = (
        arguments[0]
        if arguments[0].lstrip().startswith("{")
        else Path(arguments[0]).read_text(encoding="utf-8")
    )
    with one_sentence():
        job = validated(Job, json.loads(text))
        if job.credentials is not None:
            for name, variable in CREDENTIALS.items():
                os.environ[variable] = (Path(job.credentials) / name).read_text(encoding="utf-8").strip()
        try:
            work(job)
        except PgatError as error:
            if job.failure is not None and _leads():
                failure = {"kind": type(error).__name__, "message": str(error)}
                Path(job.failure).write_text(json.dumps(failure), encoding="utf-8")
            raise


def work(job: Job) -> None:
    """Fetch the dataset, train, and upload what belongs in a store."""
    outputs = [job.model] if _leads() else []
    with (
        outbox(outputs, lambda: request_of(job.model_dump(mode="json"), [job.dataset])) as box,
        Files(box) as files,
    ):
        run(
            dataset=files.input(job.dataset),
            model=files.output(job.model) if _leads() else Path(job.model),  # where only the leader writes
            model_settings=job.model_settings,
            training_settings=job.training_settings,
            checkpoint_uri=job.checkpoint_uri,
            kept=job.kept,
        )
        box.finished({})
        box.send()


def _leads() -> bool:
    return os.environ.get("RANK", "0") == "0"


if __name__ == "__main__":
    main(sys.argv[1:])
