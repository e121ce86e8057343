"""The small run and another model, offered to a registry by the real step."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.register_model.__main__ import main
from model_core.artifacts import sha256_of, write_manifest
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS
from model_core.results.record import read_result
from model_core.results.registration import Registration
from model_core.results.scores import Scores
from tests.evaluation.small_run import small_run
from tests.pipeline.registry_server import ModelRegistry


def judged(folder: Path, outcome: str) -> Path:
    """The evaluation of the small run, as if its verdicts had another outcome."""
    evaluation = folder / f"evaluation-{outcome.replace(' ', '-')}"
    shutil.copytree(small_run()["evaluation"], evaluation)
    scores = json.loads((evaluation / Scores.file).read_text(encoding="utf-8"))
    for verdict in (scores["verdict"], scores["verdict"]["distribution"]):
        verdict["outcome"] = outcome
    (evaluation / Scores.file).write_text(json.dumps(scores), encoding="utf-8")
    inputs = {name: small_run()[name] for name in ("dataset", "model")}
    (evaluation / "manifest.json").unlink()
    write_manifest(evaluation, producer="evaluate", settings={}, inputs=inputs)
    return evaluation


def words(registry_url: str, evaluation: Path, out: Path, *more: str) -> list[str]:
    """The step's arguments: the small run with this evaluation."""
    paths = {name: str(small_run()[name]) for name in ("dataset", "model")}
    paths |= {"evaluation": str(evaluation), "registration": str(out)}
    given = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return [*given, "--model-registry", registry_url, "--run-name", "mine", *more]


def registered(registry: ModelRegistry, evaluation: Path, out: Path, *more: str) -> Registration:
    """The registration that the step leaves."""
    main(words(registry.url, evaluation, out, *more))
    return read_result(Registration, out)


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a step that ends with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def champion(registry: ModelRegistry, uri: str, **properties: str) -> None:
    """Register another version, whose model is at ``uri``."""
    number = str(len(registry.versions) + 1)
    if not registry.models:
        registry.models.append({"id": "1", "name": "celestial-enhanced-pgat"})
    kept = {
        name: {"metadataType": "MetadataStringValue", "string_value": value}
        for name, value in properties.items()
    }
    version = {"id": number, "name": f"champion-{number}", "registeredModelId": "1", "state": "LIVE"}
    registry.versions.append(
        version | {"createTimeSinceEpoch": f"160000000000{number}", "customProperties": kept}
    )
    registry.artifacts[number] = [{"id": "1", "artifactType": "model-artifact", "name": "x", "uri": uri}]


def other_model(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """The model of the small run with other weights, whole and sealed."""
    model = folder / "other"
    shutil.copytree(small_run()["model"] / "best", model / "best")
    (model / "best/shrinkage.json").unlink(missing_ok=True)
    weights = {name: change(value) for name, value in load_file(model / "best" / WEIGHTS).items()}
    save_file(weights, model / "best" / WEIGHTS)
    path = model / "best" / CHECKPOINT_MANIFEST
    sealed = json.loads(path.read_text(encoding="utf-8"))
    sealed["files"].pop("shrinkage.json", None)
    file = model / "best" / WEIGHTS
    sealed["files"][WEIGHTS] = {"sha256": sha256_of(file), "size": file.stat().st_size}
    path.write_text(json.dumps(sealed), encoding="utf-8")
    return model
