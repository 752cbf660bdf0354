"""The port `LimitBooks` over the tables of a simulation: taken over by a fence, written only under it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.usage import Usage, from_json, to_json
from tests.simulation.store.link import Link
from tests.simulation.store.tables import Tables


@dataclass(slots=True)
class UsageRow:
    """`sync.usage`."""

    fence: int
    windows: bytes = b"{}"
    write_time: dt.datetime | None = None


@dataclass(slots=True)
class QuotaRow:
    """`sync.quota`: what was written of a day, and what was reserved of it."""

    ledger: Ledger
    reserved_calls: int = 0
    reserved_tokens: int = 0


@dataclass(slots=True)
class Shelf:
    """The books of all accounts."""

    usage: dict[tuple[str, str], UsageRow] = field(default_factory=dict)
    quota: dict[tuple[str, str, dt.date], QuotaRow] = field(default_factory=dict)


class MemoryBooks:
    """The books of one connector account, as the actor of one lease may use them."""

    def __init__(
        self, tables: Tables, shelf: Shelf, link: Link, tenant_id: str, connector: str, lease: Lease
    ) -> None:
        self._tables = tables
        self._shelf = shelf
        self._link = link
        self._key = (tenant_id, connector)
        self._lease = lease

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books and return them; what a predecessor had reserved of the day counts as used."""
        return await self._link.call("take_over_usage", lambda: self._take_over(day))

    def _take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        row = self._shelf.usage.setdefault(self._key, UsageRow(self._lease.fence))
        if row.fence > self._lease.fence:
            raise FenceLost([self._lease.name])
        row.fence = self._lease.fence
        elapsed = self._tables.now() - row.write_time if row.write_time else dt.timedelta(0)
        stored: dict[str, Any] = msgspec.json.decode(row.windows)
        return from_json(stored, elapsed // dt.timedelta(microseconds=1) * 1000), self._ledger(day)

    def _ledger(self, day: dt.date) -> Ledger:
        held = self._shelf.quota.get((*self._key, day))
        if held is None:
            return Ledger(day=day)
        return replace(
            held.ledger,
            calls=held.ledger.calls + held.reserved_calls,
            tokens=held.ledger.tokens + held.reserved_tokens,
            since_told=max(held.reserved_calls, held.reserved_tokens),
        )

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write the books; calls may go only as far as they say."""
        await self._link.call("write_usage", lambda: self._write(usage, ledger, reserve))

    def _write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        row = self._shelf.usage.get(self._key)
        if row is None or row.fence != self._lease.fence:
            raise FenceLost([self._lease.name])
        row.windows, row.write_time = msgspec.json.encode(to_json(usage)), self._tables.now()
        self._shelf.quota[(*self._key, ledger.day)] = QuotaRow(ledger, reserve.calls, reserve.tokens)
