"""A connector of somebody else's package: found by its entry point, listed, tested, without touching ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SCAFFOLD_NAMES = ("ab", "a_very_long_name_of_a_connector")


def run(*words: str, place: Path, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a program of this Python with Headwater, and *path* before it."""
    paths = os.pathsep.join([*map(str, path), str(ROOT / "services")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=place,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


def install(site: Path, package: str, entry: str, body: str, version: str = "1.2") -> None:
    """Lay a package and its metadata into a folder, as an installer does."""
    site.mkdir(exist_ok=True)
    (site / f"{package}.py").write_text(body)
    info = site / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[headwater.connectors]\n{entry}\n")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A connector that was just made."""
    done = run("headwater.cli", "connector", "new", "acme", "--into", "made", place=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "made"


@pytest.mark.timeout(60)
def test_a_new_connector_passes_its_tests_lint_and_types_as_it_is(made: Path) -> None:
    """The conformance suite, which writes its evidence; then ruff and mypy with the package's own settings."""
    tests = run("pytest", "-q", "--evidence", "write", "-p", "no:cacheprovider", place=made)
    assert tests.returncode == 0, tests.stdout
    evidence = json.loads((made / "headwater_acme/evidence.json").read_text())
    assert set(evidence["upsert"]) == {"own sandbox only"}
    again = run("pytest", "-q", "-p", "no:cacheprovider", place=made)
    assert again.returncode == 0, again.stdout
    for words in (("check", "--no-cache", "."), ("format", "--no-cache", "--check", ".")):
        done = run("ruff", *words, place=made)
        assert done.returncode == 0, done.stdout
    options = ("--explicit-package-bases", "--namespace-packages", "--follow-imports=silent")
    types = run("mypy", *options, "headwater_acme", place=made)
    assert types.returncode == 0, types.stdout


def test_evidence_that_is_not_what_ran_fails_the_run(made: Path) -> None:
    """Whoever writes the file by hand is told; a single test says nothing about the whole."""
    assert run("pytest", "-q", "--evidence", "write", "-p", "no:cacheprovider", place=made).returncode == 0
    file = made / "headwater_acme/evidence.json"
    file.write_text(file.read_text().replace("own sandbox only", "real server"))
    done = run("pytest", "-q", "-p", "no:cacheprovider", place=made)
    assert (done.returncode, "differs from what ran" in done.stdout) == (1, True)
    one = "tests/test_conformance.py::TestAcme::test_look_up_takes_any_external_id"
    assert run("pytest", "-q", "-p", "no:cacheprovider", one, place=made).returncode == 0


@pytest.mark.parametrize("name", SCAFFOLD_NAMES)
def test_a_new_connector_is_formatted_whatever_its_name(tmp_path: Path, name: str) -> None:
    """Short and long names make lines short and long."""
    run("headwater.cli", "connector", "new", name, "--into", "made", place=tmp_path)
    done = run("ruff", "format", "--no-cache", "--check", ".", place=tmp_path / "made")
    assert done.returncode == 0, done.stdout
    assert run("ruff", "check", "--no-cache", ".", place=tmp_path / "made").returncode == 0


def test_an_installed_package_is_listed_beside_ours_with_its_evidence(made: Path, tmp_path: Path) -> None:
    """Entry point and metadata in a folder of their own: found, loaded, its evidence read."""
    run("pytest", "-q", "--evidence", "write", "-p", "no:cacheprovider", place=made)
    site = tmp_path / "site"
    install(site, "acme_shim", "acme = headwater_acme:VENDOR", "")
    done = run("headwater.cli", "connectors", "list", "--json", place=tmp_path, path=(site, made))
    listed = {item["connector"]: item for item in json.loads(done.stdout)["connectors"]}
    assert {"acme", "hubspot", "salesforce"} <= set(listed)
    assert (listed["acme"]["package"], listed["acme"]["level"]) == ("acme_shim 1.2", "own sandbox only")
    assert listed["hubspot"]["evidence"]["recorded"]


def test_a_broken_package_is_named_and_hides_nobody(tmp_path: Path) -> None:
    """One that cannot be imported, one that is no vendor, one under another name: each with its reason."""
    site = tmp_path / "site"
    install(site, "breaks", "breaks = breaks:VENDOR", "raise RuntimeError('half installed')")
    install(site, "nothing", "nothing = nothing:VENDOR", "VENDOR = object()")
    install(site, "liar", "liar = liar:VENDOR", "from headwater.connectors.hubspot import VENDOR")
    done = run("headwater.cli", "connectors", "list", "--json", place=tmp_path, path=(site,))
    faults = {item["connector"]: item["fault"] for item in json.loads(done.stdout)["connectors"]}
    assert "half installed" in faults["breaks"]
    assert "lacks" in faults["nothing"]
    assert "'hubspot'" in faults["liar"]
    assert faults["salesforce"] == ""


def test_a_folder_that_is_there_is_never_written_into(tmp_path: Path) -> None:
    """Names that cannot be packages are refused, too."""
    (tmp_path / "made").mkdir()
    there = run("headwater.cli", "connector", "new", "acme", "--into", "made", place=tmp_path)
    assert (there.returncode, list((tmp_path / "made").iterdir())) == (1, [])
    assert run("headwater.cli", "connector", "new", "../up", place=tmp_path).returncode == 1
    assert run("headwater.cli", "connector", "new", "hubspot", place=tmp_path).returncode == 1
