"""A small version of `make load-limits`: processes hand an account over, against a sandbox that counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.load.sync.limit_worker import Plan
from tests.load.sync.limits import run_part, use_of

SECONDS = 15
USE_MIN = 0.85
"""Less than the full run's goal: in a window this narrow a busy machine's slow answers weigh more."""


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox of the test's own."""
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


def plan(dsn: str, sandbox: SandboxProcess) -> Plan:
    """Thirty calls in three seconds, a hand-over every one or two."""
    return Plan(dsn, sandbox.url, "handover", 30, 3.0, (0.3, 1.5), 10.0, 8, 0.0, 1)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_processes_that_hand_over_use_the_whole_limit_and_no_more(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Not one call is turned away by the vendor, and nearly all that it allows are made."""
    usual = plan(migrated_database_url, sandbox)
    report = run_part(sandbox, usual, SECONDS)
    assert report["limited"] == 0
    assert report["tokens"] > 2, "the lease changed hands"
    assert use_of(report, usual) >= USE_MIN


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_processes_that_end_without_a_word_exceed_nothing(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """A successor takes what may have gone for gone."""
    crashing = replace(plan(migrated_database_url, sandbox), crash=1.0, lease_ttl_s=4.0)
    report = run_part(sandbox, crashing, SECONDS)
    assert report["ended"] > 0
    assert report["limited"] == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_control_without_books_is_turned_away(migrated_database_url: str, sandbox: SandboxProcess) -> None:
    """The same run sees what is exceeded when a successor begins with empty windows.

    Each holder makes about 25 of the 30 calls; the next one's first burst goes before the vendor's answers can warn it.
    """
    forgetful = replace(plan(migrated_database_url, sandbox), safe=False, hold_s=(0.65, 0.8))
    report = run_part(sandbox, forgetful, SECONDS)
    assert report["limited"] > 0
