"""Warnings of what ends: 7 days and 1 day ahead, each once; renewal where it can be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT, policy

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Expiry, VendorError
from headwater.connectors.base.expiring import credential_expiries
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import InvalidInput
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.expiring import is_news, level
from headwater.sync.domain.leasing import Lease
from headwater.sync.scheduling.expiring import ExpiryWatch
from headwater.sync.scheduling.ports import Warned

DAY_S = 86_400.0


def in_days(days: float) -> dt.datetime:
    """Return the moment *days* after noon."""
    return NOON + dt.timedelta(days=days)


def test_warnings_come_seven_days_and_one_day_ahead_and_at_the_end() -> None:
    """The nearest that is due; none before."""
    found = [level(in_days(days), NOON) for days in (30, 7.01, 7, 1.5, 1, 0.1, 0, -3)]
    assert found == [None, None, 7, 7, 1, 1, 0, 0]


def test_each_warning_is_given_once() -> None:
    """A nearer one is news, the same and a further one are not."""
    assert is_news(7, None)
    assert is_news(1, 7)
    assert is_news(0, 1)
    assert not is_news(7, 7)
    assert not is_news(7, 1)
    assert not is_news(None, 7)


def test_credentials_state_their_own_end() -> None:
    """By a part of the name and `_expire_time`; a time without its offset is refused."""
    stated = {"refresh_token": "x", "refresh_token_expire_time": "2026-03-08T12:00:00Z"}
    assert credential_expiries("crm", stated) == (Expiry("token", "refresh_token", in_days(7)),)
    with pytest.raises(InvalidInput, match="refresh_token_expire_time"):
        credential_expiries("crm", {"refresh_token_expire_time": "2026-03-08T12:00:00"})


@dataclass
class Memory:
    """A calendar in memory."""

    held: list[Warned] = field(default_factory=list)

    async def read(self, tenant_id: str, connector: str) -> Sequence[Warned]:
        """Return what was written last."""
        del tenant_id, connector
        return self.held

    async def write(
        self, lease: Lease, tenant_id: str, connector: str, held: Sequence[Warned], now: dt.datetime
    ) -> None:
        """Keep."""
        del lease, tenant_id, connector, now
        self.held = list(held)


@dataclass
class Holder:
    """A connector whose subscription can be renewed, or not."""

    expiry: Expiry
    refuses: bool = False
    renewals: int = 0

    async def aclose(self) -> None:
        """Nothing to close."""

    async def expiries(self) -> Sequence[Expiry]:
        """Return the one."""
        return [self.expiry]

    async def renew(self, expiry: Expiry) -> Expiry:
        """Put it off by ten days."""
        self.renewals += 1
        if self.refuses:
            raise CallFailed(VendorError(ErrorClass.PERMISSION, "NO", "not allowed"))
        self.expiry = replace(expiry, expire_time=expiry.expire_time + dt.timedelta(days=10))
        return self.expiry


def account_of(connector: Any) -> RunningAccount:
    """Return an account with *connector*."""

    async def connect() -> Connector:
        return cast("Connector", connector)

    return RunningAccount(TENANT, "hubspot", policy(), Lease("connector/acme/hubspot", 1), connect, unguarded)


@pytest.mark.anyio
async def test_a_token_is_warned_of_at_each_level_once() -> None:
    """Looked at every hour for ten days: three warnings, kept with their time."""
    clock, memory = SteppedClock(NOON), Memory()
    watch, account = (
        ExpiryWatch(memory, clock),
        account_of(Holder(Expiry("token", "refresh_token", in_days(9)))),
    )
    given: list[tuple[int | None, dt.datetime | None]] = []
    for _ in range(10 * 24):
        await watch.run(account)
        [kept] = memory.held
        if not given or given[-1] != (kept.warned_days, kept.warn_time):
            given.append((kept.warned_days, kept.warn_time))
        clock.advance(3600)
    assert [days for days, _ in given] == [None, 7, 1, 0]
    assert [time for _, time in given[1:]] == [in_days(2), in_days(8), in_days(9)]


@pytest.mark.anyio
async def test_a_subscription_is_renewed_the_day_before_and_not_warned_of_again() -> None:
    """The warning of a week ahead is forgotten with the old end."""
    clock, memory = SteppedClock(NOON), Memory()
    holder = Holder(Expiry("subscription", "s-1", in_days(2), renewable=True))
    watch, account = ExpiryWatch(memory, clock), account_of(holder)
    await watch.run(account)
    assert (memory.held[0].warned_days, holder.renewals) == (7, 0)
    clock.advance(1.5 * DAY_S)
    await watch.run(account)
    assert (memory.held[0].warned_days, memory.held[0].expiry.expire_time) == (None, in_days(12))


@pytest.mark.anyio
async def test_a_renewal_that_fails_is_told_and_warned_of() -> None:
    """With the vendor's words, and tried again at the next look."""
    clock, memory = SteppedClock(NOON), Memory()
    holder = Holder(Expiry("watch", "w-1", in_days(0.5), renewable=True), refuses=True)
    watch, account = ExpiryWatch(memory, clock), account_of(holder)
    await watch.run(account)
    await watch.run(account)
    assert holder.renewals == 2
    assert memory.held[0].warned_days == 1
    assert "not allowed" in memory.held[0].finding
