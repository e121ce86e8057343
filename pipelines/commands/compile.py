"""``python -m pipelines compile``: the pipeline as a file."""

from argparse import Namespace
from pathlib import Path

from pipelines.commands.options import Commands, add_cluster, add_settings, cluster_of

_DESCRIPTION = "Write the pipeline as KFP's YAML. The same inputs give the same bytes."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser("compile", help="write the pipeline as KFP's YAML", description=_DESCRIPTION)
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

    settings = load_settings(given.config, given.set)
    compile_pipeline(given.output, settings, cluster_of(given, settings), code_version())
    print(given.output)
