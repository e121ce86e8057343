"""One archive with what ``benchmarks/gpu.sh`` needs on a machine that has only torch and NumPy, and no network.

    python benchmarks/carry.py DATASET carry.tar.xz
    python benchmarks/carry.py DATASET carry.tar.xz --python 3.12 --have pyarrow pandas

There:

    tar xf carry.tar.xz && export PYTHONPATH=$PWD/carry:$PWD && benchmarks/gpu.sh OUT carry/dataset

Fetches the locked wheels of ``PACKAGES`` for that Python on x86-64 Linux, leaves out the parts of them that reading a
dataset and training never load, adds the prepared dataset, and prints the size as a JSON line. Evaluation needs arch,
statsmodels and SciPy besides (``--also``).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "dev.lock"
PACKAGES = (
    "annotated-types", "beartype", "jaxtyping", "pandas", "psutil", "pyarrow", "pydantic", "pydantic-core",
    "python-dateutil", "pyyaml", "safetensors", "six", "tqdm", "typing-extensions", "typing-inspection",
    "wadler-lindig",
)  # fmt: skip
UNUSED = (
    "pandas/tests/*",
    *(f"pyarrow/{folder}/*" for folder in ("include", "includes", "src", "tests")),
    *(f"pyarrow/*.{kind}" for kind in ("pxd", "pxi", "pyx")),
    *(f"pyarrow/libarrow_{name}*" for name in ("flight", "s3", "substrait", "python_")),
    *("pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.*.*"),
    *(
        f"pyarrow/_{name}*"
        for name in ("flight", "s3fs", "substrait", "gcsfs", "azurefs", "hdfs", "orc", "pyarrow_cpp")
    ),
)
"""Patterns of what is left out."""
PLATFORMS = ("manylinux_2_28", "manylinux_2_24", "manylinux_2_17", "manylinux2014")


def main() -> None:
    """Fetch, thin out, pack."""
    parser = argparse.ArgumentParser(
        description="One archive with what benchmarks/gpu.sh needs beside torch."
    )
    parser.add_argument("dataset", type=Path, help="output folder of prepare_data")
    parser.add_argument("archive", type=Path, help="file to write, .tar.xz")
    parser.add_argument("--python", default="3.12", help="of the other machine (%(default)s)")
    parser.add_argument("--have", nargs="*", default=[], help="packages that it has")
    parser.add_argument("--also", nargs="*", default=[], help="locked packages besides")
    given = parser.parse_args()
    names = [name for name in (*PACKAGES, *given.also) if name not in given.have]
    with tempfile.TemporaryDirectory(prefix="pgat-carry-") as folder:
        carried = Path(folder) / "carry"
        for wheel in fetched(pinned(names), given.python, Path(folder) / "wheels"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(carried)
        for pattern in UNUSED:
            for path in carried.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        shutil.copytree(given.dataset, carried / "dataset")
        with tarfile.open(given.archive, "w:xz") as archive:
            archive.add(carried, "carry")
    size = given.archive.stat().st_size / 1e6
    print(json.dumps({"case": "carry", "python": given.python, "packages": names, "mb": round(size, 1)}))


def pinned(names: list[str]) -> list[str]:
    """``name==version`` of each, from the lock."""
    versions = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.M))
    if missing := [name for name in names if name not in versions]:
        sys.exit(f"error: {LOCK.name} locks no {', '.join(missing)}; leave them out with --have")
    return [f"{name}=={versions[name]}" for name in names]


def fetched(requirements: list[str], python: str, folder: Path) -> list[Path]:
    """The wheels, downloaded."""
    platforms = [word for name in PLATFORMS for word in ("--platform", f"{name}_x86_64")]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", *platforms, "--dest", str(folder)]
    if subprocess.run([*command, *requirements], check=False).returncode:
        sys.exit(f"error: pip found no wheels of these for Python {python}; see its message above")
    return sorted(folder.glob("*.whl"))


if __name__ == "__main__":
    main()
