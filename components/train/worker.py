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
from components.train.failure import leave_word, others_were_refused, refusal_in
from components.train.job import Job
from components.train.step import run
from model_core.config.load import validated
from model_core.errors import PgatError, UserError
from model_core.variables import SECRET_FIELDS

log = logging.getLogger("pgat.train")


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
        if job.failure is None:
            work(job)
        else:
            _work_with_word(job, Path(job.failure))


def _work_with_word(job: Job, failure: Path) -> None:
    """The same for a launcher that reads why processes end; one whose input is wrong leaves as if all were well."""
    if refusal_in(failure) is not None:  # torchrun started this process again, for nothing
        return
    try:
        work(job)
    except UserError as error:
        leave_word(failure, error)
    except PgatError as error:
        if _is_main():
            leave_word(failure, error)
        raise
    except RuntimeError as error:  # torch's word for a partner that is gone
        if not others_were_refused(failure):
            raise
        log.info("another process refused its input, so this one ends, too: %s", error)


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
