"""Certificates with which the parts of SeaweedFS know each other, made for each start.

``weed`` runs a master, a volume server, a filer, an S3 gateway and an admin server, which talk to each other over
TCP. Only the gateway asks for S3 keys. With these settings every other port speaks TLS alone and takes only a client
whose certificate this start's authority signed; the authority's own key is never written.
"""

import datetime
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = datetime.timedelta(days=3650)
_CLOCK = datetime.timedelta(hours=1)
"""By how much a clock may be wrong."""
_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "msg_broker", "msg_agent", "mq", "client")
_HTTPS = ("master", "volume", "filer", "admin")


def write_settings(folder: Path) -> None:
    """Write ``security.toml``, which ``weed`` reads in the folder it is started in, and what it names.

    Args:
        folder: readable by its owner only; gets ``ca.pem``, ``cert.pem``, ``key.pem`` beside the settings.
    """
    write_certificate(folder)
    # A JSON string is a TOML string, too.
    own = {name: json.dumps(str(folder / f"{name}.pem")) for name in ("ca", "cert", "key")}
    pair = f"cert = {own['cert']}\nkey = {own['key']}\n"
    parts = [f"[grpc]\nca = {own['ca']}\n", *(f"[grpc.{name}]\n{pair}" for name in _GRPC)]
    parts += [f"[https.{name}]\n{pair}ca = {own['ca']}\n" for name in _HTTPS]
    parts += [f"[https.client]\nenabled = true\n{pair}ca = {own['ca']}\n"]
    _write(folder / "security.toml", "\n".join(parts).encode())


def write_certificate(folder: Path) -> None:
    """Write ``cert.pem`` and ``key.pem`` for 127.0.0.1, for servers and clients, and the authority's ``ca.pem``."""
    authority, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    root = _certificate("pgat-store authority", authority, authority=True).sign(authority, hashes.SHA256())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    leaf = _certificate("pgat-store", key, authority=False)
    leaf = leaf.add_extension(names, critical=False).add_extension(uses, critical=False)
    _write(folder / "ca.pem", root.public_bytes(Encoding.PEM))
    _write(folder / "cert.pem", leaf.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    _write(folder / "key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _certificate(name: str, key: EllipticCurvePrivateKey, *, authority: bool) -> x509.CertificateBuilder:
    """What a certificate of this name says, issued by the authority."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("pgat-store authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
