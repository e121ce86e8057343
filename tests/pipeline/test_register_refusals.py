"""What keeps a model from being registered is one sentence with what to do, and nothing is left or half registered."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.register_model.__main__ import main
from components.register_model.registry import checked_registry
from model_core.checkpoints.files import WEIGHTS
from model_core.errors import UserError
from model_core.variables import REGISTRY_TOKEN
from pipelines.resources import Cluster
from tests.evaluation.small_run import small_run
from tests.pipeline.registration import champion, judged, other_model, refused, registered, words
from tests.pipeline.registry_server import ModelRegistry
from tests.pipeline.submissions import submission
from tests.serving import answering


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
