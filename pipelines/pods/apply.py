"""A step's pod settings on its KFP task, and for the pods that it may start itself."""

from kfp import kubernetes
from kfp.dsl import PipelineTask

from components.train.placement import Placement
from pipelines.pods.settings import NodeRequirement, PodSettings


def apply(task: PipelineTask, pod: PodSettings) -> None:
    """Give ``task`` everything that ``pod`` says."""
    task.set_cpu_request(pod.cpu_request).set_cpu_limit(pod.cpu_limit)
    task.set_memory_request(pod.memory_request).set_memory_limit(pod.memory_limit)
    task.set_retry(pod.retries, backoff_duration="30s", backoff_factor=2, backoff_max_duration="600s")
    if pod.gpus:
        task.set_accelerator_type(pod.gpu_resource).set_accelerator_limit(pod.gpus)
    # The user is the image's own, or one that the namespace gives; a cluster drops the capabilities by itself.
    kubernetes.set_security_context(task, run_as_user=pod.run_as_user, run_as_non_root=True)
    kubernetes.set_timeout(task, round(pod.deadline_hours * 3600))
    if pod.shared_memory is not None:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=pod.shared_memory)
    _assign_node(task, pod)
    for key, value in sorted(pod.labels.items()):
        kubernetes.add_pod_label(task, key, value)
    for key, value in sorted(pod.annotations.items()):
        kubernetes.add_pod_annotation(task, key, value)
    if pod.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(pod.pull_secrets))
    if pod.pull_policy is not None:
        kubernetes.set_image_pull_policy(task, pod.pull_policy)
    for volume in pod.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path)


def placement_of(pod: PodSettings) -> Placement:
    """What holds for every pod of the step: which nodes, labels, whose image, which user; not how large it is."""
    return Placement(
        labels=pod.labels,
        annotations=pod.annotations,
        node_selector=pod.node_selector,
        affinity=_affinity(pod),
        tolerations=_tolerations(pod) if "tolerations" in pod.model_fields_set else None,
        pull_secrets=pod.pull_secrets,
        run_as_user=pod.run_as_user,
    )


def _tolerations(pod: PodSettings) -> tuple[dict[str, object], ...]:
    """As Kubernetes writes them."""
    return tuple(
        {
            name: value
            for name, value in {
                "key": each.key,
                "operator": each.operator,
                "value": each.value,
                "effect": each.effect,
                "tolerationSeconds": each.seconds,
            }.items()
            if value is not None
        }
        for each in pod.tolerations
    )


def _affinity(pod: PodSettings) -> dict[str, object]:
    """As Kubernetes writes what ``_assign_node`` tells KFP."""
    nodes: dict[str, object] = {}
    if required := [_expression(each) for each in pod.node_affinity if each.weight is None]:
        nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": required}]
        }
    if preferred := [each for each in pod.node_affinity if each.weight is not None]:
        nodes["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": each.weight, "preference": {"matchExpressions": [_expression(each)]}}
            for each in preferred
        ]
    return {"nodeAffinity": nodes} if nodes else {}


def _assign_node(task: PipelineTask, pod: PodSettings) -> None:
    """Which nodes it may run on."""
    for key, value in sorted(pod.node_selector.items()):
        kubernetes.add_node_selector(task, key, value)
    # Requirements hold together in one term; of two terms one would be enough.
    if required := [_expression(each) for each in pod.node_affinity if each.weight is None]:
        kubernetes.add_node_affinity(task, match_expressions=required)
    for each in pod.node_affinity:
        if each.weight is not None:
            kubernetes.add_node_affinity(task, match_expressions=[_expression(each)], weight=each.weight)
    for toleration in pod.tolerations:
        kubernetes.add_toleration(
            task,
            key=toleration.key,
            operator=toleration.operator,
            value=toleration.value,
            effect=toleration.effect,
            toleration_seconds=toleration.seconds,
        )


def _expression(requirement: NodeRequirement) -> dict[str, object]:
    return {
        "key": requirement.key,
        "operator": requirement.operator,
        "values": list(requirement.values),
    }
