"""What SIGTERM does in a pod of Kubeflow Pipelines, whose processes are built here as a cluster builds them.

Argo's emissary is the container's first process. It sends SIGTERM on to its group and waits for its child, KFP's
launcher, alone; the launcher handles no signal, so it ends at once, the emissary after it, and with the first process
of a container the kernel kills all others. Nothing waits for a training that saves its state.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]
EMISSARY = """
import os, signal, subprocess, sys
def forwarded(number, frame):
    signal.signal(number, signal.SIG_IGN)
    os.killpg(0, number)
signal.signal(signal.SIGTERM, forwarded)
os.setpgid(0, 0)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
LAUNCHER = """
import subprocess, sys
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
TRAINING = """
import os, sys, time
from pathlib import Path
from components.train.termination import leaving_on_termination
place = Path(sys.argv[1])
with leaving_on_termination():
    try:
        (place / "checkpoint").write_text("of the last interval")
        os.mkfifo(place / "uploaded")
        print("training", flush=True)
        time.sleep(3600)
    finally:
        print("saving", flush=True)
        (place / "uploaded").read_text()  # as long as it takes: until the test has written
        (place / "saved").write_text("of the moment")
"""


def allowed() -> bool:
    """Whether this user may make a namespace of processes."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not allowed(), reason="needs the right to make a namespace of processes")
def test_only_what_was_saved_before_outlives_a_pod(tmp_path: Path) -> None:
    scripts = []
    for name, text in (("emissary", EMISSARY), ("launcher", LAUNCHER), ("training", TRAINING)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        scripts += [sys.executable, str(tmp_path / f"{name}.py")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    pod = subprocess.Popen(
        [*UNSHARE, *scripts, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert pod.stdout is not None
    assert pod.stdout.readline() == "training\n"
    (emissary,) = psutil.Process(pod.pid).children()
    emissary.terminate()
    pod.wait(timeout=60)  # although the training waits for the test
    pod.stdout.close()
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".py"} == {"checkpoint", "uploaded"}
