"""Options that several commands have, and what they mean."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from components.arguments import examples
from model_core.errors import SettingsError, UserError
from model_core.variables import CLUSTER_STORE
from pipelines.kubeflow.address import EXAMPLE

if TYPE_CHECKING:
    from model_core.config.run import Settings
    from pipelines.resources import Cluster

DEFAULT_SOURCE = "sample://nasdaq"
DEFAULT_EXPERIMENT = "celestial-enhanced-pgat"
"""Group of runs, at Kubeflow and at MLflow."""
QUICKSTART = "configs/quickstart.yaml"
"""In a checkout; what ``make`` takes, too."""


class Commands(Protocol):
    """Where a command adds its own parser: what ``ArgumentParser.add_subparsers`` returns."""

    def add_parser(self, name: str, *, help: str, description: str, epilog: str) -> ArgumentParser:
        """A parser for ``python -m pipelines NAME``; the epilog has its examples."""
        ...


def stated(text: str) -> str:
    """A value that is not empty, as that of a shell's variable is which was never set.

    Raises:
        ArgumentTypeError: it is.
    """
    if not text:
        raise ArgumentTypeError("is empty; write . for the folder you are in")
    return text


def stated_path(text: str) -> Path:
    """A path that is not empty.

    Raises:
        ArgumentTypeError: it is.
    """
    return Path(stated(text))


def add_settings(parser: ArgumentParser) -> None:
    """Where settings come from."""
    parser.add_argument(
        "--config",
        help=f"settings file; without it this checkout's {QUICKSTART}, a matter of minutes "
        "(configs/celestial_enhanced_pgat.yaml, the standard run, takes hours)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="override one setting; may be repeated"
    )


def add_host(parser: ArgumentParser) -> None:
    """Which cluster."""
    group = parser.add_argument_group("the cluster")
    group.add_argument(
        "--host",
        required=True,
        help=f"URL of the Kubeflow Pipelines API, e.g. {EXAMPLE}",
    )
    group.add_argument(
        "--token-over-http",
        action="store_true",
        help="send KFP_TOKEN or KFP_COOKIE unencrypted to an http:// host",
    )


def add_run_command(
    actions: Commands, name: str, help: str, description: str, act: Callable[[Namespace], None]
) -> None:
    """A command for one run that was submitted before, named by its id."""
    example = f"%(prog)s 1c9f3a52-0f0e-4c7e-9d49-6a1b7f7f6c5d --host {EXAMPLE}"
    parser = actions.add_parser(name, help=help, description=description, epilog=examples(example))
    parser.add_argument("run_id", metavar="ID", help="of the run, as submit and the UI show it")
    add_host(parser)
    parser.set_defaults(action=act, parser=parser)


def settings_file(given: Namespace) -> str:
    """Path of the settings file that was given, or that of the quickstart.

    Raises:
        SettingsError: none was given, and this installation has no settings files.
    """
    if given.config is not None:
        return given.config
    path = Path(__file__).parents[2] / QUICKSTART
    if not path.is_file():
        raise SettingsError(f"this installation has no {QUICKSTART}; name a settings file with --config")
    return str(path)


def add_cluster(parser: ArgumentParser) -> None:
    """Images, and what the cluster offers."""
    group = parser.add_argument_group("the images and the pods")
    group.add_argument("--registry", default="", help="prefix of the images, e.g. ghcr.io/example/")
    group.add_argument("--tag", help="of the images; default: the git commit of this checkout")
    group.add_argument(
        "--image", action="append", default=[], metavar="STEP=IMAGE", help="one step's image, e.g. by digest"
    )
    group.add_argument(
        "--profile", help="what the pods ask for, e.g. configs/profiles/gpu.yaml; default: docs/resources.md"
    )
    group.add_argument(
        "--set-pod",
        action="append",
        default=[],
        metavar="STEP.A=B",
        help="override one pod setting, e.g. train.memory_limit=32Gi or all.retries=0; may be repeated",
    )
    group.add_argument("--gpus", type=int, help="for each step that can use them; default: the profile's")
    group.add_argument("--secret", default="", help="Kubernetes Secret with the object store's keys")
    group.add_argument(
        "--store-role",
        action="store_true",
        help="instead of a Secret: the role of the pods' ServiceAccount (IRSA, EKS Pod Identity) opens the store",
    )
    group.add_argument(
        "--s3-endpoint",
        default="",
        help=f"URL of that store; default: with --secret {CLUSTER_STORE}, with --store-role Amazon's",
    )
    group.add_argument(
        "--sts-endpoint",
        default="",
        help="URL of the server that gives a role's keys; default: Amazon's, for a store of Amazon's",
    )
    group.add_argument("--s3-region", default="", help="of that store; default: its URL's, or us-east-1")
    group.add_argument(
        "--ca-config-map",
        default="",
        help="ConfigMap whose key ca.crt holds the authorities that pods trust; default: the image's",
    )
    group.add_argument(
        "--webhook-secret",
        default="",
        help="Kubernetes Secret whose key url is told how the run ended; default: nobody is",
    )
    group.add_argument(
        "--model-registry-secret",
        default="",
        help="Kubernetes Secret whose key token says to --model-registry who asks; default: nothing does",
    )


def cluster_of(given: Namespace, settings: "Settings") -> "Cluster":
    """What ``add_cluster`` was told; KFP is imported only then.

    Raises:
        UserError: an image names no step, or may change under its name.
    """
    from pipelines.pods.profiles import load_pods
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
        pods=load_pods(given.profile, given.set_pod, given.gpus),
        secret=given.secret,
        role=given.store_role,
        endpoint=given.s3_endpoint,
        keys_endpoint=given.sts_endpoint,
        region=given.s3_region,
        authorities=given.ca_config_map,
        store_limits=settings.store.limits().as_text(),
        webhook_secret=given.webhook_secret,
        registry_secret=given.model_registry_secret,
    )
