"""The port `LimitBooks` over the tables of a simulation: taken over by a fence, written only under it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from tests.simulation.store.link import Link
from tests.simulation.store.tables import Tables

from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.usage import Usage, from_json, to_json


@dataclass(slots=True)
class UsageRow:
    """`sync.usage`."""

    fence: int
    windows: bytes = b"{}"
    write_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """`sync.quota`: what was written of a day, and what was reserved of it."""

    ledger: Ledger
    reserve: Reserve


class MemoryBooks:
    """The books of one connector account, as the actor of one lease may use them."""

    def __init__(self, tables: Tables, link: Link, tenant_id: str, connector: str, lease: Lease) -> None:
        self.tables = tables
        self._link = link
        self.key = (tenant_id, connector)
        self.lease = lease

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books and return them; what a predecessor had reserved of the day counts as used."""
        return await self._link.call("take_over_usage", lambda: self.take(day))

    def take(self, day: dt.date) -> tuple[Usage, Ledger]:
        """As `take_over`; inside a transaction."""
        row: UsageRow = self.tables.usage.setdefault(self.key, UsageRow(self.lease.fence))
        if row.fence > self.lease.fence:
            raise FenceLost([self.lease.name])
        row.fence = self.lease.fence
        elapsed = self.tables.now() - row.write_time if row.write_time else dt.timedelta(0)
        stored: dict[str, Any] = msgspec.json.decode(row.windows)
        return from_json(stored, elapsed // dt.timedelta(microseconds=1) * 1000), self._ledger(day)

    def _ledger(self, day: dt.date) -> Ledger:
        held: QuotaRow | None = self.tables.quota.get((*self.key, day))
        if held is None:
            return Ledger(day)
        ledger, reserve = held.ledger, held.reserve
        return replace(
            ledger,
            calls=ledger.calls + reserve.calls,
            tokens=ledger.tokens + reserve.tokens,
            vendor_used=ledger.vendor_count,
            since_told=max(reserve.calls, reserve.tokens),
        )

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write the books; calls may go only as far as they say."""
        await self._link.call("write_usage", lambda: self.put(usage, ledger, reserve))

    def put(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """As `write`; inside a transaction."""
        row: UsageRow | None = self.tables.usage.get(self.key)
        if row is None or row.fence != self.lease.fence:
            raise FenceLost([self.lease.name])
        row.windows, row.write_time = msgspec.json.encode(to_json(usage)), self.tables.now()
        self.tables.quota[(*self.key, ledger.day)] = QuotaRow(ledger, reserve)
