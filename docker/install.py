"""Fill the environment of an image from a lock, inside its build: install, leave out, compile, date.

    install.py LOCK [--torch]        everything LOCK names, by hash, into /opt/pgat
    install.py --compile FOLDER      byte code for sources that were copied

Where to look for packages, if not at pip's usual index, stands in a secret of the build, a line each:

    PIP_INDEX_URL=https://…          the index
    PIP_FIND_LINKS=https://…         a page of further wheels
    TORCH_INDEX=https://…            the index for torch

It reaches pip as variables: a command line can be read by others.

Runs on the builder's Python with the standard library only.
"""

import compileall
import filecmp
import os
import py_compile
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

ENVIRONMENT = Path("/opt/pgat")
LOCK_OF_IMAGE = ENVIRONMENT / "share" / "requirements.lock"
WHEELS = Path("/wheels")
CERTIFICATES = Path("/run/secrets/ca")
INDEX = Path("/run/secrets/index")
PIP = Path("/build/pip/bin/pip")
PIP_CACHE = Path("/var/cache/pip")

# What no step runs: together 105 MB of the report image. tests/containers runs every step on what is left.
FOLDERS_LEFT_OUT = {"tests", "include"}
"""Of any package: its own tests, and headers for a compiler that the images do not have."""
KINDS_LEFT_OUT = {".c", ".cpp", ".h", ".pxd", ".pxi", ".pyi", ".pyx"}
"""Files that only compilers and type checkers read."""
LEFT_OUT = [
    # Arrow's remote calls and its own S3 client (ours is the minio package). Modules of their own, nothing links them.
    "pyarrow/libarrow_flight.so*",
    "pyarrow/libarrow_python_flight.so*",
    "pyarrow/_flight*",
    "pyarrow/libarrow_s3.so*",
    "pyarrow/_s3fs*",
    "pyarrow/_pyarrow_cpp_tests*",
    "pyarrow/src",
    # The store's client signs with shared keys.
    "Crypto/PublicKey",
    # Programs that test torch or that compile for it.
    "torch/test",
    "torch/bin/*test*",
    "torch/bin/*Test*",
    "torch/bin/protoc*",
    "torch/lib/*_test.so",
    "torch/share",
    "Crypto/SelfTest",
    # Figures are SVG with their own fonts: what PDF and PostScript need, and a converter of font outlines.
    "matplotlib/mpl-data/sample_data",
    "matplotlib/mpl-data/fonts/afm",
    "matplotlib/mpl-data/fonts/pdfcorefonts",
    "fontTools/qu2cu",
    # A step runs kfp's executor, in kfp/dsl; the rest of the SDK compiles and submits pipelines.
    "kfp/cli",
    "kfp/client",
    "kfp/compiler",
    "kfp/components",
    "kfp/local",
    "kfp/registry",
]


def main() -> None:
    """Do what the command line says."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path, nargs="?", help="requirements with hashes")
    parser.add_argument("--torch", action="store_true", help="look at torch's own index")
    parser.add_argument("--compile", type=Path, help="folder of Python sources")
    given = parser.parse_args()
    if given.compile:
        compile_sources(given.compile)
        set_dates(given.compile)
        return
    install(given.lock, torch=given.torch)
    site = next(ENVIRONMENT.glob("lib/python3*/site-packages"))
    leave_out(site)
    compile_sources(site)
    LOCK_OF_IMAGE.parent.mkdir(exist_ok=True)
    shutil.copyfile(given.lock, LOCK_OF_IMAGE)
    set_dates(ENVIRONMENT)


def install(lock: Path, *, torch: bool = False) -> None:
    """Install just what stands in ``lock``: the lock is complete, so no requirement is followed."""
    environment = os.environ | places(torch=torch)
    if CERTIFICATES.exists() and CERTIFICATES.stat().st_size:
        environment["PIP_CERT"] = str(CERTIFICATES)
    command = [str(PIP), "--python", str(ENVIRONMENT / "bin" / "python3"), "install"]
    command += ["--quiet", "--disable-pip-version-check", "--cache-dir", str(PIP_CACHE), "--no-compile"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)]
    command += ["--find-links", str(WHEELS)]
    if subprocess.run(command, env=environment).returncode:
        sys.exit(f"cannot install {lock.name}; docker/README.md tells about proxies, certificates and wheels")


def places(*, torch: bool) -> dict[str, str]:
    """pip's variables that say where to look for packages, or for torch."""
    text = INDEX.read_text(encoding="utf-8") if INDEX.exists() else ""
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    index_of_torch = said.pop("TORCH_INDEX", "")
    return said | {"PIP_INDEX_URL": index_of_torch} if torch and index_of_torch else said


def leave_out(site: Path) -> None:
    """Remove what no step runs; libraries that a wheel carries several times become links to one."""
    unwanted = [path for pattern in LEFT_OUT for path in site.glob(pattern)]
    unwanted += [path for name in FOLDERS_LEFT_OUT for path in site.rglob(name) if path.is_dir()]
    unwanted += [path for path in site.rglob("*") if path.suffix in KINDS_LEFT_OUT and path.is_file()]
    for path in sorted(unwanted):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for library in sorted(site.glob("*/*.so")):
        for copy in sorted(library.parent.glob(f"{library.name}.*")):
            if not copy.is_symlink() and filecmp.cmp(library, copy, shallow=False):
                copy.unlink()
                copy.symlink_to(library.name)


def compile_sources(folder: Path) -> None:
    """Byte code that trusts its source, so that it is the same in each build and never written at run time."""
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def set_dates(folder: Path) -> None:
    """One date for all files, so that the same content makes the same layer."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (0, 0), follow_symlinks=False)


if __name__ == "__main__":
    main()
