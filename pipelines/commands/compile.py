"""``python -m pipelines compile``: the pipeline as a file."""

from argparse import Namespace
from pathlib import Path

from components.arguments import examples
from pipelines.commands.options import Commands, add_cluster, add_settings, cluster_of, settings_file

_DESCRIPTION = "Write the pipeline as KFP's YAML. The same inputs give the same bytes."

_EXAMPLES = examples(
    "%(prog)s --output pipeline.yaml",
    "%(prog)s --registry ghcr.io/example/ --tag 0123456789ab --gpus 1 --output pipeline.yaml",
)


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "compile", help="write the pipeline as KFP's YAML", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    add_settings(parser)
    add_cluster(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("pipeline.yaml"), help="the file to write; default pipeline.yaml"
    )
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from model_core.artifacts import code_version
    from model_core.config.load import load_settings
    from pipelines.compile import compile_pipeline

    settings = load_settings(settings_file(given), given.set)
    compile_pipeline(given.output, settings, cluster_of(given, settings), code_version())
    print(given.output)
