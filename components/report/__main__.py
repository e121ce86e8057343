"""Write one self-contained page for whoever reviews the run, and publish it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(
        step_parser(),
        _run,
        arguments,
        inputs=("dataset", "model", "evaluation", "findings"),
        outputs=("report", "summary"),
    )


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "report",
        __doc__,
        "%(prog)s --dataset dataset --model model --evaluation evaluation --findings findings "
        "--report report.html --summary summary.md --run-name mine",
    )
    parser.add_argument("--dataset", required=True, metavar="IN", help="output folder of prepare_data")
    parser.add_argument("--model", required=True, metavar="IN", help="output folder of train")
    parser.add_argument("--evaluation", required=True, metavar="IN", help="output folder of evaluate")
    parser.add_argument("--findings", required=True, metavar="IN", help="output folder of diagnose")
    parser.add_argument("--report", required=True, metavar="OUT", help="the HTML file to write")
    parser.add_argument("--summary", required=True, metavar="OUT", help="the Markdown file to write")
    parser.add_argument("--run-name", required=True, metavar="NAME", help="what the page calls the run")
    parser.add_argument(
        "--publish-uri", metavar="URI", help="folder or s3://… that also gets the page, under the run's name"
    )
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.report.step import run

    return run(
        dataset=files.input(given.dataset),
        model=files.input(given.model),
        evaluation=files.input(given.evaluation),
        findings=files.input(given.findings),
        report=files.output(given.report),
        summary=files.output(given.summary),
        settings=settings.report,
        publish_uri=given.publish_uri,
        run_name=given.run_name,
    )


if __name__ == "__main__":
    main()
