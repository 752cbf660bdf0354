"""A service does not start on a Postgres that may lose what it acknowledges."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.system.chaos.stack import own_postgres
from tests.system.processes import SERVICES

from headwater.kernel.errors import StartRefused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

START_S_MAX = 30.0


@pytest.fixture(scope="module")
def lossy_url() -> Iterator[str]:
    """URL of a migrated database whose commits are acknowledged before they are on disk."""
    with own_postgres({"synchronous_commit": "off"}) as (_, url, _directory):
        yield url


@pytest.mark.parametrize("service", ["ingest", "identity", "sync"])
def test_start_is_refused_when_commits_are_asynchronous(service: str, lossy_url: str) -> None:
    """Without the override the process ends at once, saying which setting is at fault."""
    variable = f"HEADWATER_{service.upper()}_ADDRESS"
    environment = {**os.environ, "HEADWATER_DATABASE_URL": lossy_url, variable: "127.0.0.1:0"}
    environment.pop("HEADWATER_DURABILITY_OVERRIDE", None)
    ended = subprocess.run(
        [sys.executable, "-m", f"headwater.{service}"],
        env={**environment, "PYTHONPATH": str(SERVICES)},
        capture_output=True,
        text=True,
        timeout=START_S_MAX,
        check=False,
    )
    assert ended.returncode == StartRefused.exit_code
    assert "synchronous_commit is off" in ended.stderr
