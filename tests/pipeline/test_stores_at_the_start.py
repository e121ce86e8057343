"""A store that a run will need is refused before the first step if it cannot be entered at all."""

from pathlib import Path

import pytest

from model_core.config.run import Settings
from model_core.errors import StoreError
from pipelines.local import LocalRun, run_locally


@pytest.mark.parametrize("place", ["checkpoint_uri", "publish_uri"])
def test_a_store_without_keys_is_refused_before_anything_is_written(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    run = LocalRun(Settings(), "sample://nasdaq", tmp_path / "runs", "x", **{place: "s3://bucket/x"})
    with pytest.raises(StoreError, match="s3:// needs credentials; set AWS_ACCESS_KEY_ID and "):
        run_locally(run)
    assert not (tmp_path / "runs").exists()
