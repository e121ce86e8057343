"""Write the hash-pinned locks from the ranges in pyproject.toml: ``make lock``.

    dev.lock      everything but torch: what ``make setup`` installs
    <image>.lock  what stands in an image, no more: installed with ``pip install --no-deps``
    torch-*.lock  torch for the images, one file a build; not written here, see docs/images.md

torch stands in none of the written locks, since each machine needs another build of it (CPU, CUDA); its own
pure Python requirements do. The images' locks hold the same versions as dev.lock.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
TORCH_REQUIRES = ["filelock", "typing-extensions", "setuptools", "sympy", "networkx", "jinja2", "fsspec"]
DEV_EXTRAS = ["train", "pipeline", "report", "store", "trainer", "dev"]

TABLES = ["numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "minio"]
"""What every step needs: tables, settings, the object store."""
SCORING = [*TABLES, "arch", "scipy", "safetensors", "jaxtyping", *TORCH_REQUIRES]
IMAGES = {
    "prepare-data": [*TABLES, "skyfield", "skyfield-data"],
    "train": [
        *TABLES,
        *("scipy", "safetensors", "jaxtyping", "psutil", "tensorboard", "tqdm", "kubeflow"),
        *TORCH_REQUIRES,
    ],
    # The steps evaluate and diagnose share it.
    "evaluate": SCORING,
    "report": [*TABLES, "jinja2", "matplotlib"],
}
BARE = {"prepare-data": ["kfp", "arch"], "train": ["kfp"], "evaluate": ["kfp"], "report": ["kfp"]}
"""Packages of which an image needs no requirement: kfp's executor imports the standard library only, and
``arch`` is there for its tables (samples)."""


def main() -> None:
    """Compile dev.lock, then the images' locks with its versions as constraints."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [line for lines in extras.values() for line in lines]
    ranges = {name_of(line): line for line in [*project["dependencies"], *optional]}
    everything = [*project["dependencies"], *(line for extra in DEV_EXTRAS for line in extras[extra])]
    compile_lock(HERE / "dev.lock", [*without_torch(everything), *TORCH_REQUIRES], constrained=False)
    for image, names in IMAGES.items():
        lock = HERE / f"{image}.lock"
        compile_lock(lock, [ranges.get(name, name) for name in names], constrained=True)
        bare = "".join(only(HERE / "dev.lock", package) for package in BARE[image])
        lock.write_text(lock.read_text(encoding="utf-8") + bare, encoding="utf-8")


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


def only(lock: Path, package: str) -> str:
    """The lines of one package in a lock."""
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next(i for i in range(first, len(lines)) if not lines[i].rstrip().endswith("\\"))
    return "".join(lines[first : last + 1])


if __name__ == "__main__":
    main()
