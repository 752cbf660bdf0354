"""A small version of `make load-kill`: two kills and a control; the whole one is a make target."""

from __future__ import annotations

import anyio
import pytest
from tests.load.ingest.kill import CONTROL_POSTGRES, CONTROL_SERVICE, Plan, Run, torment

EVENTS = 20_000
CONTROL_EVENTS = 8_000
SEED = 20_261_121


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_nothing_is_lost_or_doubled_when_server_and_postgres_are_killed() -> None:
    """Every acknowledged event is in the log once, with a fifth of what was sent sent before."""
    run: Run = anyio.run(torment, Plan(EVENTS, SEED, ["server", "postgres"]), "killing")
    assert run.verdict.sound, run.verdict
    assert run.answers >= EVENTS * 0.95
    assert [victim for _, victim in run.kills] == ["server", "postgres"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_control_without_synchronous_commit_is_caught_losing() -> None:
    """The same oracle sees the loss that a Postgres that answers before its flush brings."""
    plan = Plan(CONTROL_EVENTS, SEED, ["postgres"], CONTROL_POSTGRES, CONTROL_SERVICE)
    run: Run = anyio.run(torment, plan, "control")
    assert run.verdict.lost > 0, run.verdict
