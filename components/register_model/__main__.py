"""Register the model in Kubeflow's Model Registry, unless it is worse than a baseline or the registered one."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from components.cli import Files, command, execute
from components.register_model.registry import EXAMPLE, FLAG
from components.steps import REGISTERED_NAME
from model_core.config.run import Settings
from model_core.store.locate import local_path


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(
        step_parser(), _run, arguments, inputs=("dataset", "model", "evaluation"), outputs=("registration",)
    )


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "register_model",
        __doc__,
        "%(prog)s --dataset s3://market/dataset --model s3://market/model --evaluation s3://market/evaluation "
        f"--registration registration --run-name mine {FLAG} {EXAMPLE}",
    )
    parser.add_argument("--dataset", required=True, metavar="IN", help="output folder of prepare_data")
    parser.add_argument(
        "--model", required=True, metavar="IN", help="output folder of train, which the registry is told of"
    )
    parser.add_argument("--evaluation", required=True, metavar="IN", help="output folder of evaluate")
    parser.add_argument("--registration", required=True, metavar="OUT", help="folder for registration.json")
    parser.add_argument(FLAG, required=True, metavar="URL", help="of Kubeflow's Model Registry")
    parser.add_argument(
        "--registered-name",
        default=REGISTERED_NAME,
        metavar="NAME",
        help=f"what the registry calls the model; default {REGISTERED_NAME}",
    )
    parser.add_argument("--run-name", required=True, metavar="NAME", help="what the run is called")
    parser.add_argument("--publish-uri", metavar="URI", help="folder or s3://… where the run's report is")
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.register_model.step import run

    path = local_path(given.model)
    return run(
        dataset=files.input(given.dataset),
        model=files.input(given.model),
        model_uri=given.model if path is None else Path(path).resolve().as_uri(),
        evaluation=files.input(given.evaluation),
        registration=files.output(given.registration),
        settings=settings.evaluation,
        model_registry=given.model_registry,
        registered_name=given.registered_name,
        run_name=given.run_name,
        publish_uri=given.publish_uri,
    )


if __name__ == "__main__":
    main()
