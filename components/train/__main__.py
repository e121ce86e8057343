"""Train the model on a prepared dataset; leaves the best and the last checkpoint."""

from argparse import Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    parser = command("train", __doc__)
    parser.add_argument("--dataset", required=True, metavar="IN", help="output folder of prepare_data")
    parser.add_argument("--model", required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--checkpoint-uri",
        metavar="URI",
        help="folder or s3://… that keeps checkpoints, and resumes from the newest",
    )
    execute(parser, _run, arguments)


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.train.step import run

    return run(
        dataset=files.input(given.dataset),
        model=files.output(given.model),
        model_settings=settings.model,
        training_settings=settings.training,
        checkpoint_uri=given.checkpoint_uri,
    )


if __name__ == "__main__":
    main()
