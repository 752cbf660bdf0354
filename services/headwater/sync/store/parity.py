"""What is kept of comparing CRMs, in Postgres."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.connectors.base.sweeping import Span
from headwater.kernel.pg import queries
from headwater.sync.domain.parity_ranges import Range
from headwater.sync.domain.reconciling import Bound, Drift, DriftKind, FieldDrift, Ours, Told
from headwater.sync.domain.rows import from_micros, plain_values
from headwater.sync.domain.settling import State
from headwater.sync.domain.sweep_plans import SweepPlan
from headwater.sync.reconciling.ports import Account, DriftRow, JobName, Order, Redelivery, Run, Settled
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "parity.sql")
_MERGES: Final = queries.load("headwater.sync", "merge.sql")
_LAST: Final = "\x7f"
"""Behind every id: they are of ASCII letters and digits."""
_LENGTH_MAX: Final = 255
LOST_MAX: Final = 10_000
"""Activities of one run that are told of, or looked at again."""

Part = tuple[int, int, str, str]
"""Shortest and longest id, behind which and up to which one."""


def parts_of(span: Span) -> list[Part]:
    """Return a span of ids, which sort by length first, as stretches that an index of plain text can walk."""
    low, high = len(span.after), len(span.upto)
    if span.upto and low == high:
        return [(low, low, span.after, span.upto)]
    parts = [(low, low, span.after, _LAST)] if low else []
    between = (low + 1, high - 1 if span.upto else _LENGTH_MAX)
    if between[0] <= between[1]:
        parts.append((*between, "", _LAST))
    return [*parts, (high, high, "", span.upto)] if span.upto else parts


class PostgresParity:
    """Port `ParityBook` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ranges(self, account: Account, crm_object: str) -> list[Range]:
        """Return the ranges of an object, in the order of ids."""
        rows = await self._fetch("read_ranges", *_of(account), crm_object)
        return [
            Range(
                Span(row["low"], row["high"]), row["crm_count"], row["newest_time"], row["ours_hash"],
                row["crm_hash"], row["plan_hash"], row["clean"], row["read_time"], row["run_id"],
            )
            for row in rows
        ]  # fmt: skip

    async def ours_hashes(self, account: Account, plan: SweepPlan, spans: Sequence[Span]) -> dict[str, str]:
        """Return a hash of what we hold of each span, by its beginning."""
        parts = [(span.after, *part) for span in spans for part in parts_of(span)]
        columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], [], []]
        rows = await self._fetch("ours_hashes", *_of(account), plan.crm_object, *_source(plan), *columns)
        return {row["low"]: row["hash"] for row in rows}

    async def our_ids(self, account: Account, plan: SweepPlan, span: Span) -> list[str]:
        """Return the CRM ids that we hold within a span."""
        columns = [list(column) for column in zip(*parts_of(span), strict=True)]
        rows = await self._fetch("our_ids", *_of(account), plan.crm_object, *_source(plan), *columns)
        return list(dict.fromkeys(row["crm_id"] for row in rows))

    async def ours(
        self, account: Account, plan: SweepPlan, crm_ids: Sequence[str], entities: Sequence[uuid.UUID]
    ) -> Ours:
        """Return what we hold of records, and the homes of entities; one moment."""
        ids, place = list(crm_ids), (*_of(account), plan.crm_object)
        async with (
            translated(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            bound = await connection.fetch(_SQL["bound_records"].text, *place, ids)
            told = []
            if plan.polled is not None:
                told = await connection.fetch(
                    _SQL["told_records"].text, account.tenant_id, *_source(plan), ids
                )
            former = await connection.fetch(_SQL["former_records"].text, *place, ids)
            refused = await connection.fetch(_SQL["refused_records"].text, *place, ids)
            homes = (
                await connection.fetch(_SQL["entity_homes"].text, *_of(account), list(entities))
                if entities
                else []
            )
        return Ours(
            {row["crm_id"]: _bound(row) for row in bound},
            {row["external_id"]: _told(row) for row in told},
            frozenset(row["crm_id"] for row in former),
            frozenset(row["crm_id"] for row in refused),
            {row["entity_id"]: row["crm_id"] for row in homes},
        )

    async def keep_ranges(
        self, account: Account, crm_object: str, replaced: Sequence[str], ranges: Sequence[Range]
    ) -> None:
        """Keep ranges in the place of those that began with *replaced*."""
        async with self._writing(account) as connection:
            await connection.execute(_SQL["drop_ranges"].text, *_of(account), crm_object, list(replaced))
            for item in ranges:
                await connection.execute(
                    _SQL["keep_range"].text, *_of(account), crm_object, item.span.after, item.span.upto,
                    item.crm_count, item.newest_time, item.ours_hash, item.crm_hash, item.plan_hash,
                    item.clean, item.read_time, item.run_id,
                )  # fmt: skip

    async def prove_ranges(
        self, account: Account, crm_object: str, lows: Sequence[str], run_id: uuid.UUID
    ) -> None:
        """Note that ranges were proven unchanged."""
        async with self._writing(account) as connection:
            await connection.execute(_SQL["prove_ranges"].text, *_of(account), crm_object, list(lows), run_id)

    async def note(
        self,
        account: Account,
        crm_object: str,
        run_id: uuid.UUID,
        drifts: Sequence[Drift],
        now: dt.datetime,
    ) -> None:
        """Note drift that was found."""
        if not drifts:
            return
        columns = [
            [item.crm_id for item in drifts],
            [item.kind.value for item in drifts],
            [item.object for item in drifts],
            [item.entity_id for item in drifts],
            [msgspec.to_builtins(item.fields) for item in drifts],
            [item.version for item in drifts],
            [item.drift_time for item in drifts],
        ]
        async with self._writing(account) as connection:
            await connection.execute(
                _SQL["note_drift"].text, *_of(account), crm_object, run_id, now, *columns
            )

    async def open_drift(
        self, account: Account, after: tuple[str, str, str], limit: int, *, asked: bool
    ) -> list[DriftRow]:
        """Return drift that something can be done about, by object, id and kind; what waits for a person where *asked*."""
        states = ["open", "repairing", *(["asked"] if asked else [])]
        rows = await self._fetch("open_drift", *_of(account), *after, limit, states)
        return [drift_row(account.name, row) for row in rows]

    async def settle(self, account: Account, settled: Sequence[Settled], now: dt.datetime) -> None:
        """Note what became of drift."""
        if not settled:
            return
        columns = [
            [item.row.crm_object for item in settled],
            [item.row.crm_id for item in settled],
            [item.row.kind.value for item in settled],
            [item.state for item in settled],
            [item.repair for item in settled],
        ]
        async with self._writing(account) as connection:
            await connection.execute(_SQL["settle_drift"].text, *_of(account), now, *columns)

    async def redeliver(
        self, account: Account, policy_version: str, actor: str, items: Sequence[Redelivery]
    ) -> frozenset[uuid.UUID]:
        """Make deliveries due again in the lane reconcile; return those that were."""
        columns = [
            [item.entity_id for item in items],
            [item.crm_id for item in items],
            [item.version for item in items],
            [dict(item.seen) for item in items],
        ]
        return await self._make_due("redeliver", account, policy_version, actor, columns)

    async def recreate(
        self, account: Account, policy_version: str, actor: str, items: Sequence[tuple[uuid.UUID, str]]
    ) -> frozenset[uuid.UUID]:
        """Let records that are gone be written anew; return the entities of those that will be."""
        columns = [[entity_id for entity_id, _ in items], [crm_id for _, crm_id in items]]
        return await self._make_due("recreate", account, policy_version, actor, columns)

    async def _make_due(
        self, statement: str, account: Account, policy_version: str, actor: str, columns: Sequence[Any]
    ) -> frozenset[uuid.UUID]:
        if not columns[0]:
            return frozenset()
        async with self._writing(account) as connection:
            rows = await connection.fetch(
                _SQL[statement].text, *_of(account), policy_version, actor, *columns
            )
            named = name_accounts({(account.tenant_id, account.name)})
            await connection.execute(_MERGES["notify_account"].text, named)
        return frozenset(row["entity_id"] for row in rows)

    async def gone(self, account: Account) -> dict[str, tuple[int, int]]:
        """Return, by CRM object, how many records are gone that should not be, and how many the CRM has."""
        rows = await self._fetch("gone_records", *_of(account))
        return {row["crm_object"]: (row["gone"], row["records"]) for row in rows}

    async def add_calls(self, account: Account, day: dt.date, calls: int) -> int:
        """Count calls of a day; return them all."""
        async with translated():
            counted: int = await self._pool.fetchval(_SQL["add_parity_calls"].text, *_of(account), day, calls)
        return counted

    async def take_order(self, account: Account, job: JobName) -> Order | None:
        """Take the order for the next run, None where there is none."""
        async with self._writing(account) as connection:
            row = await connection.fetchrow(_SQL["take_parity_order"].text, *_of(account), job)
        return None if row is None else Order(row["dry"], row["whole"], row["actor"])

    async def unfinished(self, account: Account, job: JobName, since: dt.datetime) -> Run | None:
        """Return the run that goes on."""
        rows = await self._fetch("unfinished_run", *_of(account), job, since)
        return next(
            (Run(row["run_id"], job, row["begin_time"], row["dry"], report=row["report"]) for row in rows),
            None,
        )

    async def write_run(self, account: Account, run: Run) -> None:
        """Keep a run as it stands."""
        async with self._writing(account) as connection:
            await connection.execute(
                _SQL["write_run"].text, account.tenant_id, run.run_id, account.name, run.job, run.dry,
                run.begin_time, run.end_time, run.detail, dict(run.report or {}),
            )  # fmt: skip

    async def last_report(self, account: Account, job: JobName) -> Mapping[str, Any]:
        """Return the report of the last run of a job that ended and was not dry; empty before the first."""
        rows = await self._fetch("last_report", *_of(account), job)
        return next((row["report"] for row in rows), {})

    async def timeline_gaps(
        self, account: Account, *, repair: bool
    ) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
        """Return activities that are in no timeline, and those associated with entities that stand no more."""
        lost = await self._fetch("lost_activities", account.tenant_id, LOST_MAX)
        astray = await self._fetch("astray_associations", account.tenant_id, LOST_MAX)
        if repair and lost:
            async with self._writing(account) as connection:
                await connection.execute(
                    _SQL["look_again"].text, account.tenant_id, [row["entity_id"] for row in lost]
                )
        return [row["entity_id"] for row in lost], [row["activity_id"] for row in astray]

    async def prune(self, account: Account) -> None:
        """Forget what is older than a year."""
        async with self._writing(account) as connection:
            await connection.execute(_SQL["prune_runs"].text, *_of(account))

    async def _fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async with translated():
            return list(await self._pool.fetch(_SQL[statement].text, *arguments))

    @asynccontextmanager
    async def _writing(self, account: Account) -> AsyncIterator[Connection]:
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [account.lease])
            yield connection


def _of(account: Account) -> tuple[str, str]:
    return account.tenant_id, account.name


def _source(plan: SweepPlan) -> tuple[str, str]:
    return plan.polled or "", plan.system


def _bound(row: Any) -> Bound:
    return Bound(
        row["entity_id"], row["object"], State(row["state"]), row["known"], plain_values(row["fields"]),
        row["entity_state"], row["heir"], row["version"], row["settle_time"],
    )  # fmt: skip


def _told(row: Any) -> Told:
    facts: Mapping[str, list[Any]] = row["fields"]
    newest = max((item[1] for item in facts.values()), default=None)
    values = {name: item[0] for name, item in facts.items()}
    return Told(row["entity_id"], values, row["deleted"], None if newest is None else from_micros(newest))


def drift_row(connector: str, row: Any) -> DriftRow:
    """Return a row of `sync.drift`."""
    return DriftRow(
        connector, row["crm_object"], row["crm_id"], DriftKind(row["kind"]), row["object"], row["entity_id"],
        tuple(FieldDrift(item["field"], item["expected"], item["found"]) for item in row["fields"]),
        row["version"], row["state"], row["repair"], row["repair_count"], row["ordered_by"],
        row["drift_time"], row["detect_time"], row["repair_time"], row["heal_time"], row["run_id"],
    )  # fmt: skip
