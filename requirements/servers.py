"""Make the environment of the servers that tests ask, MLflow's and moto's: ``make servers``.

It is one of its own, ``.venv-servers``, since the servers' packages and those of this project want other versions of
pyarrow, protobuf and python-dateutil of each other; nothing else uses it. ``servers.lock`` names every file in it by
its hash.
"""

import hashlib
import sys
from pathlib import Path

from requirements.install import INSTALL, UV, InstallError, call, pip_settings, say, try_uv, variables_of

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".venv-servers"
LOCK = HERE / "servers.lock"
_MARK = FOLDER / ".made-from"


def main() -> None:
    """Make it, unless it is there and of this lock, or end with one sentence."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if _MARK.is_file() and _MARK.read_text(encoding="utf-8") == digest:
        return
    python = str(FOLDER / "bin" / "python")
    hashed = ("--require-hashes", "--requirement", str(LOCK))
    try:
        say(f"installing requirements/{LOCK.name} into {FOLDER.name}")
        call([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
        if try_uv():
            call([*UV[:-1], python, *hashed], variables_of(pip_settings()))
        else:
            call([python, *INSTALL[1:], *hashed])
    except InstallError as error:
        sys.exit(f"error: {error}")
    _MARK.write_text(digest, encoding="utf-8")


if __name__ == "__main__":
    main()
