"""Write how a run on a cluster ended: its record, a page that says so, and a message to a webhook."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings
from model_core.variables import WEBHOOK


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(step_parser(), _run, arguments, outputs=("page",))


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "finish",
        __doc__,
        "%(prog)s --status status.json --notes s3://mlpipeline/v2/artifacts/pipeline/run/notes --source prices.csv "
        "--run-name mine --page page.html",
    )
    parser.add_argument(
        "--status", required=True, metavar="JSON", help="file with KFP's PipelineTaskFinalStatus"
    )
    parser.add_argument("--notes", metavar="URI", help="folder or s3://… with what the steps noted")
    parser.add_argument("--source", required=True, metavar="TABLE", help="the market table, for the record")
    parser.add_argument("--run-name", required=True, metavar="NAME", help="what the run is called")
    parser.add_argument("--page", required=True, metavar="OUT", help="the HTML file to write")
    parser.add_argument(
        "--publish-uri",
        metavar="URI",
        help="folder or s3://… that gets record and page, under the run's name",
    )
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.finish.step import read_status, run

    return run(
        status=read_status(given.status),
        settings=settings,
        source=given.source,
        run_name=given.run_name,
        page=files.output(given.page),
        notes=given.notes,
        publish_uri=given.publish_uri,
        webhook=os.environ.get(WEBHOOK) or None,
    )


if __name__ == "__main__":
    main()
