"""The relay: what is sent, what waits, and how long."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.domain.merging import Actor, Change
from headwater.identity.event_log import event_of
from headwater.identity.ports import DueChange
from headwater.identity.usecases.relay import Bell, Relay, RelaySettings, backoff_s
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio

SETTINGS = RelaySettings()


def change(number: int) -> Change:
    """Make a change."""
    return Change(
        uuid.UUID(int=number),
        uuid.UUID(int=100),
        b"{}",
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        Actor(1, "reviewer", ""),
    )


@dataclass
class FakeOutbox:
    """An outbox in memory."""

    due: list[DueChange]
    sent: list[uuid.UUID] = field(default_factory=list)
    postponed: dict[uuid.UUID, dt.datetime] = field(default_factory=dict)

    async def list_due(self, now: dt.datetime, rows_max: int) -> Sequence[DueChange]:
        return [
            one
            for one in self.due
            if one.change.change_id not in self.sent and self.postponed.get(one.change.change_id, now) <= now
        ][:rows_max]

    async def mark_sent(self, tenant_id: TenantId, changes: Sequence[uuid.UUID], now: dt.datetime) -> None:  # noqa: ARG002
        self.sent.extend(changes)

    async def postpone(self, tenant_id: TenantId, change_id: uuid.UUID, until: dt.datetime) -> None:  # noqa: ARG002
        self.postponed[change_id] = until


@dataclass
class FakeLog:
    """A log that refuses what it is told to, or cannot be reached."""

    refused: frozenset[uuid.UUID] = frozenset()
    down: bool = False
    calls: list[tuple[str, int]] = field(default_factory=list)

    async def record(self, tenant_id: TenantId, changes: Sequence[Change]) -> Sequence[str]:
        if self.down:
            raise Unavailable("down")
        self.calls.append((tenant_id, len(changes)))
        return ["REFUSED" if one.change_id in self.refused else "" for one in changes]


def relay(outbox: FakeOutbox, log: FakeLog, clock: SteppedClock) -> tuple[Relay, Bell]:
    """Wire a relay."""
    bell = Bell()
    return Relay(outbox, log, clock, bell, random.Random(7)), bell


def due(tenant: str, number: int) -> DueChange:
    """Make a due change of a tenant."""
    return DueChange(TenantId(tenant), change(number), 0)


async def test_changes_are_sent_in_one_call_per_tenant() -> None:
    """And noted as sent once the log has them."""
    outbox, log = FakeOutbox([due("a", 1), due("a", 2), due("b", 3)]), FakeLog()
    sender, bell = relay(outbox, log, SteppedClock())
    assert await sender.relay_due() == 3
    assert log.calls == [("a", 2), ("b", 1)]
    assert len(outbox.sent) == 3
    bell.close()


async def test_a_refused_change_waits_and_holds_up_nobody() -> None:
    """It is tried again later, not at once."""
    outbox, log, clock = (
        FakeOutbox([due("a", 1), due("a", 2)]),
        FakeLog(frozenset({uuid.UUID(int=1)})),
        SteppedClock(),
    )
    sender, bell = relay(outbox, log, clock)
    assert await sender.relay_due() == 1
    assert await sender.relay_due() == 0
    clock.advance(60)
    log.refused = frozenset()
    assert await sender.relay_due() == 1
    bell.close()


async def test_nothing_is_noted_when_the_log_is_down() -> None:
    """An unreachable log leaves everything as it was."""
    outbox = FakeOutbox([due("a", 1)])
    sender, bell = relay(outbox, FakeLog(down=True), SteppedClock())
    with pytest.raises(Unavailable):
        await sender.relay_due()
    assert not outbox.sent
    assert not outbox.postponed
    bell.close()


async def test_rings_that_come_while_it_works_count_as_one() -> None:
    """Notifying never waits, and one wait answers for all."""
    bell = Bell()
    for _ in range(3):
        bell.notify()
    await bell.wait(5)
    bell.close()


@given(st.integers(0, 10_000), st.integers())
def test_waits_are_bounded(failures: int, seed: int) -> None:
    """However often it failed, the wait stays between a floor and the cap."""
    wait_s = backoff_s(failures, SETTINGS, random.Random(seed))
    assert SETTINGS.backoff_base_s / 2 <= wait_s <= SETTINGS.backoff_max_s


def test_a_change_gives_the_same_bytes_every_time() -> None:
    """The log may see a second sending as what it is: a duplicate."""
    first, second = (event_of(change(1)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert event_of(change(1)).request_id == f"identity:{uuid.UUID(int=1)}"
