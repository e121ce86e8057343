"""``python -m pipelines submit``: a run on a cluster."""

from argparse import Namespace

from pipelines.commands.options import DEFAULT_SOURCE, Commands, add_cluster, add_settings, cluster_of

_DESCRIPTION = "Start a run on a cluster. A token for its API is read from KFP_TOKEN."


def add(actions: Commands) -> None:
    """Add the command to the parser."""
    parser = actions.add_parser("submit", help="start a run on a cluster", description=_DESCRIPTION)
    add_settings(parser)
    add_cluster(parser)
    parser.add_argument("--host", required=True, help="URL of the Kubeflow Pipelines API")
    parser.add_argument("--source", default=DEFAULT_SOURCE, help="table, e.g. s3://bucket/table.csv")
    parser.add_argument(
        "--source-version", default="", help="any text that changes when the table there does; else reused"
    )
    parser.add_argument("--name", default="", help="of the run; default: made from the time")
    parser.add_argument("--experiment", default="celestial-enhanced-pgat", help="group of runs")
    parser.add_argument("--namespace", default="", help="Kubernetes namespace, on multi-user clusters")
    parser.add_argument("--service-account", default="", help="of the pods, e.g. one that may make TrainJobs")
    parser.add_argument(
        "--pipeline-root", default="", help="s3://… for the artifacts; default: the cluster's"
    )
    parser.add_argument("--checkpoint-uri", default="", help="s3://… that keeps training checkpoints")
    parser.add_argument("--publish-uri", default="", help="s3://… that also gets the report")
    parser.add_argument("--no-cache", action="store_true", help="run every step again")
    parser.add_argument(
        "--register", action="store_true", help="also store the pipeline, to start it from the UI"
    )
    parser.add_argument(
        "--token-over-http", action="store_true", help="send KFP_TOKEN unencrypted to an http:// host"
    )
    parser.add_argument(
        "--wait", action="store_true", help="until the run has ended; Ctrl-C only stops waiting"
    )
    parser.set_defaults(action=_act, parser=parser)


def _act(given: Namespace) -> None:
    from model_core.config.load import load_settings
    from pipelines.submit import Submission, submit

    settings = load_settings(given.config, given.set)
    submission = Submission(
        host=given.host,
        settings=settings,
        cluster=cluster_of(given, settings),
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
