"""Train the model on a prepared dataset; leaves the best and the last checkpoint."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import get_args

from components.cli import Files, command, execute
from model_core.config.run import LauncherKind, Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(step_parser(), _run, arguments, inputs=("dataset",), outputs=("model",))


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "train",
        __doc__,
        "%(prog)s --config configs/quickstart.yaml --dataset runs/mine/dataset --model runs/mine/model",
        "%(prog)s --dataset s3://market/dataset --model s3://market/model "
        "--checkpoint-uri s3://market/checkpoints",
    )
    parser.add_argument("--dataset", required=True, metavar="IN", help="output folder of prepare_data")
    parser.add_argument("--model", required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--checkpoint-uri",
        metavar="URI",
        help="folder or s3://… that keeps checkpoints, and resumes from the newest",
    )
    parser.add_argument(
        "--launcher",
        choices=get_args(LauncherKind),
        help="where to train; default: training.launcher.kind, whose section holds the options",
    )
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.train.job import Job
    from components.train.launchers import launch_from_settings

    job = Job(
        dataset=str(files.input(given.dataset)),
        model=str(files.output(given.model)),
        model_settings=settings.model,
        training_settings=settings.training,
        checkpoint_uri=given.checkpoint_uri,
        kept=files.work(given.model),
    )
    return launch_from_settings(job, given.launcher)


if __name__ == "__main__":
    main()
