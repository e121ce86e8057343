"""What the Dockerfile and the handling of containers promise, without an engine."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.containers import missing_outputs

ROOT = Path(__file__).parent.parent.parent


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run([program, ROOT / "docker/Dockerfile"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_an_output_that_a_step_declared_and_did_not_leave_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    artifacts = {name: {"artifacts": [{"uri": str(tmp_path / name)}]} for name in ("model", "metrics")}
    command = ["sh", "-c", "…", "--executor_input", json.dumps({"outputs": {"artifacts": artifacts}})]
    assert missing_outputs(command) == [f"metrics at {tmp_path / 'metrics'}"]


def test_the_two_builds_of_torch_are_one_version_and_meet_no_package_of_another_lock() -> None:
    def pinned(lock: str) -> dict[str, str]:
        text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
        return dict(
            re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
        )

    cuda = pinned("torch-cuda.lock")
    assert pinned("torch-cpu.lock") == {"torch": cuda["torch"] + "+cpu"}
    assert any(name.startswith("nvidia-") for name in cuda)
    for lock in ("train.lock", "evaluate.lock"):
        assert not set(cuda) & set(pinned(lock))
