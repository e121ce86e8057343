"""``python -m pipelines runs``: what runs left behind."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.arguments import examples
from model_core.errors import counted
from model_core.variables import MLFLOW_GROUP
from pipelines.commands.options import DEFAULT_EXPERIMENT, Commands, stated, stated_path

if TYPE_CHECKING:
    from pipelines.review.sources import Runs

_DESCRIPTION = "Review what runs left behind."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "runs",
        help="list, show, compare, copy or delete runs, and a site of all of them",
        description=_DESCRIPTION,
        epilog=examples("%(prog)s list", "%(prog)s show NAME", "%(prog)s compare NAME OTHER --json"),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(
        commands, "list", _list, "one line a run, newest first: state, both skills with intervals, fragility",
        "%(prog)s", "%(prog)s --json | jq '.runs[].name'",
    )  # fmt: skip
    show = _add(
        commands, "show", _show, "scores, verdict, time of each step, where everything is", "%(prog)s NAME"
    )
    compare = _add(
        commands, "compare", _compare,
        "settings that differ, scores side by side, and a paired interval between the first run and each other",
        "%(prog)s NAME OTHER", "%(prog)s NAME OTHER THIRD --json",
    )  # fmt: skip
    opened = _add(commands, "open", _open, "show the report in the web browser", "%(prog)s NAME")
    site = _add(
        commands, "site", _site, "pages of all runs in a folder, to be read without a server",
        "%(prog)s review", "%(prog)s review --compare first,second,third",
        "%(prog)s s3://market/site --runs s3://market/runs",
    )  # fmt: skip
    site.add_argument(
        "out",
        type=stated,
        metavar="OUT",
        help="folder or s3://bucket/prefix of the pages; only what changed is written again",
    )
    site.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="NAME,NAME",
        help="also compare these on a page",
    )
    served = _add(
        commands,
        "serve",
        _serve,
        "pages of all runs for a web browser, brought up to date at each look; this machine alone is answered",
        "%(prog)s --port 8080",
    )
    served.add_argument("--port", type=int, default=8899, help="to listen at, of 127.0.0.1; default 8899")
    download = _add(
        commands, "download", _download, "copy a run's files, each checked against its SHA-256",
        "%(prog)s NAME copy", "%(prog)s NAME copy --only 'evaluation/*' --only report.html",
    )  # fmt: skip
    export = _add(
        commands, "export", _export, "send runs to an MLflow server; sent again, a run is brought up to date there",
        "%(prog)s NAME OTHER --mlflow http://127.0.0.1:5000",
        "%(prog)s NAME --mlflow https://mlflow.example --experiment forecasts",
    )  # fmt: skip
    export.add_argument("names", nargs="+", metavar="NAME", help="of the runs")
    export.add_argument("--mlflow", metavar="URL", help="address of the server; default: MLFLOW_TRACKING_URI")
    export.add_argument(
        "--experiment",
        metavar="NAME",
        help=f"that the runs go to; default: MLFLOW_EXPERIMENT_NAME, or {DEFAULT_EXPERIMENT}",
    )
    export.add_argument(
        "--token-over-http",
        action="store_true",
        help="send MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_PASSWORD unencrypted to an http:// server",
    )
    delete = _add(commands, "delete", _delete, "delete a run and what it left", "%(prog)s NAME")
    publish = _add(
        commands, "publish", _publish, "send a run to a store of runs, which `runs` commands then read by --runs",
        "%(prog)s NAME s3://market/runs", "%(prog)s NAME /mnt/shared/runs --dataset",
    )  # fmt: skip
    for parser in (show, opened, download, delete, publish):
        parser.add_argument("name", metavar="NAME", help="of the run")
    publish.add_argument(
        "uri", type=stated, metavar="URI", help="folder or s3://bucket/prefix of published runs"
    )
    publish.add_argument(
        "--dataset",
        action="store_true",
        help="also send the prepared dataset: the market table, and where it lay on this machine",
    )
    _add(
        commands, "reindex", _reindex, "make the index of a store of runs again, where it was damaged",
        "%(prog)s --runs s3://market/runs",
    )  # fmt: skip
    download.add_argument("to", type=stated_path, metavar="FOLDER", help="that the files go to")
    download.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only files whose names fit, as 'evaluation/*'; may be repeated",
    )
    compare.add_argument(
        "names", nargs="+", metavar="NAME", help="of 2 to 8 runs; the first one is compared with each"
    )


def _add(
    commands: Commands, name: str, action: Callable[[Namespace], None], story: str, *lines: str
) -> ArgumentParser:
    parser = commands.add_parser(
        name, help=story, description=f"{story[0].upper()}{story[1:]}.", epilog=examples(*lines)
    )
    parser.add_argument(
        "--runs",
        type=stated,
        default="runs",
        help="folder of all runs, s3://bucket/prefix that runs were published to, or a cluster's pipeline root; "
        "default runs",
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(action=action, parser=parser)
    return parser


def _say(value: object, runs: "Runs | None" = None) -> None:
    text = (
        value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    )
    print(text if runs is None else runs.named(text))


def _list(given: Namespace) -> None:
    from pipelines.review.listing import list_runs, runs_as_json
    from pipelines.review.sources import opened

    with opened(given.runs) as runs:
        found = runs.records()
        _say(runs_as_json(runs.folder, found) if given.json else list_runs(runs.folder, found), runs)


def _show(given: Namespace) -> None:
    from pipelines.review.listing import run_as_json, show_run
    from pipelines.review.sources import opened
    from pipelines.review.wanted import SCORES
    from pipelines.runs import find_run

    with opened(given.runs) as runs:
        runs.fetch([given.name], SCORES)
        if given.json:
            _say(run_as_json(runs.folder, find_run(runs.folder, given.name)), runs)
        else:
            _say(show_run(runs.folder, given.name), runs)


def _compare(given: Namespace) -> None:
    from pipelines.review.comparison import compared, comparison_as_json, comparison_text
    from pipelines.review.sources import opened
    from pipelines.review.wanted import COMPARED

    with opened(given.runs) as runs:
        runs.fetch(given.names, COMPARED)
        result = compared(runs.folder, given.names)
        _say(comparison_as_json(runs.folder, result) if given.json else comparison_text(result), runs)


def _open(given: Namespace) -> None:
    from pipelines.review.opening import fetched_pages, open_run
    from pipelines.review.sources import opened

    # The web browser reads the page when this command has ended.
    with opened(given.runs, lasting=fetched_pages(given.runs)) as runs:
        runs.fetch([given.name], ["report.html"])
        path = open_run(runs.folder, given.name)
    _say({"report": path} if given.json else path)


def _site(given: Namespace) -> None:
    from model_core.store.locate import check_uri, local_path
    from pipelines.review.opening import fetched_pages
    from pipelines.review.sources import opened
    from pipelines.site.build import INDEX, build_site
    from pipelines.site.sending import refuse_foreign_store, send_site

    comparisons = [names.split(",") for names in given.compare]
    check_uri(given.out)
    out = local_path(given.out)
    if out is None:
        refuse_foreign_store(given.out)
    built = fetched_pages(given.out) if out is None else out
    with opened(given.runs) as runs:
        written = build_site(
            runs.folder, built, comparisons, fetch=runs.fetch, uri=runs.elsewhere, stamped=runs.stamped()
        )
    if out is None:
        send_site(built, given.out)
    index = f"{given.out.rstrip('/')}/{INDEX}" if out is None else str(out / INDEX)
    _say(
        {"index": index, "runs_written": written}
        if given.json
        else f"{index}: {counted(written, 'run')} written"
    )


def _serve(given: Namespace) -> None:
    from pipelines.review.sources import folder_of
    from pipelines.site.serve import serve

    serve(folder_of(given.runs), given.port, as_json=given.json)


def _download(given: Namespace) -> None:
    from pipelines.review.keeping import download_run
    from pipelines.review.sources import opened

    with opened(given.runs) as runs:
        runs.fetch([given.name], [])
        bring = None if runs.elsewhere is None else runs.bring
        files = download_run(runs.folder, given.name, given.to, given.only, bring)
    if given.json:
        _say({"files": [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in files]})
    else:
        _say(f"{counted(len(files), 'file')}, {sum(file.size for file in files):,} bytes in {given.to}")


def _publish(given: Namespace) -> None:
    from pipelines.review.publishing import publish
    from pipelines.review.sources import folder_of

    record = publish(folder_of(given.runs), given.name, given.uri, dataset=given.dataset)
    where = f"{given.uri.rstrip('/')}/{record.name}/"
    _say({"published": where, "files": len(record.files)} if given.json else f"published to {where}")


def _reindex(given: Namespace) -> None:
    from model_core.publishing.publish import reindex
    from model_core.store.locate import local_path
    from pipelines.runs import require_runs

    if (path := local_path(given.runs)) is not None:
        require_runs(path)
    count = reindex(given.runs)
    _say({"runs": count} if given.json else f"{given.runs} lists {counted(count, 'run')}")


def _export(given: Namespace) -> None:
    from components.tracking.server import TrackingServer
    from pipelines.review.export import Exported, checked_server, export_runs
    from pipelines.review.sources import opened
    from pipelines.review.wanted import EXPORTED

    def told(sent: Exported) -> None:
        if not given.json:
            _say(f"{sent.name}: {sent.what}, {sent.url}")
        done.append(vars(sent))

    done: list[dict[str, str]] = []
    server = TrackingServer(checked_server(given.mlflow, over_http=given.token_over_http))
    group = given.experiment or os.environ.get(MLFLOW_GROUP) or DEFAULT_EXPERIMENT
    with opened(given.runs) as runs:
        runs.fetch(list(dict.fromkeys(given.names)), EXPORTED)
        export_runs(runs.folder, given.names, server, group, told)
    if given.json:
        _say({"exported": done})


def _delete(given: Namespace) -> None:
    from pipelines.review.keeping import delete_run
    from pipelines.review.sources import folder_of, refuse_cluster, was_published

    if was_published(given.runs):
        from model_core.publishing.publish import withdraw_run

        refuse_cluster(given.runs)
        count = withdraw_run(given.runs, given.name)
        _say(
            {"deleted": given.name, "objects": count}
            if given.json
            else f"deleted {given.name}: {counted(count, 'object')}"
        )
        return
    size = delete_run(folder_of(given.runs), given.name)
    _say({"deleted": given.name, "bytes": size} if given.json else f"deleted {given.name}: {size:,} bytes")
