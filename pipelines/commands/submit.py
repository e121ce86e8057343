"""``python -m pipelines submit``: a run on a cluster."""

from argparse import Namespace

from components.arguments import examples
from components.steps import REGISTERED_NAME
from pipelines.commands.options import (
    DEFAULT_EXPERIMENT,
    DEFAULT_SOURCE,
    Commands,
    add_cluster,
    add_host,
    add_settings,
    cluster_of,
    settings_file,
)

_DESCRIPTION = (
    "Start a run on a cluster, or a schedule of runs. A token for its API is read from KFP_TOKEN or the file "
    "KFP_TOKEN_FILE, the cookie of a signed-in page from KFP_COOKIE or KFP_COOKIE_FILE."
)

_EXAMPLES = examples(
    "%(prog)s --host https://kubeflow.example/pipeline --source s3://market/prices.csv",
    "%(prog)s --host https://kubeflow.example/pipeline --registry ghcr.io/example/ --tag 0123456789ab --wait",
)


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser(
        "submit", help="start a run on a cluster", description=_DESCRIPTION, epilog=_EXAMPLES
    )
    add_settings(parser)
    add_host(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--name", default="", help="of the run; default: made from the time")
    run.add_argument("--experiment", default=DEFAULT_EXPERIMENT, help="group of runs")
    run.add_argument("--namespace", default="", help="Kubernetes namespace, on clusters of several users")
    run.add_argument("--no-cache", action="store_true", help="run every step again")
    run.add_argument(
        "--cron",
        default="",
        metavar="'S M H D M W'",
        help="start runs by this schedule instead of one now; six fields, seconds first; without cache",
    )
    run.add_argument(
        "--mlflow-experiment",
        default="",
        metavar="NAME",
        help="of the MLflow that the cluster is connected to",
    )
    run.add_argument(
        "--register", action="store_true", help="also store the pipeline, to start it from the UI"
    )
    uris = parser.add_argument_group("the table, and where to keep what the run makes")
    uris.add_argument("--source", default=DEFAULT_SOURCE, help="table, e.g. s3://bucket/table.csv")
    uris.add_argument(
        "--source-version", default="", help="any text that changes when the table there does; else reused"
    )
    uris.add_argument(
        "--upload-uri", default="", help="s3://… to which a --source of this machine is uploaded first"
    )
    uris.add_argument("--checkpoint-uri", default="", help="s3://… that keeps training checkpoints")
    uris.add_argument("--publish-uri", default="", help="s3://… that also gets the report")
    uris.add_argument("--pipeline-root", default="", help="s3://… for the artifacts; default: the cluster's")
    registering = parser.add_argument_group("what is worth registering")
    registering.add_argument(
        "--model-registry",
        default="",
        metavar="URL",
        help="of Kubeflow's Model Registry; default: none is told",
    )
    registering.add_argument(
        "--registered-name",
        default=REGISTERED_NAME,
        metavar="NAME",
        help=f"what it calls the model; default {REGISTERED_NAME}",
    )
    add_cluster(parser)
    parser.add_argument_group("the pods").add_argument(
        "--service-account", default="", help="of the pods, e.g. one that may make TrainJobs"
    )
    doing = parser.add_argument_group("what to do")
    doing.add_argument(
        "--wait", action="store_true", help="until the run has ended; Ctrl-C only stops waiting"
    )
    doing.add_argument(
        "--dry-run", action="store_true", help="print the request; nothing is sent or uploaded"
    )
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from model_core.config.load import load_settings
    from model_core.errors import UserError
    from pipelines.submission import Submission
    from pipelines.submit import dry_run, submit

    if given.wait and given.cron:
        raise UserError("--wait waits for one run, and --cron starts many; leave one of them out")
    settings = load_settings(settings_file(given), given.set)
    submission = Submission(
        host=given.host,
        settings=settings,
        cluster=cluster_of(given, settings),
        source=given.source,
        source_version=given.source_version,
        upload_uri=given.upload_uri,
        name=given.name,
        experiment=given.experiment,
        namespace=given.namespace,
        service_account=given.service_account,
        pipeline_root=given.pipeline_root,
        checkpoint_uri=given.checkpoint_uri,
        publish_uri=given.publish_uri,
        model_registry=given.model_registry,
        registered_name=given.registered_name,
        caching=not given.no_cache,
        register=given.register,
        token_over_http=given.token_over_http,
        cron=given.cron,
        mlflow_experiment=given.mlflow_experiment,
    )
    print(dry_run(submission) if given.dry_run else submit(submission, wait=given.wait))
