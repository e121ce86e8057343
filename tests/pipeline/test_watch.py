"""Waiting for a run on a cluster: gateways fail, tokens run out, people press Ctrl-C; the run goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_core.errors import DeniedError, PipelineError, StoreError
from model_core.web import connection
from pipelines.__main__ import main
from pipelines.kubeflow.api import Api as Client
from pipelines.kubeflow.watch import watch
from pipelines.submit import submit
from tests.pipeline.kubeflow_server import Api, page, reset, silence, status
from tests.pipeline.submissions import submission


def watched(api: Api, **more: Any) -> list[str]:
    told: list[str] = []
    watch(Client(api.url), "r1", say=told.append, poll_seconds=0.0, **more)
    return [line.strip() for line in told]


def test_waiting_tells_each_state_once_and_ends_with_the_run(api: Api) -> None:
    told: list[str] = []
    submit(submission(api.url), wait=True, poll_seconds=0.0, say=told.append)
    assert [line.strip() for line in told] == [
        f"run a: {api.url}/#/runs/details/r1",
        "train: pending", "train: running", "train: succeeded", "run a: succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["FAILED", "CANCELED"])
def test_waiting_for_a_run_that_ends_badly_raises(api: Api, end: str) -> None:
    api.states[:] = ["RUNNING", end]
    with pytest.raises(PipelineError, match=f"was {end.lower()}"):
        watched(api)


@pytest.mark.parametrize(
    "fault",
    [status(502), status(503), status(504), status(429), reset, silence],
    ids=lambda fault: fault.__name__,
)
def test_waiting_rides_over_what_passes_and_says_so_once(
    api: Api, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LIMITS", replace(connection._LIMITS, read_seconds=0.05))
    api.fail("GET .*/runs/r1", fault, fault)
    told = watched(api)
    assert told[-1] == "run a: succeeded"
    assert [line for line in told if "asking again" in line] == told[:1]


def test_an_api_that_stays_away_ends_the_waiting_and_the_way_on_is_told(api: Api) -> None:
    api.fail("GET .*/runs/r1", status(503))
    with pytest.raises(StoreError, match=f"pipelines follow r1 --host {api.url}") as caught:
        watched(api, patience_seconds=0.0)
    assert f"pipelines terminate r1 --host {api.url}" in str(caught.value)


def test_a_page_to_sign_in_ends_the_waiting_and_the_way_on_is_told(api: Api) -> None:
    api.fail("GET .*/runs/r1", page())
    with pytest.raises(StoreError, match="the run goes on; to follow it"):
        watched(api)


def test_a_token_in_a_file_is_read_again_when_it_has_run_out(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    monkeypatch.setenv("KFP_TOKEN_FILE", str(file))
    api.accepts = {"Bearer new"}
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line.strip())
        file.write_text("new", encoding="utf-8")

    watch(Client(api.url), "r1", say=say, poll_seconds=0.0)
    assert "answered 401 who are you; the run goes on, asking again" in told[0]
    assert told[-1] == "run a: succeeded"


def test_a_token_that_cannot_be_renewed_ends_the_waiting_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", "old-token")
    api.accepts = {"Bearer new-token"}
    with pytest.raises(DeniedError, match=r"KFP_TOKEN may have expired.*pipelines follow r1"):
        watched(api)


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_go_on(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pressed)
    assert main(["submit", "--host", api.url, "--tag", "0123456", "--wait"]) == 130
    told = capsys.readouterr().out
    assert f"python -m pipelines follow r1 --host {api.url}" in told
    assert api.terminated == []


def test_the_two_commands_that_are_named_do_what_is_said_of_them(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.states[:] = ["SUCCEEDED"]
    assert main(["follow", "r1", "--host", api.url]) == 0
    assert "run a: succeeded" in capsys.readouterr().out
    assert main(["terminate", "r1", "--host", api.url]) == 0
    assert api.terminated == ["r1"]
    api.states[:] = ["CANCELED"]
    assert main(["follow", "r1", "--host", api.url]) == 1


@pytest.mark.parametrize("name", ["", "../experiments", "r1:terminate", "a" * 201])
def test_an_id_that_is_none_is_asked_for_nowhere(
    name: str, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["follow", name, "--host", api.url]) == 2
    assert "is not the id of a run" in capsys.readouterr().err
