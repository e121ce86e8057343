"""What ``docker`` says of each step, from ``components/steps.py`` and the pipeline's graph: its image, its service."""

import importlib
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from components.steps import ALL_STEPS, STEPS
from model_core.config.run import Settings
from pipelines.training import training_pipeline

_FOLDER = Path(__file__).parent.parent.parent / "docker"
_BEGIN = "# --- The steps, by make docs from components/steps.py: change nothing below by hand "
_END = "# --- The end of what make docs writes "
_WITH_TORCH = re.compile(r"^FROM torch-environment AS (\S+)-environment$", re.MULTILINE)
_SUFFIX = {"system.HTML": ".html", "system.Markdown": ".md"}
_FLAGS = {
    "prepare_data": ['--source, "${SOURCE:-sample://synthetic}"'],
    "train": ["--checkpoint-uri, s3://market/run/checkpoints"],
    "report": ["--run-name, compose"],
}
"""What a service is told beside its settings and artifacts."""
_KEYS = {"train": ["  stop_grace_period: 60s"]}
"""Enough to save its work and send it."""
_ENDED = "condition: service_completed_successfully"
_WIDTH = 110


def dockerfile() -> str:
    """``docker/Dockerfile``: written by hand but for two stages a step, its bill of materials and its image."""
    text = (_FOLDER / "Dockerfile").read_text(encoding="utf-8")
    with_torch = set(_WITH_TORCH.findall(text))
    stages = [_stages(name, step.lock, step.lock in with_torch) for name, step in ALL_STEPS.items()]
    return _between(text, "\n\n".join(stages))


def compose_file() -> str:
    """``docker/compose.yaml``: written by hand but for one service a step."""
    text = (_FOLDER / "compose.yaml").read_text(encoding="utf-8")
    return _between(text, "\n\n".join(_service(name) for name in STEPS))


def _between(text: str, generated: str) -> str:
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    heading = rest.partition("\n")[0]
    if not begin or not end:
        raise ValueError(f"a file of {_FOLDER} lost the lines between which the steps stand")
    indent = before.rpartition("\n")[2]
    return f"{before}{begin}{heading}\n{generated}\n\n{indent}{end}{after}"


def _parser(step: str) -> ArgumentParser:
    return importlib.import_module(f"components.{step}.__main__").step_parser()


def _stages(step: str, lock: str, torch: bool) -> str:
    name, story = step.replace("_", "-"), _parser(step).description
    mount = " \\\n    --mount=type=bind,from=torch,source=/opt/pgat,target=/torch" if torch else ""
    return f"""FROM {lock}-packages AS {name}-bill
COPY --from=app /opt/pgat/app /opt/pgat/app
ARG SOURCE= REVISION= VERSION=
RUN --mount=type=bind,from=base,source=/var/lib/dpkg,target=/base{mount} \\
    python3 /build/sbom.py {name} /base/status{" /torch" if torch else ""} \\
 && echo "${{REVISION}} ${{VERSION}} ${{SOURCE}}" > /build/share/origin

FROM {lock}-environment AS {name}
COPY --from={name}-bill /build/share /opt/pgat/share
ARG SOURCE= REVISION= VERSION=
ENV PGAT_GIT_COMMIT=${{REVISION}}
LABEL org.opencontainers.image.title="pgat-{name}" \\
      org.opencontainers.image.description="{(story or "").rstrip(".")}" \\
      org.opencontainers.image.licenses="Apache-2.0" \\
      org.opencontainers.image.source="${{SOURCE}}" \\
      org.opencontainers.image.revision="${{REVISION}}" \\
      org.opencontainers.image.version="${{VERSION}}"
WORKDIR /pgat
USER 10001:0
ENTRYPOINT ["python3", "-m", "components.{step}"]"""


@cache
def _graph() -> dict[str, Any]:
    return MessageToDict(training_pipeline(Settings(), lambda task, step: None, "").pipeline_spec)


def _waits_for(task: str) -> list[str]:
    """The tasks that it needs and that no other of these needs already."""
    needed: dict[str, list[str]] = {
        name: each.get("dependentTasks", []) for name, each in _graph()["root"]["dag"]["tasks"].items()
    }
    return [name for name in needed[task] if not any(name in needed[other] for other in needed[task])]


def _service(step: str) -> str:
    name = step.replace("_", "-")
    task = _graph()["root"]["dag"]["tasks"][name]
    component = _graph()["components"][task["componentRef"]["name"]]
    artifacts: dict[str, Any] = {}
    for way in ("inputDefinitions", "outputDefinitions"):
        artifacts |= component.get(way, {}).get("artifacts", {})
    order = {each.output: number for number, each in enumerate(STEPS.values())}
    offered = {option for action in _parser(step)._actions for option in action.option_strings}
    words = ['--config, "configs/${CONFIG:-quickstart.yaml}"']
    # In the order in which they are made; what a step leaves beside its first output comes last.
    for artifact in sorted(artifacts, key=lambda each: order.get(each, len(order))):
        if f"--{artifact}" in offered:
            suffix = _SUFFIX.get(artifacts[artifact]["artifactType"]["schemaTitle"], "")
            words.append(f"--{artifact}, s3://market/run/{artifact}{suffix}")
    words += _FLAGS.get(step, [])
    lines = [
        f"{name}:",
        "  <<: *step",
        f'  image: "${{REGISTRY:-}}pgat-{name}:${{TAG:-local}}"',
        *_wrapped("  command: [", words, "]"),
        *_KEYS.get(step, []),
    ]
    if before := _waits_for(name):
        lines += ["  depends_on:", *(f"    {each}: {{{_ENDED}}}" for each in before)]
    else:
        lines += ["  depends_on: {store: {condition: service_healthy}}"]
    return "\n".join(f"  {line}" for line in lines)


def _wrapped(begin: str, words: Sequence[str], end: str) -> list[str]:
    lines = [begin]
    for word in words:
        more = f"{word}{end if word is words[-1] else ','}"
        if len(lines[-1]) + len(more) >= _WIDTH:
            lines.append(" " * (len(begin) - 1))
        lines[-1] += more if lines[-1].endswith("[") else f" {more}"
    return lines
