"""Where the pods of a TrainJob run and as whom: what the step's own pod was told, handed on as text."""

from pydantic import Field

from model_core.config.base import Section


class Placement(Section):
    """Fields of a pod as Kubernetes names their contents; those that are not set are left to the runtime."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    affinity: dict[str, object] = Field(default_factory=dict)
    tolerations: tuple[dict[str, object], ...] = ()
    pull_secrets: tuple[str, ...] = ()
    run_as_user: int | None = None

    def for_resources(self, resources: dict[str, str]) -> "Placement":
        """With GPUs, and where nothing is said of taints, that of nodes which are kept for such pods is none."""
        makers = {_maker(name) for name in resources} - {None}
        if self.tolerations or not makers:
            return self
        taints = [
            {"key": f"{maker}/gpu", "operator": "Exists", "effect": "NoSchedule"}
            for maker in sorted(makers, key=str)
        ]
        return self.model_copy(update={"tolerations": tuple(taints)})


def _maker(resource: str) -> str | None:
    """Whose accelerators a resource is, as the Trainer's client writes it: ``gpu`` and ``mig-…`` are NVIDIA's."""
    if resource.lower() == "gpu" or resource.lower().startswith("mig-"):
        return "nvidia.com"
    maker, slash, _ = resource.partition("/")
    return maker if slash else None
