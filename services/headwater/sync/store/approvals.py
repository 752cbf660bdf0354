"""Approvals on Postgres: asked by the actors, decided by operators or by the clock."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.kernel.pg import queries
from headwater.sync.approvals.ports import ApprovalPlace
from headwater.sync.domain.approving import (
    EXPIRED_BY,
    ApprovalFilter,
    ApprovalState,
    ApprovalView,
    Ask,
    Decision,
    Verdict,
)
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import reaching, translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "approval.sql")
_FIRST: Final[ApprovalPlace] = (dt.datetime.min.replace(tzinfo=dt.UTC), uuid.UUID(int=0))
_OVERDUE: Final = "nobody decided in time"
Key = tuple[str, uuid.UUID, str]
"""Connector, entity and subject."""


class PostgresApprovals:
    """The ports `ApprovalBook`, `ApprovalDesk` and `ExpiringApprovals` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def waiting(self, tenant_id: str, connector: str) -> Mapping[str, int]:
        """Return approval to the writes of an account that wait for it."""
        async with translated():
            rows = await self._pool.fetch(_SQL["waiting_approvals"].text, tenant_id, connector)
        return {row["rule"]: row["writes"] for row in rows}

    async def ask(self, asks: Sequence[Ask]) -> Mapping[uuid.UUID, Verdict]:
        """Ask what was not asked before; return how all stand, by id."""
        if not asks:
            return {}
        first = asks[0]
        async with translated():
            rows = await self._pool.fetch(
                _SQL["ask"].text, first.tenant_id, first.connector, *_columns(asks), first.policy_version
            )
        return {
            row["approval_id"]: Verdict(ApprovalState(row["state"]), row["actor"], row["reason"])
            for row in rows
        }

    async def list_approvals(
        self, tenant_id: str, wanted: ApprovalFilter, after: ApprovalPlace | None, limit: int
    ) -> tuple[ApprovalView, ...]:
        """Return up to *limit* approvals behind *after*, the longest waiting first."""
        async with reaching():
            rows = await self._pool.fetch(
                _SQL["list_approvals"].text, *_filter(tenant_id, wanted), *(after or _FIRST), limit
            )
        return tuple(_view(tenant_id, row) for row in rows)

    async def count(self, tenant_id: str, wanted: ApprovalFilter, rules: Sequence[str]) -> tuple[int, int]:
        """Return how many of *wanted* wait, and how many of these are asked by *rules*."""
        async with reaching():
            rows = await self._pool.fetch(
                _SQL["count_approvals"].text, *_filter(tenant_id, wanted), list(rules)
            )
        return rows[0]["waiting"], rows[0]["allowed"]

    async def decide(
        self, tenant_id: str, wanted: ApprovalFilter, rules: Sequence[str], decision: Decision, limit: int
    ) -> int:
        """Decide about up to *limit* that wait, with audit; return about how many."""
        state = ApprovalState.APPROVED if decision.approves else ApprovalState.REJECTED
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                _SQL["choose_approvals"].text, *_filter(tenant_id, wanted), list(rules), limit
            )
            keys = [(row["connector"], row["entity_id"], row["subject"]) for row in rows]
            return await _decide(connection, tenant_id, keys, state, decision)

    async def expire(self, limit: int) -> int:
        """Decide about up to *limit* whose time is over; return about how many."""
        groups: defaultdict[tuple[str, str], list[Key]] = defaultdict(list)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            for row in await connection.fetch(_SQL["choose_expired"].text, limit):
                key = row["connector"], row["entity_id"], row["subject"]
                groups[row["tenant_id"], row["on_expiry"]].append(key)
            count = 0
            for (tenant_id, ending), keys in sorted(groups.items()):
                approves = ending == "approve"
                state = ApprovalState.APPROVED if approves else ApprovalState.EXPIRED
                decision = Decision(approves, EXPIRED_BY, _OVERDUE, "")
                count += await _decide(connection, tenant_id, keys, state, decision)
        return count

    async def now(self) -> dt.datetime:
        """Return the database's time."""
        return await read_time(self._pool)


async def _decide(
    connection: Connection, tenant_id: str, keys: Sequence[Key], state: ApprovalState, decision: Decision
) -> int:
    if not keys:
        return 0
    connectors, entities, subjects = zip(*keys, strict=True)
    (row,) = await connection.fetch(
        _SQL["decide"].text,
        tenant_id,
        list(connectors),
        list(entities),
        list(subjects),
        int(state),
        decision.actor,
        decision.reason,
        decision.policy_version,
    )
    count: int = row["decided"]
    return count


def _columns(asks: Sequence[Ask]) -> tuple[list[Any], ...]:
    rows = [
        (
            ask.entity_id, ask.subject, ask.approval_id, ask.object, ask.crm_object, ask.crm_id, ask.kind, ask.rule,
            ask.version, ask.event_key, msgspec.json.encode(ask.changes).decode(), ask.expire_s, ask.on_expiry,
        )
        for ask in asks
    ]  # fmt: skip
    return tuple(list(column) for column in zip(*rows, strict=True))


def _filter(tenant_id: str, wanted: ApprovalFilter) -> tuple[Any, ...]:
    return (
        tenant_id, wanted.connector, wanted.object, wanted.kind, wanted.rule, wanted.entity_id,
        list(wanted.approval_ids), list(wanted.states), wanted.before,
    )  # fmt: skip


def _view(tenant_id: str, row: Any) -> ApprovalView:
    ask = Ask(
        tenant_id=tenant_id,
        connector=row["connector"],
        entity_id=row["entity_id"],
        subject=row["subject"],
        approval_id=row["approval_id"],
        object=row["object"],
        crm_object=row["crm_object"],
        crm_id=row["crm_id"],
        kind=row["kind"],
        rule=row["rule"],
        version=row["version"],
        event_key=row["event_key"],
        policy_version=row["policy_version"],
        changes=tuple(row["changes"]),
        expire_s=(row["expire_time"] - row["create_time"]).total_seconds(),
        on_expiry=row["on_expiry"],
    )
    verdict = Verdict(ApprovalState(row["state"]), row["actor"], row["reason"])
    return ApprovalView(
        ask, verdict, row["create_time"], row["expire_time"], row["decide_time"], waits=row["waits"]
    )
