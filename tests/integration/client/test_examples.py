"""The programs that the README shows run as they stand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest
from tests.doubles.fake_ingest import FakeIngest, serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
HERE = Path(__file__).resolve().parent
SERVICES = HERE.parents[2] / "services"


@pytest.mark.parametrize(
    ("program", "said"), [("readme_async.py", "1 1"), ("readme_blocking.py", "1000 recorded")]
)
async def test_an_example_records_its_events(program: str, said: str) -> None:
    """As a process of its own, with nothing but an address."""
    fake = FakeIngest()
    async with serving(fake) as address:
        done = await anyio.run_process(
            [sys.executable, str(HERE / program), address], env={**os.environ, "PYTHONPATH": str(SERVICES)}
        )
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("Accepted(event_key=")
    assert lines[-1] == said
    assert len(fake.ledger) == 1_000


def test_the_readme_shows_the_asynchronous_example() -> None:
    """Word for word, but for its first two lines."""
    program = (HERE / "readme_async.py").read_text(encoding="utf-8").split("\n", 2)[2].strip()
    assert program in (HERE.parents[2] / "README.md").read_text(encoding="utf-8")
