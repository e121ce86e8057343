"""What each step asks of a cluster: its image, its pod, secrets.

Nothing here reaches a local run: ``kfp.local`` ignores it, and steps take secrets from the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp import kubernetes
from kfp.dsl import PipelineTask

from components.steps import ALL_STEPS
from components.train.placement import Placement
from model_core.errors import UserError, quoted, shortened
from model_core.store.endpoint import checked_url
from model_core.store.names import scheme_of
from model_core.variables import (
    AUTHORITIES,
    AUTHORITIES_FILE,
    AUTHORITIES_FOLDER,
    CERTIFICATES,
    CLUSTER_STORE,
    ENDPOINT,
    LIMITS,
    PLACEMENT,
    REGION,
    REGISTRY_TOKEN,
    ROLE_ENDPOINT,
    SECRET_FIELDS,
    WEBHOOK,
)
from model_core.versions import git_commit
from pipelines.kubeflow.names import refuse_bad_subdomain
from pipelines.pods.apply import apply, placement_of
from pipelines.pods.profiles import Pods, load_pods

_REGION = re.compile(r"[a-z0-9-]{1,63}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
"""To an engine's command line another beginning would be an option."""


def checkout_tag() -> str:
    """The tag that ``make images`` gives: the git commit of this checkout; ``-dirty`` if files differ.

    Raises:
        UserError: this is not a git checkout.
    """
    commit = git_commit()
    if commit is None:
        raise UserError("this is not a git checkout, so the images' tag is unknown; name it with --tag")
    return commit


