"""Who answers a submission: the API, which says what it lacks, or somebody else, which is never taken for a run."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from model_core.errors import DeniedError, StoreError, UserError
from pipelines.store_tls import write_certificate
from pipelines.submit import submit
from tests.pipeline.kubeflow_server import Api, Object, page, redirect, reset, status
from tests.pipeline.submissions import submission
from tests.serving import answering


def test_a_refusal_is_told_in_the_apis_own_words(api: Api) -> None:
    api.fail("POST .*/experiments", status(404, "no such namespace"))
    with pytest.raises(UserError, match="answered 404 no such namespace"):
        submit(submission(api.url))


def test_an_api_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreError, match="cannot reach http"):
        submit(submission("http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "answer", [page(), redirect("https://login.example/auth?state=x")], ids=["page", "redirect"]
)
@pytest.mark.parametrize(
    "request_", ["GET .*/healthz", "GET .*/experiments", "POST .*/experiments", "POST .*/runs"]
)
def test_a_page_to_sign_in_is_never_a_run(api: Api, request_: str, answer: Any) -> None:
    api.fail(request_, answer)
    with pytest.raises(StoreError, match="KFP_TOKEN or KFP_COOKIE"):
        submit(submission(api.url))
    assert api.runs == []


@pytest.mark.parametrize("request_", ["POST .*/experiments", "POST .*/runs"])
@pytest.mark.parametrize(
    "body", [{}, {"run_id": None, "experiment_id": None}, {"run_id": "", "experiment_id": ""}]
)
def test_an_answer_without_an_id_starts_nothing(api: Api, request_: str, body: Object) -> None:
    api.fail(request_, lambda handler: handler.answer(body))
    with pytest.raises(StoreError, match="does not answer as the API"):
        submit(submission(api.url))


@pytest.mark.parametrize(
    ("code", "variable", "remedy"),
    [
        (401, None, "set KFP_TOKEN to a bearer token"),
        (403, None, "set KFP_TOKEN to a bearer token"),
        (401, "KFP_TOKEN", "KFP_TOKEN may have expired"),
        (403, "KFP_COOKIE", "the user of KFP_COOKIE may not do this"),
    ],
)
def test_who_asks_is_asked_for_at_once(
    api: Api, code: int, variable: str | None, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, "session=0123456789")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    api.fail("GET .*/healthz", status(code, "no session=0123456789 here"))
    with pytest.raises(DeniedError, match=remedy) as caught:
        submit(submission(api.url))
    assert variable is None or "0123456789" not in str(caught.value)
    assert api.runs == []


def test_a_cookie_opens_what_a_page_to_sign_in_guards(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.accepts = {"authservice_session=abc; other=1"}
    monkeypatch.setenv("KFP_COOKIE", "authservice_session=abc; other=1")
    submit(submission(api.url))
    assert len(api.runs) == 1


def test_credentials_come_from_files_too(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-a-file\n", encoding="utf-8")
    monkeypatch.setenv("KFP_TOKEN_FILE", str(tmp_path / "token"))
    submit(submission(api.url))
    assert api.tokens == {"Bearer from-a-file"}


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("KFP_TOKEN_FILE", "missing", "names a file that cannot be read"),
        ("KFP_COOKIE", "no-name", "write NAME=VALUE"),
        ("KFP_COOKIE", "Cookie: a=b", "write NAME=VALUE"),
        ("KFP_COOKIE", "a=b\nc", "cannot be sent"),
    ],
)
def test_credentials_that_are_none_are_refused(
    api: Api, variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=reason):
        submit(submission(api.url))


def test_a_host_whose_api_stands_below_pipeline_is_told_so_and_the_remedy_works() -> None:
    with answering(Api(["SUCCEEDED"], prefix="/pipeline")) as api:
        with pytest.raises(StoreError, match=f"write --host {api.url}/pipeline"):
            submit(submission(api.url))
        assert submit(submission(f"{api.url}/pipeline/")) == f"{api.url}/pipeline/#/runs/details/r1"


def test_a_private_authority_is_named_with_the_remedy_and_the_remedy_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = Api(["SUCCEEDED"])
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    with answering(server) as api:
        with pytest.raises(StoreError, match="SSL_CERT_FILE"):
            submit(submission(api.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert submit(submission(api.url)).startswith(api.url)
        with pytest.raises(StoreError, match="cannot reach"):
            submit(submission(api.url.replace("https", "http")))


def test_an_http_port_behind_https_and_a_missing_file_of_certificates_are_one_sentence(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="does not speak TLS as it should"):
        submit(submission(api.url.replace("http", "https")))
    monkeypatch.setenv("SSL_CERT_FILE", "/missing.pem")
    with pytest.raises(UserError, match="SSL_CERT_FILE names '/missing"):
        submit(submission(api.url.replace("http", "https")))


def test_a_cluster_of_several_users_wants_a_namespace(api: Api) -> None:
    api.multi_user = True
    with pytest.raises(UserError, match="--namespace"):
        submit(submission(api.url))
    submit(submission(api.url, namespace="team"))
    assert api.experiments[0]["namespace"] == "team"
    assert "team" in api.namespaces


@pytest.mark.parametrize("fault", [status(503), reset], ids=["503", "reset"])
def test_a_run_that_may_have_been_started_is_not_said_to_be_neither(api: Api, fault: Any) -> None:
    api.fail("POST .*/runs", fault)
    with pytest.raises(StoreError, match="whether a was started is unknown"):
        submit(submission(api.url))
