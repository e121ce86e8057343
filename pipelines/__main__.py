"""Run the pipeline here, compile it for a cluster, submit it, review what runs left behind.

python -m pipelines run --config configs/quickstart.yaml --source sample://nasdaq
python -m pipelines compile --tag $(git rev-parse --short=12 HEAD) --output pipeline.yaml
python -m pipelines submit --host https://kubeflow.example --tag … --source s3://bucket/table.csv
python -m pipelines runs list | show NAME | compare NAME NAME | open NAME
python -m pipelines store
"""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.arguments import parse
from model_core.errors import PgatError, UserError
from model_core.variables import CLUSTER_STORE
from pipelines.stopping import StoppedBySignal

if TYPE_CHECKING:
    from model_core.config.run import Settings

DEFAULT_SOURCE = "sample://nasdaq"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code: 0 done, 1 failed, 2 wrong input, 128 + the signal."""
    given = parse(_parser(), arguments)
    try:
        given.action(given)
    except PgatError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except StoppedBySignal as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m pipelines", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, metavar="run | compile | submit | runs | store")

    run = actions.add_parser("run", help="run all steps on this machine")
    _settings(run)
    run.add_argument(
        "--source", default=DEFAULT_SOURCE, help=f"table to learn from; default {DEFAULT_SOURCE}"
    )
    run.add_argument("--name", help="of the run; default: made from the settings, the table and the code")
    run.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs; default runs")
    run.add_argument("--checkpoint-uri", default="", help="folder or s3://… that keeps training checkpoints")
    run.add_argument("--publish-uri", default="", help="folder or s3://… that also gets the report")
    run.add_argument(
        "--runner",
        choices=["process", "docker"],
        default="process",
        help="docker (or podman): each step in its image",
    )
    run.add_argument("--tag", default="local", help="of the images, with --runner docker; default local")
    run.add_argument("--no-cache", action="store_true", help="run every step again")
    run.set_defaults(action=_run, parser=run)

    compiled = actions.add_parser("compile", help="write the pipeline as KFP's YAML")
    _settings(compiled)
    _cluster(compiled)
    compiled.add_argument("--output", type=Path, default=Path("pipeline.yaml"), help="default pipeline.yaml")
    compiled.set_defaults(action=_compile, parser=compiled)

    submit = actions.add_parser("submit", help="start a run on a cluster")
    _settings(submit)
    _cluster(submit)
    submit.add_argument("--host", required=True, help="URL of the Kubeflow Pipelines API")
    submit.add_argument("--source", default=DEFAULT_SOURCE, help="table, e.g. s3://bucket/table.csv")
    submit.add_argument(
        "--source-version", default="", help="any text that changes when the table there does; else reused"
    )
    submit.add_argument("--name", default="", help="of the run; default: made from the time")
    submit.add_argument("--experiment", default="celestial-enhanced-pgat", help="group of runs")
    submit.add_argument("--namespace", default="", help="Kubernetes namespace, on multi-user clusters")
    submit.add_argument("--service-account", default="", help="of the pods, e.g. one that may make TrainJobs")
    submit.add_argument(
        "--pipeline-root", default="", help="s3://… for the artifacts; default: the cluster's"
    )
    submit.add_argument("--checkpoint-uri", default="", help="s3://… that keeps training checkpoints")
    submit.add_argument("--publish-uri", default="", help="s3://… that also gets the report")
    submit.add_argument("--no-cache", action="store_true", help="run every step again")
    submit.add_argument(
        "--register", action="store_true", help="also store the pipeline, to start it from the UI"
    )
    submit.add_argument(
        "--token-over-http", action="store_true", help="send KFP_TOKEN unencrypted to an http:// host"
    )
    submit.add_argument(
        "--wait", action="store_true", help="until the run has ended; Ctrl-C only stops waiting"
    )
    submit.set_defaults(action=_submit, parser=submit)

    runs = actions.add_parser("runs", help="list | show NAME | compare NAME NAME | open NAME")
    runs.add_argument("what", choices=["list", "show", "compare", "open"])
    runs.add_argument("names", nargs="*", metavar="NAME")
    runs.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs; default runs")
    runs.set_defaults(action=_runs, parser=runs)

    store = actions.add_parser("store", help="a local S3 server, until Ctrl-C")
    store.add_argument("--folder", type=Path, default=Path("runs/.store"), help="where it keeps its objects")
    store.add_argument("--bucket", default="mlpipeline", help="created at the start; default mlpipeline")
    store.add_argument("--port", type=int, default=18333, help="default 18333")
    store.set_defaults(action=_store, parser=store)
    return parser


def _settings(parser: ArgumentParser) -> None:
    parser.add_argument("--config", help="settings file; without it the standard run's values")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="override one setting; may be repeated"
    )


def _cluster(parser: ArgumentParser) -> None:
    parser.add_argument("--registry", default="", help="prefix of the images, e.g. ghcr.io/example/")
    parser.add_argument("--tag", help="of the images; default: the git commit of this checkout")
    parser.add_argument(
        "--image", action="append", default=[], metavar="STEP=IMAGE", help="one step's image, e.g. by digest"
    )
    parser.add_argument("--gpus", type=int, default=0, help="for each step that can use them; default 0")
    parser.add_argument("--secret", default="", help="Kubernetes Secret with the object store's keys")
    parser.add_argument(
        "--s3-endpoint", default=CLUSTER_STORE, help=f"URL of that store; default {CLUSTER_STORE}"
    )


def _run(given: Namespace) -> None:
    from model_core.config.load import load_settings

    settings = load_settings(given.config, given.set)
    # KFP takes more than a second to import; a misspelt setting is refused before that.
    from pipelines.containers import find_containers
    from pipelines.local import LocalRun, default_name, run_locally

    with settings.store.limits().in_force():
        run_locally(
            LocalRun(
                settings=settings,
                source=given.source,
                runs=given.runs,
                name=given.name or default_name(given.config, settings, given.source),
                checkpoint_uri=given.checkpoint_uri,
                publish_uri=given.publish_uri,
                caching=not given.no_cache,
                containers=find_containers(given.tag) if given.runner == "docker" else None,
            )
        )


def _compile(given: Namespace) -> None:
    from model_core.artifacts import code_version
    from model_core.config.load import load_settings
    from pipelines.compile import compile_pipeline

    settings = load_settings(given.config, given.set)
    compile_pipeline(given.output, settings, _cluster_of(given, settings), code_version())
    print(given.output)


def _submit(given: Namespace) -> None:
    from model_core.config.load import load_settings
    from pipelines.submit import Submission, submit

    settings = load_settings(given.config, given.set)
    submission = Submission(
        host=given.host,
        settings=settings,
        cluster=_cluster_of(given, settings),
        source=given.source,
        source_version=given.source_version,
        name=given.name,
        experiment=given.experiment,
        namespace=given.namespace,
        service_account=given.service_account,
        pipeline_root=given.pipeline_root,
        checkpoint_uri=given.checkpoint_uri,
        publish_uri=given.publish_uri,
        caching=not given.no_cache,
        register=given.register,
        token_over_http=given.token_over_http,
    )
    print(submit(submission, wait=given.wait))


def _cluster_of(given: Namespace, settings: "Settings"):  # type: ignore[no-untyped-def]
    from pipelines.resources import Cluster, checkout_tag

    for image in given.image:
        if "=" not in image:
            raise UserError(
                f"--image {image} names no step; write --image train=registry/pgat-train@sha256:…"
            )
    return Cluster(
        registry=given.registry,
        tag=given.tag or checkout_tag(),
        images=dict(image.split("=", 1) for image in given.image),
        gpus=given.gpus,
        secret=given.secret,
        endpoint=given.s3_endpoint,
        store_limits=settings.store.limits().as_text(),
    )


def _runs(given: Namespace) -> None:
    from pipelines import runs

    wanted = {"list": 0, "show": 1, "compare": 2, "open": 1}[given.what]
    if len(given.names) != wanted:
        raise UserError(f"runs {given.what} takes {wanted} names; `runs list` shows them")
    match given.what:
        case "list":
            print(runs.list_runs(given.runs))
        case "show":
            print(runs.show_run(given.runs, given.names[0]))
        case "compare":
            print(runs.compare_runs(given.runs, *given.names))
        case _:
            print(runs.open_run(given.runs, given.names[0]))


def _store(given: Namespace) -> None:
    from pipelines.store import serve

    serve(given.folder, given.bucket, given.port)


if __name__ == "__main__":
    sys.exit(main())
