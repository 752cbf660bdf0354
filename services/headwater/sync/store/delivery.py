"""The delivery actors' tables: turns, breaker and finding of one account; every turn under the account's fence."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from anyio import lowlevel

from headwater.kernel.pg import queries
from headwater.sync.domain.breaker import Breakers
from headwater.sync.domain.delivering import Holder
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.settling import Settlement
from headwater.sync.domain.turns import Turn, Wanted
from headwater.sync.store.errors import error_arguments
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.store.line import Line, Place
from headwater.sync.store.turns import (
    queue_places,
    read_turn,
    settlement_columns,
)

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "delivery.sql")
_TURN: Final = _SQL["turn"].text
_TURN_NOTING: Final = queries.load("headwater.sync", "errors.sql")["turn_noting_errors"].text


class PostgresDeliveries:
    """The tables of one connector account, as the actor of one lease may use them."""

    def __init__(self, pool: Pool, tenant_id: str, connector: str, lease: Lease) -> None:
        self._pool = pool
        self._tenant_id = tenant_id
        self._connector = connector
        self._lease = lease
        self._line = Line()
        self._numbers: dict[int, int] = {}
        self._is_ours = False
        self._has_begun = False
        self._turning = anyio.Lock()

    async def take_over(self) -> None:
        """Put in doubt what earlier actors of the account left in flight; once, before the first turn.

        Raises: FenceLost.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["wait_for_turns"].text, self._lease.name)
            await hold_fences(connection, [self._lease])
            await connection.execute(
                _SQL["doubt_inflight"].text,
                self._tenant_id,
                self._connector,
                self._lease.fence,
                not self._has_begun,
            )
        self._has_begun = True
        self._is_ours = True

    async def turn(self, settlements: Sequence[Settlement], wanted: Wanted) -> Turn:
        """Record how tries of a slot ended, then claim its next deliveries, in one transaction.

        Turns run one after the other: two claims side by side would see the same rows due. One that keeps what its
        slot has in flight runs beside them: it only settles. What other slots have in flight the caller alone knows.

        Raises: FenceLost, StoreRefused, StoreRaced, Unavailable: then the same turn may be sent again,
            whether it had committed or not.
        """
        items = settlement_columns(settlements)
        errors = error_arguments(self._tenant_id, settlements)
        if wanted.keeps and self._is_ours:
            rows = await self._send(items, wanted, errors, self._line.marks)
            return read_turn(self._tenant_id, self._connector, rows)
        async with self._turning:
            if not self._is_ours:
                await self.take_over()
            rows, sweep_s = await self._turn(items, wanted, errors)
        await lowlevel.checkpoint()  # the next turn is sent before this one's answer is read
        turn = read_turn(self._tenant_id, self._connector, rows)
        if sweep_s is None:
            return turn
        due_s = sweep_s if turn.next_due_s is None else min(turn.next_due_s, sweep_s)
        return replace(turn, next_due_s=due_s)

    async def _turn(
        self, items: tuple[Sequence[Any], ...], wanted: Wanted, errors: Sequence[Any]
    ) -> tuple[Sequence[Any], float | None]:
        """Take a turn; return its rows, and the seconds to the next sweep unless this was one."""
        places = self._line.begin(anyio.current_time())
        rows = await self._send(items, wanted, errors, places)
        waiting = rows[0]["head"]["waiting"]
        sweep_s = self._line.end(queue_places(rows), waiting, rows[0]["due_time"], anyio.current_time())
        return rows, sweep_s

    async def _send(
        self, items: tuple[Sequence[Any], ...], wanted: Wanted, errors: Sequence[Any], places: Sequence[Place]
    ) -> Sequence[Any]:
        """Send a turn that looks behind *places*; return its rows."""
        number = self._numbers.get(wanted.slot, 0) + 1
        async with translated():
            rows = await self._pool.fetch(
                _TURN_NOTING if errors else _TURN,
                self._tenant_id,
                self._connector,
                self._lease.name,
                self._lease.fence,
                wanted.slot,
                number,
                items,
                [wanted.lanes.get(lane, 0) for lane in Lane],
                [place[0] for place in places],
                [place[1] for place in places],
                list(wanted.excluding),
                wanted.keeps,
                *errors,
            )
        if not rows:
            raise FenceLost([self._lease.name])
        self._numbers[wanted.slot] = number
        return rows

    async def holders(self, crm_object: str, crm_ids: Sequence[str]) -> dict[str, Holder]:
        """Return which entities are delivered as these CRM records."""
        async with translated():
            rows = await self._pool.fetch(
                _SQL["crm_record_holders"].text, self._tenant_id, self._connector, crm_object, crm_ids
            )
        return {
            row["crm_id"]: Holder(str(row["entity_id"]), row["coming"], str(row["heir_id"])) for row in rows
        }

    async def inherit_record(
        self, crm_object: str, crm_id: str, holder_id: uuid.UUID, heir_id: uuid.UUID
    ) -> Mapping[str, Any] | None:
        """Give a CRM record of a merged entity to the one it was merged into; see the port."""
        account = (self._tenant_id, self._connector)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])
            rows = await connection.fetch(_SQL["lock_deliveries"].text, *account, [holder_id, heir_id])
            held = {row["entity_id"]: row for row in rows}
            holder, heir = held.get(holder_id), held.get(heir_id)
            if holder is None or heir is None or holder["coming"] or heir["crm_id"]:
                return None
            if (holder["crm_object"], holder["crm_id"]) != (crm_object, crm_id):
                return None
            known: str = holder["known"]
            await connection.execute(_SQL["unbind_record"].text, *account, holder_id)
            await connection.execute(_SQL["bind_record"].text, *account, heir_id, crm_object, crm_id, known)
            record = f"{crm_object} {crm_id}"
            await connection.execute(_SQL["note_inherited"].text, *account, heir_id, str(holder_id), record)
        return msgspec.json.decode(known, type=dict[str, Any])

    async def write_breaker(self, state: Breakers, generation: int) -> None:
        """Store the breakers, unless an operator has given an order since *generation*.

        Raises: FenceLost: what a former owner saw says nothing about the present one's calls.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [self._lease])
            await connection.execute(
                _SQL["write_breaker"].text, self._tenant_id, self._connector, state.as_json(), generation
            )

    async def write_finding(self, finding: str) -> None:
        """Store what keeps the account from being used; empty when nothing does."""
        async with translated():
            await self._pool.execute(
                _SQL["write_finding"].text, self._tenant_id, self._connector, finding[:1024]
            )
