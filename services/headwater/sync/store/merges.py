"""Merges that accounts follow, in Postgres: how far they are, what they hold back, what they give to whom."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.kernel.pg import queries
from headwater.sync.domain.following import Both, Course, Follow, FollowState, RecordMerge
from headwater.sync.domain.forecasting import Forecast
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.following.ports import Place, Places, Question, Taken, Waiting
from headwater.sync.store.faults import reaching, translated
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "merge.sql")
_COMING = frozenset({1, 3, 4})
"""States of a delivery that waits."""


async def write_follows(connection: Connection, follows: Sequence[Follow]) -> None:
    """Order what the projection has found, in its transaction."""
    merges = [item for item in follows if item.connector]
    splits = [item for item in follows if not item.connector]
    if merges:
        rows = [msgspec.structs.astuple(item) for item in merges]
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(_SQL["open_record_merges"].text, *columns)
    if splits:
        await connection.execute(
            _SQL["want_splits"].text,
            [item.tenant_id for item in splits],
            [item.merge_id for item in splits],
            [item.event_key for item in splits],
        )
    await connection.execute(_SQL["notify_merges"].text)


class PostgresMerges:
    """Port `MergeBook` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def waiting(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Waiting]:
        """Return the open merge of each of *accounts* that is due first."""
        async with translated():
            rows = await self._pool.fetch(_SQL["waiting_record_merges"].text, *_accounts(accounts))
        return [Waiting(_merge(row), row["due_s"]) for row in rows]

    async def hold(self, merge: RecordMerge, lease: Lease) -> Places:
        """Hold the deliveries of both entities back, and return where these are; see the port."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchrow(_SQL["lock_fence"].text, lease.name, lease.fence) is None:
                raise FenceLost([lease.name])
            account = (merge.tenant_id, merge.connector)
            holder_id = await _holder(connection, account, merge.winner_id)
            both = [holder_id, merge.loser_id]
            await connection.execute(_SQL["hold_deliveries"].text, *account, both, merge.merge_id)
            busy = bool(await connection.fetchval(_SQL["are_busy"].text, *account, both, merge.merge_id))
            return await _places(connection, account, holder_id, merge.loser_id, busy=busy)

    async def let_go(self, merge: RecordMerge, entity_id: uuid.UUID) -> None:
        """Let one delivery go on, until it is held again."""
        account = (merge.tenant_id, merge.connector)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["let_go"].text, *account, merge.merge_id, entity_id)
            await connection.execute(_SQL["notify_account"].text, name_accounts({account}))

    async def places(
        self, tenant_id: str, connector: str, winner_id: uuid.UUID, loser_id: uuid.UUID
    ) -> Places:
        """Return where two entities are, without holding anything."""
        async with translated(), self._pool.acquire() as connection:
            holder_id = await _holder(connection, (tenant_id, connector), winner_id)
            return await _places(connection, (tenant_id, connector), holder_id, loser_id, busy=False)

    async def related(self, merge: RecordMerge, holder_id: uuid.UUID) -> Sequence[RecordMerge]:
        """Return the merges into *holder_id* and into all that went into it; see the port."""
        entities = [merge.winner_id, merge.loser_id, holder_id]
        async with translated():
            rows = await self._pool.fetch(
                _SQL["merges_below"].text, merge.tenant_id, merge.connector, entities
            )
        return [_merge(row) for row in rows]

    async def write(
        self, merge: RecordMerge, lease: Lease, pause_s: float = 0.0, notes: Sequence[object] = ()
    ) -> None:
        """Note how far *merge* is, with an audit entry where there are *notes*."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await _advance(connection, merge, lease, pause_s)
            if notes:
                await _note(connection, merge, f"record_{merge.state.value}", notes)

    async def finish(
        self, merge: RecordMerge, lease: Lease, taken: Sequence[Taken] = (), left: Sequence[uuid.UUID] = ()
    ) -> None:
        """Note the end of *merge*, say who has which record now, and let the deliveries go on; see the port."""
        account = (merge.tenant_id, merge.connector)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await _advance(connection, merge, lease, 0.0)
            for entity_id in left:
                await connection.execute(_SQL["leave_record"].text, *account, entity_id)
            for item in taken:
                await connection.execute(
                    _SQL["take_record"].text, *account, item.entity_id, item.crm_object, item.crm_id
                )
            if not (
                merge.state is FollowState.FAILED and merge.course.begun
            ):  # nobody may write where it may be
                await connection.execute(_SQL["release_deliveries"].text, *account, merge.merge_id)
            if (
                merge.wanted == "split" and not taken
            ):  # nothing brought the loser back: it gets a record of its own
                await connection.execute(_SQL["deliver_again"].text, *account, merge.loser_id)
            ends = [
                {"field": "crm_id", "before": None, "after": item.crm_id, "rule": str(item.entity_id)}
                for item in taken
            ]
            reason = {"field": "", "before": None, "after": merge.finding, "rule": merge.state.value}
            action = f"record_merge_{merge.state.value}"
            await _note(connection, merge, action, [*ends, reason] if merge.finding or not ends else ends)
            await connection.execute(_SQL["notify_account"].text, name_accounts({account}))

    async def read(self, tenant_id: str, merge_id: uuid.UUID | None) -> Sequence[RecordMerge]:
        """Return what accounts did about one merge, or about all, newest first."""
        async with reaching():
            rows = await self._pool.fetch(_SQL["read_record_merges"].text, tenant_id, merge_id)
        return [_merge(row) for row in rows]

    async def retry(self, tenant_id: str, connector: str, merge_id: uuid.UUID, actor: str) -> bool:
        """Let a merge that failed go on; return False when none of that name has failed."""
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            found = await connection.fetchrow(_SQL["retry_record_merge"].text, tenant_id, connector, merge_id)
            if found is None:
                return False
            by = [{"field": "", "before": "failed", "after": "", "rule": actor}]
            await connection.execute(
                _SQL["note_step"].text, tenant_id, "record_merge_retried", None, None, connector, by
            )
            await connection.execute(_SQL["notify_merges"].text)
        return True


