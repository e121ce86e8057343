"""``python -m pipelines store``: an S3 server on this machine."""

from argparse import Namespace
from pathlib import Path

from components.arguments import examples
from pipelines.commands.options import Commands

_DESCRIPTION = (
    "Start an S3 server on this machine that asks for keys, and print what to export; Ctrl-C ends it."
)
_EXAMPLES = examples("%(prog)s", "%(prog)s --bucket market --port 19000")


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "store", help="a local S3 server, until Ctrl-C", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/.store"), help="where it keeps its objects")
    parser.add_argument("--bucket", default="mlpipeline", help="created at the start; default mlpipeline")
    parser.add_argument("--port", type=int, default=18333, help="of its S3 interface; default 18333")
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from pipelines.store import serve

    serve(given.folder, given.bucket, given.port)
