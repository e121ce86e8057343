"""A model is registered only if no comparison shows it to be worse, once, and the registered one forecasts anew."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from components.register_model.__main__ import main
from components.register_model.registry import checked_registry
from components.report.component import report as report_component
from components.steps import NOT_WORSE
from model_core.artifacts import sha256_of, write_manifest
from model_core.axes import TARGETS
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, WEIGHTS
from model_core.errors import UserError
from model_core.evaluation.gate import against_baselines, against_champion
from model_core.evaluation.paired import paired_tables
from model_core.results.record import read_result
from model_core.results.registration import Registration
from model_core.results.scores import Scores
from model_core.results.tables import price_column
from model_core.variables import REGISTRY_TOKEN
from pipelines.resources import Cluster
from pipelines.submission import Submission
from tests.evaluation.small_run import small_run
from tests.pipeline.registry_server import ModelRegistry
from tests.pipeline.submissions import submission
from tests.serving import answering


@pytest.fixture
def registry() -> Iterator[ModelRegistry]:
    with answering(ModelRegistry()) as server:
        yield server


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
    places = {name: str(small_run()[name]) for name in ("dataset", "model")}
    places |= {"evaluation": str(evaluation), "registration": str(out)}
    given = [word for name, place in places.items() for word in (f"--{name}", place)]
    return [*given, "--model-registry", registry_url, "--run-name", "mine", *more]


def registered(registry: ModelRegistry, evaluation: Path, out: Path, *more: str) -> Registration:
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


# --- the gate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "passes"),
    [("better", True), ("no evidence either way", True), ("worse", False), ("no verdict", False)],
)
def test_only_a_model_that_no_verdict_calls_worse_passes_the_baselines(
    outcome: str, passes: bool, tmp_path: Path
) -> None:
    reasons = against_baselines(read_result(Scores, judged(tmp_path, outcome)))
    assert (not reasons) == passes
    assert all("best baseline" in reason for reason in reasons)
    assert len(reasons) == (0 if passes else 2)


def forecasts(error: float) -> pd.DataFrame:
    """400 windows of two days, each forecast with an error of this size."""
    random = np.random.default_rng(1)
    days = pd.bdate_range("2020-01-01", periods=402).date
    rows = [(days[n], days[n + step], step) for n in range(400) for step in (1, 2)]
    table = pd.DataFrame(rows, columns=["anchor_date", "date", "step"])
    for target in TARGETS:
        true = random.standard_normal(len(table))
        table[price_column(target, "true")] = true
        for part in ("forecast", "q05", "q25", "q75", "q95"):
            table[price_column(target, part)] = true + error * random.standard_normal(len(table))
    return table


def test_a_champion_that_errs_less_stays_and_one_that_errs_more_goes() -> None:
    small, large = forecasts(0.1), forecasts(0.5)
    assert against_champion(paired_tables(small, large, 0.95), "the champion") == ()
    point, distribution = against_champion(paired_tables(large, small, 0.95), "the champion")
    assert point.startswith("The point forecast is worse than that of the champion: skill ")
    assert distribution.startswith("The distribution of Close is worse than that of the champion: skill ")


def test_where_nothing_can_be_compared_the_champion_stays() -> None:
    table = forecasts(0.1)
    elsewhere = table.assign(close_true=table["close_true"] + 1)
    (reason,) = against_champion(paired_tables(table, elsewhere, 0.95), "the champion")
    assert reason.startswith("It cannot be compared with the champion: what came differs")
    point, _ = against_champion(paired_tables(table.head(8), forecasts(0.2).head(8), 0.95), "the champion")
    assert point.startswith(
        "There is no verdict on whether the point forecast is worse than that of the champion: "
    )


# --- the step, against a registry ---------------------------------------------------------------------------


def test_the_first_model_is_registered_with_what_a_reviewer_needs(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    evaluation = judged(tmp_path, "no evidence either way")
    done = registered(registry, evaluation, tmp_path / "out", "--publish-uri", "s3://shelf/runs/")
    assert (done.registered, done.champion, done.reasons) == (True, None, ())
    (model,), (version,) = registry.models, registry.versions
    assert model["name"] == done.model_name == "celestial-enhanced-pgat"
    assert version["name"] == done.model_version
    assert version["id"] == done.version_id
    kept = {name: value["string_value"] for name, value in version["customProperties"].items()}
    assert kept["run"] == "mine"
    assert kept["report"] == "s3://shelf/runs/mine/report.html"
    assert "the best baseline" in kept["verdict"]
    assert set(kept) == {"run", "report", "verdict", "test_windows", "source_sha256", "learned_until"}
    (artifact,) = registry.artifacts[version["id"]]
    assert artifact["uri"] == small_run()["model"].resolve().as_uri()
    assert artifact["modelFormatName"] == "safetensors"


def test_the_same_model_twice_is_one_version_and_asks_for_nothing_more(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    evaluation = judged(tmp_path, "better")
    first = registered(registry, evaluation, tmp_path / "first")
    posts = registry.posts
    second = registered(registry, evaluation, tmp_path / "second")
    assert first == second
    assert (registry.posts, len(registry.versions)) == (posts, 1)


def test_a_registration_that_was_cut_off_is_completed(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = judged(tmp_path, "better")
    registry.fails_at = r"POST .*/artifacts"
    told = refused(words(registry.url, evaluation, tmp_path / "first"), capsys)
    assert "500 the database is locked" in told
    assert not (tmp_path / "first").exists()
    registry.fails_at = ""
    assert registered(registry, evaluation, tmp_path / "second").registered
    assert len(registry.versions) == 1
    assert len(registry.artifacts["1"]) == 1


@pytest.mark.parametrize("outcome", ["worse", "no verdict"])
def test_a_model_that_is_not_good_enough_is_not_registered_and_that_is_no_failure(
    outcome: str, registry: ModelRegistry, tmp_path: Path
) -> None:
    done = registered(registry, judged(tmp_path, outcome), tmp_path / "out")
    assert (done.registered, done.version_id, registry.posts) == (False, None, 0)
    assert len(done.reasons) == 2


def test_the_champion_forecasts_this_runs_windows_anew_and_is_compared_with_an_interval(
    registry: ModelRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = torch.Generator().manual_seed(5)
    model = other_model(
        tmp_path, lambda w: w + 0.02 * torch.randn(w.shape, generator=random) if w.is_floating_point() else w
    )
    champion(registry, str(tmp_path / "gone"))
    champion(registry, str(model), learned_until="2999-01-01")
    champion(registry, str(tmp_path / "archived"))
    registry.versions[-1]["state"] = "ARCHIVED"
    done = registered(registry, judged(tmp_path, "better"), tmp_path / "out")
    assert done.champion is not None
    assert done.champion.version == "champion-2", "the newest that is not archived"
    assert done.champion.windows == read_result(Scores, small_run()["evaluation"]).windows
    assert done.champion.point is not None
    assert done.registered == (
        done.champion.point.outcome in {"better", "no evidence either way"} and not done.reasons
    )
    assert "so the comparison favors it" in caplog.text


def test_a_model_is_as_good_as_itself(registry: ModelRegistry, tmp_path: Path) -> None:
    """Under another name in the registry: what it forecasts anew is what it forecast, to the last bit."""
    champion(registry, small_run()["model"].resolve().as_uri())
    done = registered(registry, judged(tmp_path, "better"), tmp_path / "out")
    assert done.champion is not None
    assert done.champion.point is not None
    assert done.champion.point.skill == pytest.approx(0, abs=1e-9)


# --- wrong inputs -------------------------------------------------------------------------------------------


def test_a_champion_that_cannot_be_read_is_named_with_what_to_do(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = judged(tmp_path, "better")
    damaged = other_model(tmp_path, lambda w: w)
    (damaged / "best" / WEIGHTS).write_bytes(b"damaged")
    for uri, reason in {
        str(tmp_path / "nowhere"): "holds no model",
        str(damaged): "is damaged or missing",
        "ftp://elsewhere/model": "starts with ftp://",
        "": "the registry does not say where it is",
    }.items():
        champion(registry, uri)
        told = refused(words(registry.url, evaluation, tmp_path / "out"), capsys)
        assert (
            f"the registered celestial-enhanced-pgat champion-{len(registry.versions)} cannot be compared"
            in told
        )
        assert reason in told
        assert "archive that version in the registry" in told
    assert registry.posts == 0
    assert not (tmp_path / "out").exists()


SIGN_IN = (200, "text/html", b"<!doctype html><title>Sign in</title>")


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (SIGN_IN, "answers with a web page (200)"),
        ((302, "text/html", b""), "redirects to https://sign-in.example, as to a sign-in page"),
        (
            (200, "application/json", b'{"kind": "APIResourceList"}'),
            "does not answer as Kubeflow's Model Registry",
        ),
        ((200, "application/json", b"{"), "does not answer as Kubeflow's Model Registry"),
        ((503, "application/json", b"{}"), "answered 503"),
    ],
)
def test_another_server_is_told_in_one_sentence_and_nothing_is_left(
    instead: tuple[int, str, bytes],
    reason: str,
    registry: ModelRegistry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.instead = instead
    told = refused(words(registry.url, judged(tmp_path, "better"), tmp_path / "out"), capsys)
    assert reason in told
    assert not (tmp_path / "out").exists()


def test_a_registry_of_another_version_is_told_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(ModelRegistry("/api/model_registry/v1")) as server:
        told = refused(words(server.url, judged(tmp_path, "better"), tmp_path / "out"), capsys)
    assert (
        "has no /api/model_registry/v1alpha3: it is another server, or a registry of another version" in told
    )


def test_who_may_not_ask_is_told_what_to_set_and_no_token_is_repeated(
    registry: ModelRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.token = "the-right-one"
    line = words(registry.url, judged(tmp_path, "better"), tmp_path / "out")
    assert f"answered 401 who are you; set {REGISTRY_TOKEN} to a bearer token" in refused(line, capsys)
    monkeypatch.setenv(REGISTRY_TOKEN, "the-wrong-one")
    told = refused(line, capsys)
    assert f"answered 403 who are you; the user of {REGISTRY_TOKEN} may not do this" in told
    assert "the-wrong-one" not in told
    monkeypatch.setenv(REGISTRY_TOKEN, "the-right-one")
    main(line)
    assert len(registry.versions) == 1


@pytest.mark.parametrize(
    "url",
    [
        "registry",
        "http://",
        "ftp://registry",
        "https://a:b@registry",
        "http://r/#x",
        "http://r:port",
        "http://r:0",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UserError, match="--model-registry") as caught:
        checked_registry(url)
    assert "a:b" not in str(caught.value)


def test_inputs_that_do_not_belong_together_are_refused(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "dataset"
    shutil.copytree(small_run()["dataset"], other)
    manifest = json.loads((other / "manifest.json").read_text(encoding="utf-8"))
    manifest["created_at"] = "2020-01-01T00:00:00+00:00"
    (other / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    line = words(registry.url, judged(tmp_path, "better"), tmp_path / "out")
    line[line.index(str(small_run()["dataset"]))] = str(other)
    assert "was made from another dataset than" in refused(line, capsys)


def test_what_was_archived_by_hand_is_not_registered_again(
    registry: ModelRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = judged(tmp_path, "better")
    registered(registry, evaluation, tmp_path / "first")
    registry.versions[0]["state"] = "ARCHIVED"
    told = refused(words(registry.url, evaluation, tmp_path / "second"), capsys)
    assert "was archived in the registry" in told


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"model_registry": "registry"}, "is not the URL of a registry"),
        ({"model_registry": "http://registry:8080", "registered_name": "A B"}, "--registered-name"),
        ({"model_registry": "http://registry:8080"}, "which pods read from a store"),
        (
            {
                "model_registry": "http://registry:8080",
                "cluster": Cluster(tag="0123456", secret="keys", registry_secret="token"),
            },
            "would be readable on the way",
        ),
    ],
)
def test_submit_refuses_what_could_only_fail_in_the_pods(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        submission("http://127.0.0.1:9", **more)


def test_the_report_tells_the_pipeline_whether_a_registry_is_offered_the_model() -> None:
    outputs = report_component.component_spec.outputs
    assert outputs is not None
    assert outputs["Output"].type == "String"
    assert NOT_WORSE.isidentifier()
    assert Submission.registered_name == "celestial-enhanced-pgat"
