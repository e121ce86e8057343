"""How a local run starts its steps in their images: one container a step, with docker or podman.

``kfp.local``'s DockerRunner decides what runs. Its own way of starting a container takes a container that is
gone for one that succeeded, so that with podman a failing step passes; it cannot pass an image's entrypoint
by either. ``step_containers`` puts the engine's command line in its place for the length of a run: exit codes
are the step's, what it prints is shown live, a signal reaches it, and each declared output is looked for.
"""

import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kfp.dsl import PipelineTask
from kfp.local.status import Status

from components.steps import STEPS
from model_core.errors import UserError
from model_core.store.locate import in_object_store
from model_core.variables import KEYS, STORE
from pipelines.resources import Cluster
from pipelines.runners.kfp_patches import docker_handler
from pipelines.runners.process import RunProgress, outputs_of, run_step, step_of, without_shell

HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
"""What every container of a step is denied; only /tmp, and what is mounted, can be written."""
_KILLED = 128 + 9
_LABEL = "pgat.run"
"""Label of each container: the folder of its run."""


@dataclass(frozen=True)
class Containers:
    """The engine and the images of a run.

    Args:
        engine: ``docker`` or ``podman``.
        images: step → image.
        version: digest of the images; part of each step's cache key, since it is their code that runs.
    """

    engine: str
    images: Mapping[str, str]
    version: str

    def configure_task(self, task: PipelineTask, step: str) -> None:
        """Give a task its image."""
        task.set_container_image(self.images[step])


def find_containers(tag: str, registry: str = "") -> Containers:
    """The engine of this machine and the images with that tag.

    Raises:
        UserError: no engine runs here, or an image is missing.
    """
    engine = find_engine()
    cluster = Cluster(registry=registry, tag=tag)
    images = {step: cluster.image_of(step) for step in STEPS}
    digest = hashlib.sha256()
    for image in images.values():
        found = subprocess.run(
            [engine, "image", "inspect", "--format", "{{.Id}}", image],
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode:
            raise UserError(f"there is no image {image} here; `make images TAG={tag}` builds them")
        digest.update(found.stdout.encode())
    return Containers(engine, images, digest.hexdigest()[:12])


def find_engine() -> str:
    """Name of the container engine: ``ENGINE`` of the environment, else the first of docker and podman that answers.

    Raises:
        UserError: none answers.
    """
    wanted = os.environ.get("ENGINE")
    for engine in [wanted] if wanted else ["docker", "podman"]:
        if (
            shutil.which(engine)
            and not subprocess.run([engine, "info"], capture_output=True, check=False).returncode
        ):
            return engine
    raise UserError(
        f"{wanted or 'neither docker nor podman'} answers here; start one (docker info, podman info), "
        "or leave out --runner docker"
    )


def run_options(engine: str) -> list[str]:
    """Options of ``docker run`` for a step: nothing it does not need, and files that belong to who started it."""
    options = [*HARDENED, "--network=host", f"--user={os.getuid()}:{os.getgid()}"]
    if Path(engine).name == "podman" and os.getuid():
        options.append("--userns=keep-id")
    if shutil.which("nvidia-smi"):
        options += ["--device=nvidia.com/gpu=all"] if Path(engine).name == "podman" else ["--gpus=all"]
    return options + [f"--env={name}" for name in STORE if name in os.environ]


def refuse_unmountable(paths: Iterable[Path]) -> None:
    """Check that containers can be given these files and folders, each under its own name.

    Raises:
        UserError: a name holds a colon: what follows it would be another path in the container, such as that of
            the program itself.
    """
    for path in paths:
        if ":" in str(path):
            raise UserError(
                f"{path} contains a colon, which a path given to a container must not; rename it, or leave out "
                "--runner docker"
            )


def refuse_keys_left_behind(uris: Iterable[str]) -> None:
    """Check that containers can open the stores that the run needs: they get the environment's keys and no file.

    Raises:
        UserError: the keys come from elsewhere.
    """
    if remote := [uri for uri in uris if in_object_store(uri)]:
        from model_core.store.credentials import only_here

        if only_here(os.environ):
            raise UserError(
                f"{remote[0]} is opened by a file of keys or a role, which containers do not see; set "
                f"{' and '.join(KEYS)} in the environment, or leave out --runner docker"
            )


@contextmanager
def step_containers(
    progress: RunProgress, containers: Containers, folders: Sequence[Path], sources: Sequence[Path] = ()
) -> Iterator[None]:
    """Let ``kfp.local``'s DockerRunner start its steps here.

    Args:
        progress: what the run tells and remembers.
        containers: engine and images.
        folders: what the steps read and write, mounted under the same names.
        sources: what they only read, mounted so that they cannot write it.
    """
    from kfp.local import docker_task_handler

    label = f"{_LABEL}={progress.logs.parent}"
    _remove_leftovers(containers.engine, label)
    mounts = [f"--volume={folder}:{folder}" for folder in folders]
    mounts += [f"--volume={source}:{source}:ro" for source in sources]

    class StepHandler(docker_task_handler.DockerTaskHandler):  # type: ignore[misc]
        def run(self) -> Status:
            name = f"pgat-{uuid.uuid4().hex[:12]}"
            command = [
                containers.engine,
                "run",
                "--rm",
                f"--name={name}",
                f"--label={label}",
                *run_options(containers.engine),
                *mounts,
            ]
            command += [f"--env={key}={value}" for key, value in (self.env_vars | progress.variables).items()]
            command += [f"--entrypoint={self.full_command[0]}", self.image]
            command += [without_shell(part) for part in self.full_command[1:]]
            try:
                status = run_step(step_of(self.full_command), command, os.environ, progress)
            except BaseException:
                subprocess.run([containers.engine, "rm", "--force", name], capture_output=True, check=False)
                raise
            return _checked(status, self.full_command, progress)

    with docker_handler(StepHandler):
        yield


def _remove_leftovers(engine: str, label: str) -> None:
    """End the containers of an earlier attempt that was killed; the caller holds the run, so none is in use."""
    listed = subprocess.run(
        [engine, "ps", "--all", "--quiet", f"--filter=label={label}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if left := listed.stdout.split():
        subprocess.run([engine, "rm", "--force", *left], capture_output=True, check=False)


def missing_outputs(command: Sequence[str]) -> list[str]:
    """Declared outputs of a KFP command that do not exist, as ``name at path``."""
    return [f"{name} at {path}" for name, path in outputs_of(command).items() if not path.exists()]


def _checked(status: Status, command: Sequence[str], progress: RunProgress) -> Status:
    if status is not Status.SUCCESS:
        if progress.exit_code == _KILLED:
            progress.reason = "killed by signal 9 (out of memory?)"
        return status
    if missing := missing_outputs(command):
        step = step_of(list(command))
        progress.seconds.pop(step)
        progress.failed, progress.exit_code = step, 1
        progress.reason = f"it ended with success but left no {', no '.join(missing)}"
        return Status.FAILURE
    return status
