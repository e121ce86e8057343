"""A place that a run will need is refused before the first step if it cannot be entered or written."""

from pathlib import Path
from typing import Any

import pytest

from model_core.config.run import Settings
from model_core.errors import StoreError
from model_core.store.probe import refuse_unwritable_folder
from pipelines.__main__ import main
from pipelines.runners.local import LocalRun, run_locally
from tests.security.hostile_s3 import HostileS3, serving


@pytest.mark.parametrize("place", ["checkpoint_uri", "publish_uri"])
def test_a_store_without_keys_is_refused_before_anything_is_written(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    given: dict[str, Any] = {place: "s3://bucket/x"}
    run = LocalRun(Settings(), "sample://nasdaq", tmp_path / "runs", "x", **given)
    with pytest.raises(StoreError, match="s3:// needs credentials; set AWS_ACCESS_KEY_ID and "):
        run_locally(run)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", ["--checkpoint-uri", "--publish-uri"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_written(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(uri: str) -> str:
        runs = tmp_path / "runs"
        assert main(["run", "--source", "sample://synthetic", "--runs", str(runs), flag, uri]) == 2
        assert not runs.exists()
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        return told.err

    (tmp_path / "file").touch()
    assert f"cannot write .writable in {tmp_path / 'file'} (" in refused(str(tmp_path / "file"))
    assert f"cannot write .writable in {tmp_path / 'file' / 'sub'} (" in refused(
        f"file://{tmp_path}/file/sub"
    )
    with serving(HostileS3(), monkeypatch) as server:
        server.refusing = {"": 403}
        assert "cannot write .writable in s3://bucket/pages: " in refused("s3://bucket/pages")


def test_a_place_that_can_be_written_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unwritable_folder(str(tmp_path / "new" / "pages"))
    assert list(tmp_path.iterdir()) == []
    with serving(HostileS3({"pages/index.html": b"old"}), monkeypatch) as server:
        refuse_unwritable_folder("s3://bucket/pages")
        assert server.objects == {"pages/index.html": b"old"}
