"""The port `Deliveries` over the tables of a simulation, seen from one process under one lease."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from headwater.sync.domain.breaker import BreakerState
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.settling import ConnectorState, Settlement
from headwater.sync.domain.turns import Turn, Wanted
from tests.simulation.store.claiming import claimed_of, due_rows, journal, next_due_s, put_in_doubt
from tests.simulation.store.link import Link
from tests.simulation.store.settling import settle
from tests.simulation.store.tables import Tables

T = TypeVar("T")


class MemoryDeliveries:
    """The tables of one connector account, as the actor of one lease may use them."""

    def __init__(self, tables: Tables, link: Link, tenant_id: str, connector: str, lease: Lease) -> None:
        self._tables = tables
        self._link = link
        self._key = (tenant_id, connector)
        self._lease = lease

    async def _fenced(self, name: str, apply: Callable[[], T]) -> T:
        def transaction() -> T:
            self._check_fence()
            return apply()

        return await self._link.call(name, transaction)

    def _check_fence(self) -> None:
        if not self._tables.holds(self._lease.name, self._lease.fence):
            raise FenceLost([self._lease.name])

    async def take_over(self) -> None:
        """Put in doubt what earlier actors of the account left in flight."""
        await self._fenced(
            "take_over", lambda: put_in_doubt(self._tables, self._key, self._lease.fence)
        )

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Settle, then claim the slot's next deliveries, in one transaction."""
        return await self._fenced("turn", lambda: self._turn(settlements, wanted))

    def _turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        tables, key = self._tables, self._key
        if settlements:
            settle(tables, key, self._lease.fence, settlements)
        claimed = self._claim(wanted)
        taken = {*wanted.excluding, *(item.entity_id for item in claimed)}
        journal(tables, key, wanted.slot, self._lease.fence, tuple(item.entity_id for item in claimed))
        waiting = {lane: bool(due_rows(tables, key, lane, taken)) for lane in Lane}
        state = tables.states.get(key, ConnectorState())
        return Turn(tuple(claimed), state, next_due_s(tables, key, taken), waiting)

    def _claim(self, wanted: Wanted) -> list[Claimed]:
        claimed: list[Claimed] = []
        for lane in Lane:
            limit = wanted.lanes.get(lane, 0)
            rows = due_rows(self._tables, self._key, lane, wanted.excluding)[:limit] if limit else []
            found = [claimed_of(self._tables, row) for row in rows]
            claimed += [item for item in found if item is not None]
        return claimed

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, uuid.UUID]:
        """Return which entities are delivered as these CRM records."""
        return await self._link.call(
            "holders",
            lambda: {
                row.crm_id: row.entity_id
                for row in self._tables.account(self._key).values()
                if row.crm_object == crm_object and row.crm_id in crm_ids
            },
        )

    async def write_breaker(self, state: BreakerState, generation: int) -> None:
        """Store the breaker, unless an operator has reset it since *generation*."""
        await self._link.call("write_breaker", lambda: self._write_breaker(state, generation))

    def _write_breaker(self, state: BreakerState, generation: int) -> None:
        held = self._tables.states.get(self._key, ConnectorState(breaker_generation=generation))
        if held.breaker_generation == generation:
            stored = BreakerState(state.failures, state.hold_s, state.probe_time)
            self._tables.states[self._key] = ConnectorState(held.paused, stored, generation)

    async def write_finding(self, finding: str) -> None:
        """Store what keeps the account from being used; empty when nothing does."""
        await self._link.call("write_finding", lambda: self._tables.findings.update({self._key: finding}))

    async def add_quota(
        self, day: dt.date, calls: int, vendor_used: int | None, vendor_limit: int | None
    ) -> None:
        """Count *calls* of *day*."""
        place = (*self._key, day)

        def add() -> None:
            held, used, limit = self._tables.quota.get(place, (0, None, None))
            self._tables.quota[place] = (
                held + calls,
                used if vendor_used is None else vendor_used,
                limit if vendor_limit is None else vendor_limit,
            )

        await self._link.call("add_quota", add)

    async def read_quota(self, day: dt.date) -> int:
        """Return the calls of *day*: ours, or the vendor's count where that is higher."""
        place = (*self._key, day)

        def read() -> int:
            calls, used, _ = self._tables.quota.get(place, (0, None, None))
            return max(calls, used or 0)

        return await self._link.call("read_quota", read)

    # What today's actor still asks for, until turns replace it.

    async def claim(self, limit: int) -> list[Claimed]:
        """Claim up to *limit* due deliveries of any lane, in the order of their time."""
        return await self._fenced("claim", lambda: self._claim_any(limit))

    def _claim_any(self, limit: int) -> list[Claimed]:
        tables, key = self._tables, self._key
        rows = [row for lane in Lane for row in due_rows(tables, key, lane, ())]
        rows = sorted(rows, key=lambda row: (row.due_time, row.entity_id))[:limit]
        if {row.entity_id for row in rows} & self._held():
            put_in_doubt(tables, key, self._lease.fence)
        claimed = [item for item in (claimed_of(tables, row) for row in rows) if item is not None]
        journal(tables, key, 0, self._lease.fence, tuple(item.entity_id for item in claimed))
        return claimed

    def _held(self) -> set[uuid.UUID]:
        return {entity for row in self._tables.inflight.get(self._key, {}).values() for entity in row.entities}

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record how tries ended."""

        def apply() -> None:
            settle(self._tables, self._key, self._lease.fence, settlements)
            done = {item.claimed.entity_id for item in settlements}
            left = tuple(entity for entity in sorted(self._held()) if entity not in done)
            journal(self._tables, self._key, 0, self._lease.fence, left)

        await self._fenced("settle", apply)

    async def next_due_s(self) -> float | None:
        """Return the seconds until a delivery is due; None when none waits."""
        return await self._link.call("next_due", lambda: next_due_s(self._tables, self._key, ()))

    async def read_state(self) -> ConnectorState:
        """Return what is stored about the account."""
        return await self._link.call(
            "read_state", lambda: self._tables.states.get(self._key, ConnectorState())
        )
