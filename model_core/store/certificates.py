"""Whose certificates are trusted: those of this machine's authorities, or of the file that the environment names."""

import os
import ssl
from pathlib import Path

import urllib3

from model_core.errors import StoreError, quoted, shortened
from model_core.variables import CERTIFICATES


def authorities() -> ssl.SSLContext:
    """What a connection over TLS verifies with.

    OpenSSL silently ignores a file that is not there, and then trusts nobody.

    Raises:
        StoreError: ``SSL_CERT_FILE`` names no file with certificates.
    """
    file = os.environ.get(CERTIFICATES)
    try:
        if file and Path(file).exists() and not Path(file).is_file():
            raise OSError("not a regular file")  # a pipe would be waited for
        return ssl.create_default_context(cafile=file or None)
    except OSError as error:
        reason = "none in PEM" if isinstance(error, ssl.SSLError) else error.strerror or error
        raise StoreError(
            f"{CERTIFICATES} names {quoted(file)}, which holds no certificates ({reason}); give a file in PEM, or "
            "unset it"
        ) from error


def unsafe(error: urllib3.exceptions.SSLError, server: str, address: str) -> str:
    """Why nothing is sent to ``server``, and what to do about it.

    Args:
        server: as the sentence calls it.
        address: what holds its URL, for example a variable's name.
    """
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {server} cannot be trusted ({cause.verify_message}); if it is of a private "
            f"authority, let {CERTIFICATES} name the file with the authority's certificate"
        )
    return (
        f"{server} does not speak TLS as it should ({shortened(str(cause or error))}); check whether {address} has "
        "http:// or https://, and its port"
    )
