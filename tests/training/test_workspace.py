"""The folder that training works in: an attempt that still saves its work is waited for, a stranger is not."""

import fcntl
from pathlib import Path

import pytest

from components.train.workspace import workspace
from model_core.errors import ArtifactError


def test_the_attempt_before_is_waited_for_where_no_other_run_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go as soon as this one waits."""
    kept = tmp_path / "checkpoints" / "one"
    kept.mkdir(parents=True)
    with (kept / "lock").open("w") as before:
        fcntl.flock(before, fcntl.LOCK_EX)
        waited = "components.train.workspace.time.sleep"
        monkeypatch.setattr(waited, lambda seconds: fcntl.flock(before, fcntl.LOCK_UN))
        with workspace(tmp_path / "model", True, kept) as work:
            assert work == kept


def test_another_run_into_the_same_folder_is_refused_at_once(tmp_path: Path) -> None:
    with (
        workspace(tmp_path / "model", True),
        pytest.raises(ArtifactError, match="another run is training into"),
        workspace(tmp_path / "model", True),
    ):
        pass
