"""``python -m pipelines run``: all steps on this machine."""

from argparse import Namespace
from pathlib import Path

from components.arguments import examples
from pipelines.commands.options import DEFAULT_SOURCE, Commands, add_settings, settings_file

_DESCRIPTION = (
    "Run all steps on this machine, as processes or in containers. "
    "What an earlier run made of the same inputs, settings and code is taken over."
)
_EXAMPLES = examples(
    "%(prog)s",
    "%(prog)s --source my.csv --name mine --set training.train_epochs=5",
    "%(prog)s --config configs/celestial_enhanced_pgat_production.yaml --source s3://market/prices.parquet",
)


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "run", help="run all steps on this machine", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    add_settings(parser)
    parser.add_argument(
        "--source", default=DEFAULT_SOURCE, help=f"table to learn from; default {DEFAULT_SOURCE}"
    )
    parser.add_argument("--name", help="of the run; default: made from the settings, the table and the code")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs; default runs")
    parser.add_argument(
        "--checkpoint-uri", default="", help="folder or s3://… that keeps training checkpoints"
    )
    parser.add_argument(
        "--publish-uri", default="", help="folder or s3://… of published runs that gets this one, too"
    )
    parser.add_argument(
        "--runner",
        choices=["process", "docker"],
        default="process",
        help="docker (or podman): each step in its image",
    )
    parser.add_argument("--tag", default="local", help="of the images, with --runner docker; default local")
    parser.add_argument("--no-cache", action="store_true", help="run every step again")
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from model_core.config.load import load_settings

    config = settings_file(given)
    settings = load_settings(config, given.set)
    # KFP takes more than a second to import; a misspelt setting is refused before that.
    from pipelines.runners.containers import find_containers
    from pipelines.runners.local import LocalRun, default_name, run_locally

    with settings.store.limits().in_force():
        run_locally(
            LocalRun(
                settings=settings,
                source=given.source,
                runs=given.runs,
                name=given.name or default_name(config, settings, given.source),
                checkpoint_uri=given.checkpoint_uri,
                publish_uri=given.publish_uri,
                caching=not given.no_cache,
                containers=find_containers(given.tag) if given.runner == "docker" else None,
            )
        )
