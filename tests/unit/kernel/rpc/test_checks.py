"""What requests hold is read by one hand: a moment beyond the calendar is the caller's fault, never ours."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import headwater
from headwater.kernel.errors import InvalidInput
from headwater.kernel.rpc.checks import Checks

SERVICES = ("identity", "ingest", "sync")
ROOT = Path(headwater.__file__).parent


@pytest.mark.parametrize("seconds", [-(2**63), -62_135_596_801, 253_402_300_800, 2**63 - 1])
def test_a_moment_that_no_calendar_has_is_named(seconds: int) -> None:
    """Before the year 1, after the year 9999."""
    checks = Checks()
    assert checks.moment("since_time", Timestamp(seconds=seconds)) is None
    with pytest.raises(InvalidInput) as refused:
        checks.finish()
    assert "since_time" in str(refused.value)


def test_a_moment_is_read_in_utc() -> None:
    """The edges of the calendar too."""
    checks = Checks()
    assert checks.moment("since_time", Timestamp(seconds=-62_135_596_800)) == dt.datetime.min.replace(
        tzinfo=dt.UTC
    )
    checks.finish()


def test_services_read_moments_by_these_checks_alone() -> None:
    """Whoever calls protobuf's own conversion answers a far moment with INTERNAL."""
    own = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for service in SERVICES
        for path in sorted((ROOT / service / "rpc").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("ToDatetime")
    ]
    assert own == []
