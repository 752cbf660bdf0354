"""The port `Deliveries` over the tables of a simulation, seen from one process under one lease."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
from tests.simulation.store.claiming import claimed_of, due_rows, judge_anew, later_due_s, put_in_doubt
from tests.simulation.store.link import Link
from tests.simulation.store.settling import settle
from tests.simulation.store.tables import DUE_STATES, InflightRow, Tables

from headwater.sync.domain.breaker import Breakers, from_json
from headwater.sync.domain.delivering import Claimed, Holder
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.settling import ConnectorState, Settlement
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.store.line import Line, Place


class MemoryDeliveries:
    """The tables of one connector account, as the actor of one lease may use them."""

    def __init__(self, tables: Tables, link: Link, tenant_id: str, connector: str, lease: Lease) -> None:
        self.tables = tables
        self._link = link
        self.key = (tenant_id, connector)
        self.lease = lease
        self._numbers: dict[int, int] = {}
        self._has_begun = False
        self._turning = anyio.Lock()
        self.line = Line()

    def check_fence(self) -> None:
        """Raises: FenceLost."""
        if not self.tables.holds(self.lease.name, self.lease.fence):
            raise FenceLost([self.lease.name])

    async def take_over(self) -> None:
        """Put in doubt what earlier actors of the account left in flight."""
        await self._link.call("take_over", self._take_over)

    def _take_over(self) -> None:
        self.check_fence()
        put_in_doubt(self.tables, self.key, self.lease.fence)
        if not self._has_begun:
            judge_anew(self.tables, self.key)
        self._has_begun = True

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Settle, then claim the slot's next deliveries, in one transaction; sent again, it settles once.

        A turn that keeps what its slot has in flight runs beside others.
        """
        if wanted.keeps:
            number = self._numbers.get(wanted.slot, 0) + 1
            turn = await self._link.call(
                "turn", lambda: self._turn(number, settlements, wanted, self.line.marks)
            )
            self._numbers[wanted.slot] = number
            return turn
        async with self._turning:
            number = self._numbers.get(wanted.slot, 0) + 1
            places = self.line.begin(anyio.current_time())
            turn, look_time = await self._link.call(
                "turn", lambda: (self._turn(number, settlements, wanted, places), self.tables.now())
            )
            self._numbers[wanted.slot] = number
            reached = {item.lane: (item.due_time, item.entity_id) for item in turn.claimed}
            waiting = [lane for lane in Lane if turn.waiting[lane]]
            sweep_s = self.line.end(reached, waiting, look_time, anyio.current_time())
        if sweep_s is None:
            return turn
        due_s = sweep_s if turn.next_due_s is None else min(turn.next_due_s, sweep_s)
        return replace(turn, next_due_s=due_s)

    def _turn(
        self, number: int, settlements: Sequence[Settlement], wanted: Wanted, places: Sequence[Place]
    ) -> Turn:
        self.check_fence()
        tables, key = self.tables, self.key
        slots = tables.inflight.setdefault(key, {})
        held = slots.get(wanted.slot)
        if settlements and (held is None or held.turn_number < number):
            self.settle_rows(settlements)
        claimed: list[Claimed] = []
        waiting: dict[Lane, bool] = {}
        for lane, behind in zip(Lane, places, strict=True):
            rows = due_rows(tables, key, lane, behind, wanted.excluding)
            limit = wanted.lanes.get(lane, 0)
            waiting[lane] = len(rows) > limit
            claimed += [
                item for item in (claimed_of(tables, row) for row in rows[:limit]) if item is not None
            ]
        entities = tuple(item.entity_id for item in claimed)
        if held is not None and wanted.keeps:
            settled = {item.claimed.entity_id for item in settlements}
            entities = tuple(entity_id for entity_id in held.entities if entity_id not in settled)
        slots[wanted.slot] = InflightRow(self.lease.fence, number, entities)
        due_s = 0.0 if any(waiting.values()) else later_due_s(tables, key)
        return Turn(tuple(claimed), tables.states.get(key, ConnectorState()), due_s, waiting)

    def settle_rows(self, settlements: Sequence[Settlement]) -> None:
        """Write how tries ended; inside a transaction."""
        settle(self.tables, self.key, self.lease.fence, settlements)

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Holder]:
        """Return which entities are delivered as these CRM records."""
        return await self._link.call(
            "holders",
            lambda: {
                row.crm_id: Holder(
                    str(row.entity_id), row.state in DUE_STATES, str(self._standing(row.entity_id))
                )
                for row in self.tables.account(self.key).values()
                if row.crm_object == crm_object and row.crm_id in crm_ids
            },
        )

    def _standing(self, entity_id: uuid.UUID) -> uuid.UUID:
        """Return who has the records of an entity now, merges followed to their end."""
        passed: set[uuid.UUID] = set()
        while entity_id not in passed:
            passed.add(entity_id)
            entity = self.tables.entities.get((self.key[0], entity_id))
            entity_id = entity.merged_into if entity is not None and entity.merged_into else entity_id
        return entity_id

    async def inherit_record(
        self, crm_object: str, crm_id: str, holder_id: uuid.UUID, heir_id: uuid.UUID
    ) -> Mapping[str, Any] | None:
        """Give a CRM record of a merged entity to the one it was merged into."""
        return await self._link.call(
            "inherit_record", lambda: self._inherit(crm_object, crm_id, holder_id, heir_id)
        )

    def _inherit(
        self, crm_object: str, crm_id: str, holder_id: uuid.UUID, heir_id: uuid.UUID
    ) -> Mapping[str, Any] | None:
        self.check_fence()
        rows = self.tables.account(self.key)
        holder, heir = rows.get(holder_id), rows.get(heir_id)
        if holder is None or heir is None or holder.state in DUE_STATES or heir.crm_id:
            return None
        if (holder.crm_object, holder.crm_id) != (crm_object, crm_id):
            return None
        known = holder.known
        holder.crm_id, holder.known = "", {}
        heir.crm_object, heir.crm_id, heir.known = crm_object, crm_id, known
        return known

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Store the breakers, unless an operator has given an order since *generation*."""
        await self._link.call("write_breaker", lambda: self._write_breaker(state, generation))

    def _write_breaker(self, state: Breakers, generation: int) -> None:
        self.check_fence()
        held = self.tables.states.get(self.key, ConnectorState(breaker_generation=generation))
        if held.breaker_generation == generation:
            self.tables.states[self.key] = ConnectorState(held.paused, from_json(state.as_json()), generation)

    async def write_finding(self, finding: str) -> None:
        """Store what keeps the account from being used; empty when nothing does."""
        await self._link.call("write_finding", lambda: self.tables.findings.update({self.key: finding}))
