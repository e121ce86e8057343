"""The bill of materials of an image and its lock: sbom.py NAME DPKG_STATUS [ENVIRONMENT]

The bill is CycloneDX 1.6 JSON: every installed Python distribution and Debian package with version and license.
Both files go to /build/share. ENVIRONMENT: one more that goes into the image, beside /opt/pgat. The same image gives
the same files: they hold no date and no random serial number. Standard library only; runs inside the build.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

ENVIRONMENT = Path("/opt/pgat")
APP = ENVIRONMENT / "app"
SHARE = Path("/build/share")
SUPPLIER = "celestial-enhanced-pgat"


def main() -> None:
    """Write both files."""
    name, status = sys.argv[1], Path(sys.argv[2])
    environments = [*map(Path, sys.argv[3:]), ENVIRONMENT]
    lock = "".join((each / "share/requirements.lock").read_text(encoding="utf-8") for each in environments)
    parts = [*debian_parts(status.read_text(encoding="utf-8"))]
    for each in environments:
        parts += python_parts(next(each.glob("lib/python3*/site-packages")))
    parts.sort(key=lambda part: str(part["bom-ref"]))
    root = {
        "type": "application",
        "bom-ref": f"pgat-{name}",
        "name": f"pgat-{name}",
        "version": content_digest(lock),
    }
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": parts,
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    SHARE.mkdir()
    text = json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False)
    (SHARE / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")
    (SHARE / "requirements.lock").write_text(lock, encoding="utf-8")


def python_parts(site: Path) -> Iterator[dict[str, object]]:
    """The distributions in ``site``."""
    for found in metadata.distributions(path=[str(site)]):
        name = found.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        reference = f"pkg:pypi/{name}@{quote(found.version)}"
        part: dict[str, object] = {
            "type": "library",
            "bom-ref": reference,
            "purl": reference,
            "name": name,
            "version": found.version,
        }
        if license := _licence(found.metadata):
            part["licenses"] = [license]
        yield part


def debian_parts(status: str) -> Iterator[dict[str, object]]:
    """The packages of dpkg's status file that are installed."""
    for block in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" ")
        )
        if fields.get("Status") != "install ok installed":
            continue
        name, version = fields["Package"], fields["Version"]
        reference = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}"
        yield {
            "type": "library",
            "bom-ref": reference,
            "purl": reference,
            "name": name,
            "version": version,
        }


def content_digest(lock: str) -> str:
    """What stands for a version of the image: a digest of its lock and of this project's sources in it."""
    digest = hashlib.sha256(lock.encode())
    for path in sorted(APP.rglob("*.py")):
        digest.update(path.relative_to(APP).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _licence(fields: metadata.PackageMetadata) -> dict[str, object] | None:
    """The license as the package states it: an SPDX expression, or the first line of what it says."""
    if "License-Expression" in fields:
        return {"expression": fields["License-Expression"]}
    if said := (fields.get_all("License") or [""])[0].strip():
        return {"license": {"name": said.splitlines()[0][:120]}}
    classifiers = [each for each in fields.get_all("Classifier") or [] if each.startswith("License ::")]
    return {"license": {"name": classifiers[0].rpartition(" :: ")[2]}} if classifiers else None


if __name__ == "__main__":
    main()
