"""Prepare a market table into a dataset of 118 waves."""

from argparse import Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    parser = command("prepare_data", __doc__)
    parser.add_argument(
        "--source",
        required=True,
        metavar="URI",
        help="sample://nasdaq, a path or s3://…; CSV or Parquet with a date, Open, High, Low, Close",
    )
    parser.add_argument("--dataset", required=True, metavar="OUT", help="output folder")
    execute(parser, _run, arguments)


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.prepare_data.step import run

    return run(
        source=given.source,
        dataset=files.output(given.dataset),
        settings=settings.data,
    )


if __name__ == "__main__":
    main()
