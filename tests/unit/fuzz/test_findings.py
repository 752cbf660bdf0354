"""Findings as files, and made smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fuzz.findings import Finding, load, smaller, write
from tests.fuzz.running import log_faults

pytestmark = pytest.mark.anyio


def test_a_finding_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The file holds all that a replay needs."""
    finding = Finding("RecordEvent", b"\xff\x00", "INTERNAL: x")
    assert load(write(finding, tmp_path)) == finding


async def test_a_finding_is_made_as_small_as_it_still_fails() -> None:
    """Only what the failure needs is left."""

    async def fails(wire: bytes) -> bool:
        return b"ab" in wire and b"z" in wire

    assert await smaller(b"x" * 100 + b"ab" + b"y" * 55 + b"z" + b"w" * 20, fails) == b"abz"


def test_log_lines_of_level_error_and_lines_that_are_none_are_faults() -> None:
    """A healthy log is quiet; a traceback of the interpreter is no log line."""
    lines = ['{"level":"info","message":"x"}', '{"level":"error","message":"y"}', "Traceback", ""]
    assert len(log_faults(lines)) == 2