class PostgresMergeQuestions:
    """Port `QuestionBook` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(self, question: Question) -> None:
        """Post a question and wake who answers."""
        body = msgspec.to_builtins(question)
        async with reaching(), self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["ask_merge"].text, *_key(question), body)
            await connection.execute(_SQL["notify_merges"].text)

    async def answer_of(self, question: Question) -> Forecast | None:
        """Take the answer; None while there is none."""
        async with reaching():
            answer = await self._pool.fetchval(_SQL["take_merge_answer"].text, *_key(question))
        return None if answer is None else msgspec.convert(answer, Forecast)

    async def questions(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Question]:
        """Return the questions that wait for an answer of *accounts*."""
        async with translated():
            rows = await self._pool.fetch(_SQL["waiting_questions"].text, *_accounts(accounts))
        return [msgspec.convert(row["body"], Question) for row in rows]

    async def answer(self, question: Question, forecast: Forecast) -> None:
        """Note the answer to a question, unless it has one."""
        async with translated():
            await self._pool.execute(
                _SQL["answer_question"].text, *_key(question), msgspec.to_builtins(forecast)
            )


async def _holder(connection: Connection, account: tuple[str, str], entity_id: uuid.UUID) -> uuid.UUID:
    tenant_id, connector = account
    found: uuid.UUID | None = await connection.fetchval(
        _SQL["holder_of"].text, tenant_id, entity_id, connector
    )
    return found or entity_id


async def _places(
    connection: Connection,
    account: tuple[str, str],
    holder_id: uuid.UUID,
    loser_id: uuid.UUID,
    *,
    busy: bool,
) -> Places:
    rows = await connection.fetch(_SQL["read_places"].text, *account, [holder_id, loser_id])
    found = {
        row["entity_id"]: Place(row["crm_object"], row["crm_id"], row["state"] in _COMING) for row in rows
    }
    return Places(holder_id, busy, found.get(holder_id), found.get(loser_id))


async def _advance(connection: Connection, merge: RecordMerge, lease: Lease, pause_s: float) -> None:
    written = await connection.fetchval(
        _SQL["advance_record_merge"].text,
        merge.tenant_id,
        merge.connector,
        merge.merge_id,
        merge.state.value,
        merge.crm_object,
        merge.key,
        None if merge.both is None else msgspec.to_builtins(merge.both),
        msgspec.to_builtins(merge.course),
        merge.try_count,
        merge.finding[:512],
        pause_s,
        lease.name,
        lease.fence,
    )
    if written is None:
        raise FenceLost([lease.name])


async def _note(connection: Connection, merge: RecordMerge, action: str, changes: Sequence[object]) -> None:
    await connection.execute(
        _SQL["note_step"].text,
        merge.tenant_id,
        action,
        merge.loser_id,
        merge.event_key,
        merge.connector,
        [*changes],
    )


def _merge(row: Any) -> RecordMerge:
    return RecordMerge(
        tenant_id=row["tenant_id"],
        connector=row["connector"],
        merge_id=row["merge_id"],
        number=row["number"],
        object=row["object"],
        winner_id=row["winner_id"],
        loser_id=row["loser_id"],
        event_key=row["event_key"],
        wanted=row["wanted"],
        state=FollowState(row["state"]),
        crm_object=row["crm_object"],
        key=row["key"],
        both=None if row["merged"] is None else msgspec.convert(row["merged"], Both),
        course=Course() if row["course"] is None else msgspec.convert(row["course"], Course),
        finding=row["finding"],
        try_count=row["try_count"],
        waited_s=row["waited_s"],
        begin_turn=row["begin_turn"],
        end_turn=row["end_turn"],
    )


def _key(question: Question) -> tuple[str, str, uuid.UUID]:
    return question.tenant_id, question.connector, question.question_id


def _accounts(accounts: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [tenant_id for tenant_id, _ in accounts], [connector for _, connector in accounts]
