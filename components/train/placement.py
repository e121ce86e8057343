"""Where the pods of a TrainJob run, and as which user: settings of the step's own pod, handed on to them."""

from pydantic import Field

from model_core.config.base import Section


class Placement(Section):
    """Fields of a pod, with contents as Kubernetes writes them; those that are not set are left to the runtime."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    affinity: dict[str, object] = Field(default_factory=dict)
    tolerations: tuple[dict[str, object], ...] | None = None
    """None: nothing is said of taints; empty: none is tolerated."""
    pull_secrets: tuple[str, ...] = ()
    run_as_user: int | None = None

    def for_resources(self, resources: dict[str, str]) -> "Placement":
        """The same, tolerating the taint of GPU nodes if the pod asks for GPUs and no tolerations are set.

        Args:
            resources: name → amount that a pod asks for; GPUs are those of ``nvidia.com/gpu`` and the like.
        """
        makers = {_maker(name) for name in resources} - {None}
        if self.tolerations is not None or not makers:
            return self
        taints = [
            {"key": f"{maker}/gpu", "operator": "Exists", "effect": "NoSchedule"}
            for maker in sorted(makers, key=str)
        ]
        return self.model_copy(update={"tolerations": tuple(taints)})


def _maker(resource: str) -> str | None:
    """Vendor of an accelerator as the Trainer's client names it, ``gpu`` and ``mig-…`` being NVIDIA's; else None."""
    if resource.lower() == "gpu" or resource.lower().startswith("mig-"):
        return "nvidia.com"
    maker, _, kind = resource.partition("/")
    return maker if kind == "gpu" or kind.startswith("mig-") else None
