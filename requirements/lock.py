"""Write the hash-pinned locks from the ranges in pyproject.toml: ``make lock``.

    dev.lock     everything but torch: what ``make setup`` installs
    train.lock   for the images of train, evaluate and diagnose, beside torch
    light.lock   for the images of prepare_data and report, which need no torch
    kfp.lock     kfp alone, for step images: pip install --no-deps

torch stands in none of them, since each machine needs another build of it (CPU, CUDA); its own pure Python
requirements do. The smaller locks hold the same versions as dev.lock.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TORCH_REQUIRES = ["filelock", "typing-extensions", "setuptools", "sympy", "networkx", "jinja2", "fsspec"]
LOCKS = {
    "dev.lock": ["train", "pipeline", "report", "store", "trainer", "dev"],
    "train.lock": ["train", "store", "trainer"],
    "light.lock": ["report", "store"],
}


def main() -> None:
    """Compile dev.lock, then the others with its versions as constraints."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, extras in LOCKS.items():
        wanted = [*project["dependencies"]]
        for extra in extras:
            wanted += project["optional-dependencies"][extra]
        if "train" in extras:
            wanted = [line for line in wanted if not line.startswith("torch>")] + TORCH_REQUIRES
        compile_lock(HERE / name, wanted, constrained=name != "dev.lock")
    (HERE / "kfp.lock").write_text(only(HERE / "dev.lock", "kfp"), encoding="utf-8")


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
