"""The whole product, as a user meets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.cli.stack.control import stop_stack
from headwater.cli.stack.layout import Layout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that PostgreSQL's account may enter; ended and removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-run-"))
    directory.chmod(0o755)
    yield directory
    stop_stack(Layout(directory))
    shutil.rmtree(directory, ignore_errors=True)


def _headwater(data_dir: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "HEADWATER_DATA_DIR": str(data_dir)}
    environment.pop("HEADWATER_DATABASE_URL", None)
    command = [sys.executable, "-m", "headwater.cli", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_an_interrupted_run_is_finished_by_the_next_and_everything_is_explained(data_dir: Path) -> None:
    """Killed while it works, run again: the same tenant, nothing unexplained, and the stack is down at the end."""
    first = _headwater(data_dir, "run", "--json")
    checkpoints = data_dir / "checkpoints"
    while first.poll() is None and not (checkpoints.is_dir() and any(checkpoints.glob("*.json"))):
        os.sched_yield()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = _headwater(data_dir, "run", "--json", "--deadline", "200")
    said, errors = second.communicate()
    summary = json.loads(said)
    assert second.returncode == 0, (summary.get("gaps"), errors)
    assert summary["unexplained"] == 0
    assert summary["tenant_id"] == "run-1"
    assert sum(summary["events"]["sent"].values()) == 85 + 2002 + 150 + 150 + 400 + 300
    assert all(crm["delivered"] == crm["held"] > 2000 for crm in summary["crm_records"].values())
