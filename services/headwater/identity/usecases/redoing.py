"""Going over all records when the rules of normalisation have changed: a job of the service, beside its calls.

One process goes over a tenant at a time, by a lease; every batch is a transaction of its own that moves the place with
it, so that another process goes on where this one was stopped. Batches take turns with live calls: each has the tenant
alone for as long as a batch lasts, and then it rests.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.identity.domain.identifying import COMPARED
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.redoing import (
    BEFORE_ALL,
    Phase,
    Redo,
    Said,
    Step,
    advanced,
    reread,
    says_else,
)
from headwater.identity.domain.resolving.values import Incoming
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.redo_ports import RedoStore, RedoTransaction
from headwater.identity.usecases.relay import Bell
from headwater.identity.usecases.resolve import Resolver
from headwater.kernel.errors import PreconditionFailed, Unavailable
from headwater.kernel.ids import TenantId

RELEASE_S: Final = 2.0
"""Longest that the end of the process waits for the lease to be given back; else it lapses by itself."""
TENANTS_MAX: Final = 1_000
"""Tenants of one look for work."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedoSettings:
    """How much of the service the job takes.

    Args:
        batch_records: of one transaction. records_per_s: on average, of all tenants together.
        check_s: between two looks for tenants that have records by older rules.
        lease_s: after so long without a word from a process another one goes on.
        timeout_s: longest wait for the tenant's lock.
    """

    batch_records: int = 20
    records_per_s: float = 500.0
    check_s: float = 60.0
    lease_s: float = 60.0
    timeout_s: float = 30.0


class TakenOver(Exception):
    """Somebody else has the lease."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the rules would change of some records.

    Args:
        records: looked at; behind: by older rules; changed: of these, that would say something else; keys: that would
            be found by other keys.
        after: where the next ones begin; None when there are none.
    """

    records: int
    behind: int
    changed: int
    keys: int
    after: RecordId | None


@dataclass(frozen=True, slots=True)
class Redoer:
    """Goes over the records of all tenants.

    Args:
        holder: names this process.
        bell: rings when somebody asks for a going over.
    """

    store: RedoStore
    resolver: Resolver
    holder: str
    bell: Bell
    settings: RedoSettings = RedoSettings()

    async def run(self) -> None:
        """Look for work until cancelled; a database that is away only delays."""
        while True:
            try:
                await self.redo_due()
            except Unavailable as error:
                _log.warning("going over records waits: %s", error.message)
            except Exception:  # noqa: BLE001 - the job's edge: live calls go on whatever it meets, and it tries again
                _log.exception("going over records failed; it goes on from there at the next look")
            await self.bell.wait(self.settings.check_s)

    async def redo_due(self) -> None:
        """Go over every tenant that needs it and that nobody else has.

        Cancellation: the batch under way is as if it had not begun; whoever comes next goes on with it.
        """
        for tenant_id in await self.store.list_due(self.resolver.rules.version, TENANTS_MAX):
            try:
                await self._redo(tenant_id)
            except TakenOver:
                _log.info("another process goes over the records of tenant %s", tenant_id)
            except PreconditionFailed as error:
                _log.error("the records of tenant %s wait to be gone over: %s", tenant_id, error.message)

    async def start(self, tenant_id: TenantId) -> Redo | None:
        """Ask for a tenant's records to be gone over, whether any is by older rules or not."""
        await self.store.start(tenant_id, self.resolver.rules.version, self._now())
        self.bell.notify()
        return await self.store.find(tenant_id)

    async def status(self, tenant_id: TenantId) -> tuple[Redo | None, bool]:
        """Return how far a tenant is, and whether it has records by older rules.

        In this order: what is done when it is read has no older records afterwards.
        """
        redo = await self.store.find(tenant_id)
        return redo, await self.store.has_older(tenant_id, self.resolver.rules.version)

    async def preview(self, tenant_id: TenantId, after: RecordId, records_max: int) -> Preview:
        """Say of some records what the rules would change; writes nothing."""
        page = await self.store.list_said(tenant_id, after, records_max)
        found = reread(page, self.resolver.rules)
        changed = [one for one in found.changed if says_else(one)]
        keys = sum(set(one.before.keys) != set(one.after.keys) for one in changed)
        behind = len(found.same) + len(found.changed)
        return Preview(
            len(page), behind, len(changed), keys, page[-1].record_id if len(page) == records_max else None
        )

    async def _redo(self, tenant_id: TenantId) -> None:
        now = self._now()
        redo = await self.store.take(
            tenant_id, self.resolver.rules.version, self.holder, now, self._until(now)
        )
        if redo is not None:
            _log.info("going over the records of tenant %s by rules %s", tenant_id, redo.version)
            try:
                await self.go_on(redo)
            except anyio.get_cancelled_exc_class():
                with anyio.move_on_after(RELEASE_S, shield=True):
                    await self.store.release(redo, self._now())
                raise

    async def go_on(self, redo: Redo) -> None:
        """Go over a tenant's records from where it is, batch by batch, resting between them.

        Raises:
            TakenOver: somebody else has the lease; the last batch is as if it had not begun.
        """
        while redo.phase != "done":
            started = anyio.current_time()
            redo, seen = await self._batch(redo)
            rest_s = seen / self.settings.records_per_s - (anyio.current_time() - started)
            await anyio.sleep(max(0.0, rest_s))

    async def _batch(self, redo: Redo) -> tuple[Redo, int]:
        """Go over the next records in one transaction; return where it is now, and how many they were.

        Raises:
            TakenOver: the lease lapsed and somebody else has it; nothing is written.
        """
        weights = await self.resolver.weights.of(redo.tenant_id)
        async with self.store.alone(redo.tenant_id, self.settings.timeout_s) as transaction:
            page = await transaction.list_said(redo.after, self.settings.batch_records)
            changed, merged = (
                await self._rewrite(transaction, page)
                if redo.phase == "rewrite"
                else await self._resolve(transaction, page, weights)
            )
            phase, after = await self._next(transaction, redo, page)
            step = Step(phase, after, len(page), changed, merged)
            now = self._now()
            if not await transaction.advance(redo, step, now, self._until(now)):
                raise TakenOver
        if merged:
            self.resolver.wake.notify()
        return advanced(redo, step), len(page)

    async def _next(
        self, transaction: RedoTransaction, redo: Redo, page: Sequence[Said]
    ) -> tuple[Phase, RecordId]:
        if len(page) == self.settings.batch_records:
            return redo.phase, page[-1].record_id
        if redo.phase == "rewrite":
            await transaction.forget_generic()
            return "resolve", BEFORE_ALL
        return "done", redo.after

    async def _rewrite(self, transaction: RedoTransaction, page: Sequence[Said]) -> tuple[int, int]:
        found = reread(page, self.resolver.rules)
        await transaction.rewrite(found)
        return sum(says_else(one) for one in found.changed), 0

    async def _resolve(
        self, transaction: RedoTransaction, page: Sequence[Said], weights: Mapping[str, Weights]
    ) -> tuple[int, int]:
        records = [
            Incoming(one.record_id, one.ref, one.event_key, one.identified, digest=one.digest)
            for one in page
            if one.ref.object in COMPARED
        ]
        if not records:
            return 0, 0
        plan = await self.resolver.resolve_in(transaction, records, weights, again=True)
        return 0, len(plan.merges)

    def _now(self) -> dt.datetime:
        return self.resolver.telling.clock.now()

    def _until(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(seconds=self.settings.lease_s)
