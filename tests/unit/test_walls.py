"""Every wall between rooms stands: one breach per contract of `.importlinter`, planted in a copy."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / ".importlinter").is_file())

BREACHES = {
    "kernel": ("kernel/breach.py", "import headwater.policy.document", {}),
    "policy": ("policy/breach.py", "import headwater.kernel.clock", {}),
    "policy-io": ("policy/breach.py", "import asyncpg", {}),
    "audit": ("audit/breach.py", "import headwater.kernel.clock", {}),
    "services": ("identity/breach.py", "import headwater.ingest.domain", {"ingest/domain.py": ""}),
    "connectors": ("connectors/acme/client.py", "import headwater.sync.domain", {"sync/domain.py": ""}),
    "vendors": ("connectors/acme/client.py", "import headwater.connectors.bolt", {"connectors/bolt.py": ""}),
    "sandbox": ("sandbox/breach.py", "import headwater.connectors.base.port", {}),
    "console": ("console/breach.py", "import headwater.policy.document", {}),
    "alerting": ("alerting/breach.py", "import headwater.cli.durations", {"cli/durations.py": ""}),
    "front": ("cli/breach.py", "import headwater.ingest.domain", {"ingest/domain.py": ""}),
    "domain": (
        "sync/domain/breach.py",
        "import headwater.sync.settings",
        {"sync/settings.py": "import headwater.sync.usecases", "sync/usecases.py": ""},
    ),
    "domain-io": (
        "sync/domain/breach.py",
        "import headwater.sync.settings",
        {"sync/settings.py": "import httpx"},
    ),
    "usecases": ("sync/usecases/breach.py", "import headwater.sync.rpc", {"sync/rpc.py": ""}),
    "usecases-io": ("sync/ports.py", "import asyncpg", {}),
    "rpc": ("sync/rpc/breach.py", "import headwater.sync.app", {"sync/app.py": ""}),
    "http": ("sync/http/breach.py", "import headwater.sync.rpc", {"sync/rpc.py": ""}),
    "store": ("sync/store/breach.py", "import headwater.sync.usecases", {"sync/usecases.py": ""}),
    "app": ("sync/settings.py", "import headwater.sync.store", {"sync/store.py": ""}),
}
"""Contract -> (module that breaks it, its import, further modules needed), under services/headwater."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def _contracts() -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    prefix = "importlinter:contract:"
    sections = [name for name in parser.sections() if name.startswith(prefix)]
    return {name.removeprefix(prefix): parser[name]["name"] for name in sections}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(text + "\n", encoding="utf-8")


def _skeleton(root: Path) -> Path:
    """Copy what the walls are about and is on every branch; rooms of services start empty."""
    source, target = ROOT / "services" / "headwater", root / "services" / "headwater"
    for room in sorted(path.name for path in source.iterdir() if (path / "__init__.py").is_file()):
        _write(target / room / "__init__.py", "")
    for room in ("kernel", "policy", "connectors/base"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / room, target / room, dirs_exist_ok=True, ignore=skip)
    for package in (target, target / "connectors"):
        (package / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", root)
    return target


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(root / "services"), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [str(linter), "--no-cache"]
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=50
    )


FRONT_ROOMS = ("cli", "client", "load", "samples")
"""Rooms that the front contract walls in together: each is tried, a list of modules is easily too short."""


def test_every_contract_has_a_planted_breach() -> None:
    """A contract that nobody has seen fail is not known to hold anything."""
    assert set(BREACHES) == set(_contracts())


def test_every_room_stands_behind_a_wall() -> None:
    """A new room under services/headwater is the subject of a contract before it is merged."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    walled = " ".join(parser[name].get("source_modules", "") for name in parser.sections()).split()
    entries = list((ROOT / "services" / "headwater").iterdir())
    packages = {f"headwater.{path.name}" for path in entries if (path / "__init__.py").is_file()}
    modules = {f"headwater.{path.stem}" for path in entries if path.suffix == ".py"} - {"headwater.__init__"}
    unwalled = {name for name in packages if not {name, f"{name}.*"} & set(walled)} | (modules - set(walled))
    assert not unwalled


def test_the_tree_as_it_is_keeps_every_contract() -> None:
    """No import in the repository crosses a wall."""
    run = _lint(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_tree_without_breach_keeps_every_contract(tmp_path: Path) -> None:
    """The copy that breaches are planted in is sound before."""
    _skeleton(tmp_path)
    run = _lint(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("contract", sorted(BREACHES))
def test_a_planted_breach_breaks_its_contract(contract: str, tmp_path: Path) -> None:
    """The contract reports the breach that was planted for it."""
    package = _skeleton(tmp_path)
    module, statement, needed = BREACHES[contract]
    for path, text in needed.items():
        _write(package / path, text)
    _write(package / module, statement)
    run = _lint(tmp_path)
    assert run.returncode != 0
    assert f"{_contracts()[contract]} BROKEN" in " ".join(run.stdout.split()), run.stdout + run.stderr


@pytest.mark.parametrize("room", FRONT_ROOMS)
def test_every_room_of_the_front_is_held_by_its_contract(room: str, tmp_path: Path) -> None:
    """Each room that speaks to services from outside is told when it imports a service's inside."""
    package = _skeleton(tmp_path)
    _write(package / "ingest/domain.py", "")
    _write(package / room / "breach.py", "import headwater.ingest.domain")
    run = _lint(tmp_path)
    assert f"{_contracts()['front']} BROKEN" in " ".join(run.stdout.split()), run.stdout + run.stderr
