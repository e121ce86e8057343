"""An endpoint is scheme, host and port; anything else is refused in a sentence that repeats no password."""

import pytest

from model_core.errors import StoreError
from model_core.store.client import connect
from pipelines.__main__ import main

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
REFUSED = [
    ("http://store:9000/path", "has more than scheme, host and port"),
    ("http://store:9000?x=canary", "has more than scheme, host and port"),
    ("http://store:9000#canary", "has more than scheme, host and port"),
    ("http://user:canary@store:9000", "holds credentials"),
    ("http://store:canary", "is not a URL like"),
    ("http://store:99999", "is not a URL like"),
    ("http://store:0", "is not a URL like"),
    ("http://[::1", "is not a URL like"),
    ("http://", "is not a URL like"),
    ("ftp://store", "is not a URL like"),
    ("store:9000", "is not a URL like"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_an_endpoint_with_anything_else_is_refused_by_its_variable(url: str, reason: str) -> None:
    for name in ("AWS_ENDPOINT_URL", "S3_ENDPOINT"):
        with pytest.raises(StoreError, match=f"^{name} {reason}") as refused:
            connect(KEYS | {name: url})
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_the_endpoint_of_pods_is_refused_before_anything_is_compiled_or_sent(
    url: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in ("--s3-endpoint", "--sts-endpoint"):
        for command in (["compile"], ["submit", "--host", "http://127.0.0.1:9"]):
            assert main([*command, "--tag", "0123456", "--secret", "keys", flag, url]) == 2
            told = capsys.readouterr().err
            assert f"error: {flag} {reason}" in told
            assert "canary" not in told


@pytest.mark.parametrize(
    "url",
    ["http://store:9000", "https://store", "http://store:9000/", "http://[::1]:9000", "http://10.0.0.1:80"],
)
def test_an_endpoint_of_scheme_host_and_port_is_taken(url: str) -> None:
    assert connect(KEYS | {"AWS_ENDPOINT_URL": url})
