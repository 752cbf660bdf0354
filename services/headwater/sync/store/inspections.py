"""Questions to accounts in Postgres: asked by any process, answered by the one that holds the account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.kernel.pg import queries
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.rollouts.ports import Inquiry
from headwater.sync.store.faults import reaching, translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "inspection.sql")


class PostgresInspections:
    """Port `InspectionBook` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, inquiry: Inquiry) -> None:
        """Post a question and wake who answers."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["ask_account"].text, *_key(inquiry), list(inquiry.crm_objects))
            await connection.execute(_SQL["notify_inspections"].text)

    async def answer_of(self, inquiry: Inquiry) -> Inspection | None:
        """Take the answer to a question; None while there is none."""
        async with reaching():
            answer = await self._pool.fetchval(_SQL["take_answer"].text, *_key(inquiry))
        return None if answer is None else msgspec.convert(answer, Inspection)

    async def waiting(self, accounts: Sequence[tuple[str, str]]) -> tuple[Inquiry, ...]:
        """Return the questions that wait for an answer of *accounts*."""
        async with translated():
            rows = await self._pool.fetch(
                _SQL["waiting_inspections"].text,
                [tenant_id for tenant_id, _ in accounts],
                [connector for _, connector in accounts],
            )
        return tuple(
            Inquiry(row["tenant_id"], row["connector"], row["inspection_id"], tuple(row["crm_objects"]))
            for row in rows
        )

    async def answer(self, inquiry: Inquiry, inspection: Inspection) -> None:
        """Note the answer to a question, unless it has one."""
        async with translated():
            await self._pool.execute(
                _SQL["answer_inspection"].text, *_key(inquiry), msgspec.to_builtins(inspection)
            )


def _key(inquiry: Inquiry) -> tuple[Any, ...]:
    return inquiry.tenant_id, inquiry.connector, inquiry.inspection_id
