"""Finds Debian's promtool and amtool: what `make test-alerts` has unpacked, or what is on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "Makefile").is_file())
UNPACKED = ROOT / ".prometheus" / "bin"
RULES = ROOT / "deploy" / "prometheus" / "headwater-rules.yml"
ROUTES = ROOT / "deploy" / "prometheus" / "alertmanager.yml"
SAMPLE_POLICY = ROOT / "services" / "headwater" / "samples" / "policy.yaml"


def find_tool(name: str) -> str | None:
    """Return the path of a program; None where there is none."""
    return shutil.which(name, path=os.pathsep.join((str(UNPACKED), os.environ.get("PATH", ""))))


def tool(name: str) -> str:
    """Return the path of a program; the test is skipped where there is none."""
    found = find_tool(name)
    if found is None:
        pytest.skip(f"no {name}: `make test-alerts` fetches it where there is apt-get, or put it on PATH")
    return found


def run(name: str, *arguments: str) -> str:
    """Run a program; return what it says. Fails with its words."""
    done = subprocess.run(
        [tool(name), *arguments], capture_output=True, text=True, check=False, timeout=15, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def filled(query: str, connector: str = "hubspot") -> str:
    """Return a dashboard's query with Grafana's variables filled in."""
    return query.replace("$__rate_interval", "1m").replace("$connector", connector)
