"""The program of the image ``pgat-store``: the S3 server in a container, for ``docker/compose.yaml``.

    python3 -m pipelines.store_image BUCKET       until SIGTERM, on port 8333; objects in /data
    python3 -m pipelines.store_image --healthy BUCKET   exit code 0 if it answers to the keys

Both take the keys from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``. Other containers reach the S3 port; the
ports beside it take only this start's own certificate. What the server says goes to the container's log.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from model_core.errors import PgatError, StoreError, UserError
from model_core.variables import KEYS
from pipelines.store_doors import EVERYWHERE
from pipelines.store_process import Server, end_on_sigterm, keys_given, started

_DATA = Path("/data")
_PORTS = [8333, 9333, 9340, 8888, 23646]


def main() -> int:
    """Do what the command line says; returns the exit code: 0 done, 1 failed, 2 wrong input."""
    parser = ArgumentParser(
        prog="pgat-store", description="an S3 server on port 8333 that always asks for keys"
    )
    parser.add_argument("--healthy", action="store_true", help="only ask a running one for the bucket")
    parser.add_argument("bucket", help="made if there is none")
    given = parser.parse_args()
    try:
        server = _server(given.bucket)
        if given.healthy:
            server.answers()
        else:
            _serve(server)
    except PgatError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _server(bucket: str) -> Server:
    keys = keys_given()
    if keys is None:
        raise UserError(f"the store needs keys; set {' and '.join(KEYS)}")
    return Server(f"http://127.0.0.1:{_PORTS[0]}", bucket, *keys)


def _serve(server: Server) -> None:
    end_on_sigterm()
    try:
        # The volume of an earlier image can be entered by its group.
        _DATA.chmod(0o700)
    except OSError as error:
        raise UserError(
            f"{_DATA} is not this user's own ({error.strerror}); give it a volume of its own"
        ) from error
    with started(server, _DATA, _PORTS, None, address=EVERYWHERE) as process:
        print(f"bucket {server.bucket} at port {_PORTS[0]}; no other port lets anybody in", flush=True)
        code = process.wait()
        raise StoreError(f"the S3 server ended with exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
