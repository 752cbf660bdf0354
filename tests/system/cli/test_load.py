"""`headwater load --stack`: a database and ingest of its own, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path that Postgres's account may enter."""
    made = Path(tempfile.mkdtemp(prefix="headwater-throwaway-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_a_throwaway_stack_is_measured_and_leaves_nothing(directory: Path) -> None:
    """Every event accounted for, the processes known by name with their CPU and memory, all of it gone at the end."""
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
        "TMPDIR": str(directory),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADWATER_DATA_DIR": str(directory / "data"),
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
    assert list(directory.glob("headwater-load-*")) == []
    left = [
        item.info
        for item in psutil.process_iter(["pid", "cmdline"])
        if str(directory) in " ".join(item.info["cmdline"] or [])
    ]
    assert left == []
