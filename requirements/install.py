"""Fill the environment that this Python belongs to: torch, then everything in dev.lock, then this project.

    .venv/bin/python requirements/install.py        what ``make setup`` runs; standard library only

uv installs dev.lock in a fraction of pip's time. It comes from installer.lock, by hash, and knows nothing of pip's
settings, so they are passed on. Where it cannot be had, pip does all of it. torch comes through pip, whose settings may
name the place of this machine's build; where they name none, uv picks the build for this machine's GPU driver, or the
one for CPUs. TORCH and TORCH_INDEX of the environment say which torch and from which index.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
PIP = (sys.executable, "-m", "pip")
# Errors only: what pip warns of is how this machine is set up, and nothing that a user of this project can change.
INSTALL = (*PIP, "install", "-qq", "--disable-pip-version-check", "--no-compile")
UV = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable)
HASHED = ("--require-hashes", "--requirement", str(HERE / "dev.lock"))
USED = (
    "components.train.step components.evaluate.step components.diagnose.step torch._dynamo torch.utils.tensorboard",
    "components.prepare_data.step components.report.step pipelines.__main__ pipelines.runners.local",
)
"""What the commands import, in two halves for two processors."""
PROJECT = ("--no-deps", "--no-build-isolation", "--editable", str(HERE.parent))

VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "extra-index-url": ("UV_INDEX",),
    "find-links": ("UV_FIND_LINKS",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "no-index": ("UV_NO_INDEX",),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
}
"""pip's settings and the environment variables that tell uv the same; never options, which everybody can see."""


class InstallError(Exception):
    """What could not be installed; the text says why."""


def main() -> None:
    """Install everything, or end with one sentence."""
    torch, index = os.environ["TORCH"], os.environ.get("TORCH_INDEX", "")
    settings = pip_settings()
    try:
        has_uv = try_uv()
        say(f"installing {torch} and requirements/dev.lock")
        install_torch(torch, index, has_uv and not index and not named_places(settings))
        if has_uv:
            call([*UV, *HASHED], variables_of(settings))
            call([*UV, *PROJECT])
        else:
            call([*INSTALL, *HASHED])
            call([*INSTALL, *PROJECT])
        compile_used()
    except InstallError as error:
        sys.exit(f"error: {error}")


def compile_used() -> None:
    """Import what the commands import, so that Python keeps its byte code: compiling everything takes far longer.

    Raises:
        InstallError: something that was installed cannot be imported.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    halves = [
        subprocess.Popen(
            [sys.executable, "-c", f"import {half.replace(' ', ', ')}"],
            cwd=HERE.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for half in USED
    ]
    for half in halves:
        _, said = half.communicate()
        if half.returncode:
            raise InstallError(f"what was installed cannot be imported: {said.strip().splitlines()[-1]}")


def try_uv() -> bool:
    """Install uv; False, with a line that says so, where it cannot be had."""
    try:
        call([*INSTALL, "--no-deps", "--require-hashes", "--requirement", str(HERE / "installer.lock")])
        call([sys.executable, "-m", "uv", "--version"])
    except InstallError as error:
        say(f"uv cannot be had ({str(error).splitlines()[-1]}); pip installs everything, which takes longer")
        return False
    return True


def install_torch(torch: str, index: str, by_uv: bool) -> None:
    """Install torch, chosen for this machine by uv, or from the places that pip knows.

    Raises:
        InstallError: there is none for this Python.
    """
    if by_uv:
        try:
            call([*UV, "--torch-backend=auto", torch])
            return
        except InstallError as error:
            say(f"uv found no {torch} ({str(error).splitlines()[-1]}); pip looks in its usual index")
    try:
        call([*INSTALL, torch], {"PIP_INDEX_URL": index} if index else {})
    except InstallError as error:
        if "No matching distribution found for torch" not in str(error):
            raise
        version = ".".join(map(str, sys.version_info[:2]))
        where = "the index that TORCH_INDEX names" if index else "any index or folder that pip knows"
        raise InstallError(
            f"there is no {torch} for Python {version} in {where}; choose another Python "
            "(rm -r .venv; make setup PYTHON=python3.11), or another index with TORCH_INDEX=<URL>"
        ) from error


def pip_settings() -> dict[str, str]:
    """What pip is told by its files and by the environment, for ``pip install``: name → value."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    return read_settings(listed)


def read_settings(listed: str) -> dict[str, str]:
    """The lines of ``pip config list``; what stands for ``install`` outweighs ``global``, and the environment both."""
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                found[name.removeprefix(f"{section}.")] = ast.literal_eval(value)
    return found


def named_places(settings: Mapping[str, str]) -> bool:
    """Whether pip was told where to look, so that uv is not to look elsewhere."""
    return bool({"index-url", "extra-index-url", "find-links", "no-index"} & set(settings))


def variables_of(settings: Mapping[str, str]) -> dict[str, str]:
    """uv's environment variables for pip's settings; the user's own values stay.

    Of several indexes any may have the file, as with pip: its hash says that it is the right one.
    """
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for setting, names in VARIABLES.items():
        if value := settings.get(setting):
            # pip separates several places by blanks, as uv does, but for its folders.
            text = ",".join(value.split()) if setting == "find-links" else " ".join(value.split())
            found |= dict.fromkeys(names, text)
    return {name: value for name, value in found.items() if name not in os.environ}


def call(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a command that says nothing if all is well.

    Raises:
        InstallError: with what it said.
    """
    done = subprocess.run(command, env=os.environ | dict(variables or {}), capture_output=True, text=True)
    if done.returncode:
        raise InstallError(
            (done.stderr or done.stdout).strip() or f"{command[0]} ended with {done.returncode}"
        )


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
