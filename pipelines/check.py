"""Whether KFP can read a compiled pipeline, and whether it keeps the rules of ``pipelines.policy``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from kfp.dsl.graph_component import GraphComponent
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PlatformSpec

from model_core.documents import parse_yaml
from model_core.errors import UserError, shortened
from model_core.texts import DocumentError, read_text
from pipelines.policy import broken_rules, pods_of

_DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)
_REMEDY = "give the file that `python -m pipelines compile` wrote"
_MOST_BYTES = 2**22
_SHOWN = 5
"""Most broken rules that a message lists; the others are counted."""


def check_file(path: Path) -> int:
    """Check a pipeline that was compiled to a YAML file.

    Returns:
        The number of its tasks that run in a pod.

    Raises:
        UserError: it cannot be read, is no pipeline of KFP's, or breaks rules; the details name each with its remedy.
    """
    try:
        # KFP writes two documents, or one where no pod has settings of its own.
        documents = [parse_yaml(part) for part in _DOCUMENT.split(read_text(path, _MOST_BYTES))]
    except (DocumentError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else shortened(str(error))
        raise UserError(f"{path} cannot be read ({reason}); {_REMEDY}") from error
    if not 1 <= len(documents) <= 2 or not all(isinstance(each, dict) for each in documents):
        raise UserError(f"{path} is not a compiled pipeline; {_REMEDY}")
    return _checked(str(path), documents[0], documents[1] if len(documents) == 2 else {})


def check_pipeline(pipeline: GraphComponent) -> None:
    """Check a pipeline before it is written or sent.

    Raises:
        UserError: it breaks rules.
    """
    spec, platform = (
        json_format.MessageToDict(each) for each in (pipeline.pipeline_spec, pipeline.platform_spec)
    )
    _checked("the pipeline", spec, platform)


def _checked(name: str, spec: Mapping[str, Any], platform: Mapping[str, Any]) -> int:
    try:
        spec, platform = _as_read(spec, PipelineSpec()), _as_read(platform, PlatformSpec())
        if deployment := spec.get("deploymentSpec"):
            spec["deploymentSpec"] = _as_read(deployment, PipelineDeploymentConfig())
        executors = (
            platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
        )
        for label, config in executors.items():
            executors[label] = _as_read(config, KubernetesExecutorConfig())
    except (json_format.ParseError, TypeError, AttributeError, ValueError) as error:
        # The first line says what is wrong; the next ones list every field that there is.
        reason = shortened(str(error).partition("\n")[0].rstrip("."))
        raise UserError(f"{name} is not a pipeline of KFP's ({reason}); {_REMEDY}") from error
    pods = list(pods_of(spec, platform))
    if not pods:
        raise UserError(f"{name} has no task that runs in a pod; {_REMEDY}")
    if broken := broken_rules(spec, platform):
        more = f" · and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        rules = "a rule" if len(broken) == 1 else f"{len(broken)} rules"
        raise UserError(f"{name} breaks {rules}: {' · '.join(broken[:_SHOWN])}{more}", broken)
    return len(pods)


def _as_read(values: Mapping[str, Any], message: Message) -> dict[str, Any]:
    """JSON values as KFP reads them; as written, fields may be null, or have other names.

    Raises:
        ParseError, TypeError, AttributeError, ValueError: they are no such message.
    """
    read: dict[str, Any] = json_format.MessageToDict(json_format.ParseDict(values, message))
    return read