@dataclass(frozen=True)
class Cluster:
    """Where the images are and what the cluster offers.

    Args:
        registry: prefix of the images, e.g. ``ghcr.io/example/``; with the slash, or empty.
        tag: of the images; the git commit, since a cluster's cache trusts a tag that moves.
        images: step → full image name, preferably by digest; takes precedence over ``registry`` and ``tag``.
        pods: what each step's pod asks for.
        secret: Kubernetes Secret with the object store's keys; empty for none.
        secret_keys: its keys → environment variables.
        role: whether the pods' ServiceAccount has a role that opens the store, instead of a Secret.
        endpoint: URL of the object store; empty: with a Secret that of a cluster's own, with a role Amazon's.
        keys_endpoint: URL of the server that gives a role's keys; empty: Amazon's, for a store of Amazon's.
        region: of that store; empty: what its URL says, or us-east-1.
        authorities: ConfigMap whose key ``ca.crt`` holds the certificates of the authorities that pods trust; empty:
            those of the image.
        store_limits: how long that may take, as ``model_core.deadlines.Limits`` writes it; empty for the usual.
        webhook_secret: Secret whose key ``url`` is told how a run ended; empty for none.
        registry_secret: Secret whose key ``token`` says to a model registry who asks; empty for none.
        caching: whether a step that ran with the same inputs before is reused.
    """

    registry: str = ""
    tag: str = "local"
    images: Mapping[str, str] = field(default_factory=dict)
    pods: Pods = field(default_factory=load_pods)
    secret: str = ""
    secret_keys: Mapping[str, str] = field(default_factory=lambda: dict(SECRET_FIELDS))
    role: bool = False
    endpoint: str = ""
    keys_endpoint: str = ""
    region: str = ""
    authorities: str = ""
    store_limits: str = ""
    webhook_secret: str = ""
    registry_secret: str = ""
    caching: bool = True

    def __post_init__(self) -> None:
        """Refuse what would silently run the wrong code.

        Raises:
            UserError: credentials in the store's URL, an unknown step among the images, or an image that may
                change under its name, has none, or cannot hold this checkout's changes.
        """
        self._check_store()
        if self.authorities:
            refuse_bad_subdomain(self.authorities, "--ca-config-map")
        if scheme_of(self.webhook_secret) is not None:
            # Not quoted: whoever knows the URL may post there.
            raise UserError(
                "--webhook-secret names a Kubernetes Secret, and was given a URL; put that into the Secret's key url, "
                "as docs/endings.md says, and give its name"
            )
        if self.webhook_secret:
            refuse_bad_subdomain(self.webhook_secret, "--webhook-secret")
        if self.registry_secret:
            refuse_bad_subdomain(self.registry_secret, "--model-registry-secret")
        if self.region and not _REGION.fullmatch(self.region):
            raise UserError(f"--s3-region {quoted(self.region)} is not a region; write e.g. eu-central-1")
        self._check_images()

    def _check_store(self) -> None:
        if "@" in self.endpoint:
            raise UserError(
                "--s3-endpoint holds credentials, which would be readable in the pipeline; use --secret for them"
            )
        for flag, url in (("--s3-endpoint", self.endpoint), ("--sts-endpoint", self.keys_endpoint)):
            if url:
                checked_url(url, flag)
        if self.secret:
            refuse_bad_subdomain(self.secret, "--secret")
        if self.secret and self.role:
            raise UserError("--secret and --store-role are two ways to open the store; leave one of them out")
        if self.keys_endpoint and not self.role:
            raise UserError(
                "--sts-endpoint is asked for the keys of a role; add --store-role, or leave it out"
            )

    @property
    def opens_a_store(self) -> bool:
        """Whether pods can read and write a store by themselves."""
        return bool(self.secret) or self.role

    def _check_images(self) -> None:
        unknown = sorted(set(self.images) - set(ALL_STEPS))
        if unknown:
            raise UserError(f"--image {unknown[0]}=… names no step; choose one of {', '.join(ALL_STEPS)}")
        for step in ALL_STEPS:
            image = self.image_of(step)
            if scheme_of(image) is not None:
                raise UserError(
                    f"{quoted(image)} cannot be an image: a name begins with a host or folder; leave out the protocol"
                )
            if not _IMAGE.fullmatch(image):
                raise UserError(
                    f"{quoted(image)} cannot be an image: a name starts with a letter or digit and has only letters, "
                    "digits and . _ - / : @; check --registry, --tag and --image"
                )
            name = image.rpartition("/")[2]
            if "@sha256:" not in image and (":" not in name or name.endswith(":latest")):
                raise UserError(
                    f"the image {image} may change under its name, and KFP's cache would serve stale results; "
                    "pin a tag (--tag, the git commit) or a digest"
                )
            if step not in self.images and self.tag.endswith("-dirty"):
                raise UserError(
                    "this checkout has changes that no image contains; commit them, or name the images' --tag"
                )
        if self.registry and self.registry[-1].isalnum():
            raise UserError(
                f"--registry {quoted(self.registry)} would name an image {shortened(self.registry)}pgat-train; end it "
                "with a slash"
            )

    def image_of(self, step: str) -> str:
        """Full name of a step's image."""
        if step in self.images:
            return self.images[step]
        return f"{self.registry}pgat-{step.replace('_', '-')}:{self.tag}"

    def configure_task(self, task: PipelineTask, step: str) -> PipelineTask:
        """Give a pipeline task its image, resources, retries, deadline and secrets."""
        task.set_display_name(step.replace("_", " "))
        task.set_container_image(self.image_of(step))
        task.set_caching_options(self.caching)
        apply(task, self.pods.of_step[step])
        if self.secret:
            kubernetes.use_secret_as_env(task, self.secret, dict(self.secret_keys))
        if endpoint := self.endpoint or (CLUSTER_STORE if self.secret else ""):
            task.set_env_variable(ENDPOINT, endpoint)
        if self.keys_endpoint:
            task.set_env_variable(ROLE_ENDPOINT, self.keys_endpoint)
        if self.region:
            task.set_env_variable(REGION, self.region)
        if self.authorities:
            kubernetes.use_config_map_as_volume(task, self.authorities, AUTHORITIES_FOLDER)
            task.set_env_variable(CERTIFICATES, AUTHORITIES_FILE)
            if step == "train":
                task.set_env_variable(AUTHORITIES, self.authorities)
        placement = placement_of(self.pods.of_step[step])
        if step == "train" and placement != Placement():
            task.set_env_variable(PLACEMENT, placement.model_dump_json(exclude_defaults=True))
        if self.store_limits:
            task.set_env_variable(LIMITS, self.store_limits)
        if self.webhook_secret and step == "finish":
            kubernetes.use_secret_as_env(task, self.webhook_secret, {"url": WEBHOOK})
        if self.registry_secret and step == "register_model":
            kubernetes.use_secret_as_env(task, self.registry_secret, {"token": REGISTRY_TOKEN})
        return task
