"""Perturb the inputs of the best checkpoint and check what must always hold."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(step_parser(), _run, arguments, inputs=("dataset", "model"), outputs=("findings",))


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "diagnose",
        __doc__,
        "%(prog)s --dataset runs/mine/dataset --model runs/mine/model --findings runs/mine/findings",
    )
    parser.add_argument("--dataset", required=True, metavar="IN", help="output folder of prepare_data")
    parser.add_argument("--model", required=True, metavar="IN", help="output folder of train")
    parser.add_argument("--findings", required=True, metavar="OUT", help="output folder")
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.diagnose.step import run

    return run(
        dataset=files.input(given.dataset),
        model=files.input(given.model),
        findings=files.output(given.findings),
        settings=settings.diagnostics,
    )


if __name__ == "__main__":
    main()
