"""`headwater load --stack`: a database and ingest of its own, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_throwaway_stack_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    """Every event accounted for, the processes known by name with their CPU and memory, all of it gone at the end."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    words = (
        "load",
        "--stack",
        "--verify",
        "--duration",
        "2",
        "--warm-up",
        "1",
        "--processes",
        "2",
        "--json",
        "-",
    )
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADWATER_DATA_DIR": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "headwater.cli", *words],
        capture_output=True,
        env=environment,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["verification"]["passed"]
    assert set(found["resources"]) == {"load", "ingest", "postgres"}
    assert all(used["cpu_us_per_event"] > 0 for used in found["resources"].values())
    assert list(tmp_path.glob("headwater-load-*")) == []
    left = [
        item.info
        for item in psutil.process_iter(["pid", "cmdline"])
        if str(tmp_path) in " ".join(item.info["cmdline"] or [])
    ]
    assert left == []
