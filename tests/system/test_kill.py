"""SIGKILL of any process at random instants loses nothing acknowledged and doubles nothing in a CRM."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest
from tests.system.chaos.observing import observe
from tests.system.chaos.oracles import judge, nothing_lost
from tests.system.chaos.running import PATIENT, disturb, tell
from tests.system.chaos.stack import POSTGRES, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KILLS = 10
SETTLE_S = 60.0
"""Twice the longest pause before an actor that has failed is started again."""


def _survive(victims: Sequence[str]) -> None:
    """Kill each of *victims* under load, wait until all is settled, and hold everything to the oracles."""
    with running_stack() as stack:
        tenant = stack.world.tenant(**PATIENT)
        run = disturb(stack, tenant, victims)
        assert stack.fallen() == [], stack.world.logs()
        tenant.wait_until_settled(SETTLE_S)
        history = observe(stack, tenant)
    violations = judge(run.journal, history)
    sys.stdout.write(tell(run, history, []) + "\n")
    assert violations == [], tell(run, history, violations)
    assert len(run.strikes.instants) == len(victims)


@pytest.mark.parametrize("victim", ["ingest", "sync", POSTGRES])
def test_nothing_is_lost_or_doubled_when_it_is_killed(victim: str) -> None:
    """Ten kills of one process, at random instants under load, leave log, entities, audit and CRMs exact."""
    _survive([victim] * KILLS)


def test_nothing_is_lost_or_doubled_when_identity_the_crms_or_the_console_are_killed() -> None:
    """Ten kills of identity, two of the CRMs and two of the console leave everything exact."""
    _survive(["identity"] * KILLS + ["sandbox"] * 2 + ["console"] * 2)


@pytest.mark.skipif(
    "HEADWATER_TEST_LOSSY" not in os.environ, reason="a control by chance: HEADWATER_TEST_LOSSY=1"
)
def test_acknowledged_events_are_lost_when_commits_are_asynchronous() -> None:
    """The control: the same kills of a Postgres that acknowledges before the disk has it are found out."""
    override = {"HEADWATER_DURABILITY_OVERRIDE": "true"}
    with running_stack({"synchronous_commit": "off"}, override) as stack:
        tenant = stack.world.tenant(**PATIENT)
        run = disturb(stack, tenant, [POSTGRES] * KILLS)
        history = observe(stack, tenant)
    lost = list(nothing_lost(run.journal, history))
    sys.stdout.write(tell(run, history, lost) + "\n")
    assert lost
