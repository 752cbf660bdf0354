"""Judging the settings that decide whether an acknowledged write survives."""

from __future__ import annotations

import pytest

from headwater.kernel.pg.durability import DurabilityFinding, judge

GOOD = [("fsync", "on", "on"), ("full_page_writes", "on", "on"), ("synchronous_commit", "on", "on")]


def test_nothing_is_found_when_all_is_on() -> None:
    """The defaults of Postgres are durable."""
    assert judge(GOOD) == ()


@pytest.mark.parametrize("level", ["local", "remote_write", "remote_apply"])
def test_any_level_that_flushes_locally_will_do(level: str) -> None:
    """Synchronous replication levels flush the local log too."""
    assert judge([("synchronous_commit", level, level)]) == ()


def test_session_and_system_are_told_apart() -> None:
    """A session that is worse than the system is found as such, and the other way round."""
    assert judge([("synchronous_commit", "off", "on"), ("fsync", "on", "off")]) == (
        DurabilityFinding("synchronous_commit", "session", "off", "on"),
        DurabilityFinding("fsync", "system", "off", "on"),
    )


def test_finding_says_what_is_and_what_should_be() -> None:
    """The message names setting, value, scope and remedy."""
    (finding,) = judge([("full_page_writes", "on", "off")])
    assert str(finding) == "full_page_writes is off (system), it should be on"
