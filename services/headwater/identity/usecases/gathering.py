"""Calls of one tenant that wait for each other are resolved together: while one batch commits, the next gathers.

A tenant's batches happen one after the other, so what waits might as well go in one: eight callers that
bring one record each cost one transaction, not eight. Callers who were just answered are mostly back at once with
their next record; whoever leads waits a moment for them, or batches of one and of all the others would take turns.
Owns who leads a batch; must not know what it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import anyio

from headwater.kernel.ids import TenantId

PATIENT_RECORDS_MAX: Final = 100
"""Records of a batch behind which its callers are waited for: those of larger ones work while another's runs."""

Record = TypeVar("Record")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Call(Generic[Record, Answer]):
    """One caller's records.

    Args:
        alone: a batch that it was in failed, so it goes by itself: one call's fault is not another's.
    """

    records: Sequence[Record]
    answers: Sequence[Answer] | None = None
    alone: bool = False
    turn: anyio.Event = field(default_factory=anyio.Event)


class Gathering(Generic[Record, Answer]):
    """Gathers calls by tenant.

    Args:
        run: resolves a batch of a tenant, one answer per record; the last argument is the time left in seconds.
        records_max: of one batch, unless one call alone has more.
        patience_s: longest wait for callers who are expected back.
    """

    def __init__(
        self,
        run: Callable[[TenantId, Sequence[Record], float | None], Awaitable[Sequence[Answer]]],
        records_max: int,
        patience_s: float = 0.0,
    ) -> None:
        self._run, self._records_max, self._patience_s = run, records_max, patience_s
        self._waiting: dict[TenantId, deque[_Call[Record, Answer]]] = {}
        self._led: set[TenantId] = set()
        self._expected: dict[TenantId, int] = {}
        self._complete: dict[TenantId, anyio.Event] = {}

    async def resolve(
        self, tenant_id: TenantId, records: Sequence[Record], timeout_s: float | None
    ) -> Sequence[Answer]:
        """Return one answer per record.

        Cancellation: others that were gathered with this call go on by themselves.
        """
        call = _Call[Record, Answer](records)
        self._waiting_of(tenant_id).append(call)
        self._note_arrival(tenant_id)
        try:
            while call.answers is None:
                if tenant_id in self._led:
                    await call.turn.wait()
                    call.turn = anyio.Event()
                else:
                    await self._lead(tenant_id, call, timeout_s)
        finally:
            if call in self._waiting_of(tenant_id):
                self._waiting_of(tenant_id).remove(call)
            self._wake(tenant_id)
        return call.answers

    async def _lead(self, tenant_id: TenantId, call: _Call[Record, Answer], timeout_s: float | None) -> None:
        """Resolve a call with those that wait beside it."""
        self._led.add(tenant_id)
        try:
            await self._wait_for_others(tenant_id, call)
            batch = self._gather(tenant_id, call)
        except BaseException:
            self._led.discard(tenant_id)
            raise
        try:
            records = [record for one in batch for record in one.records]
            answers = iter(await self._run(tenant_id, records, timeout_s))
            for one in batch:
                one.answers = [next(answers) for _ in one.records]
        except BaseException:
            for one in reversed(batch[1:]):
                one.alone = True
                self._waiting_of(tenant_id).appendleft(one)
            raise
        finally:
            self._led.discard(tenant_id)
            self._expect(tenant_id, batch)
            for one in batch[1:]:
                one.turn.set()

    def _expect(self, tenant_id: TenantId, batch: Sequence[_Call[Record, Answer]]) -> None:
        """Note how many callers there seem to be: those just answered and those who came meanwhile."""
        callers = len(batch) + len(self._waiting.get(tenant_id, ()))
        if self._patience_s and callers > 1 and sum(len(one.records) for one in batch) <= PATIENT_RECORDS_MAX:
            self._expected[tenant_id] = callers

    async def _wait_for_others(self, tenant_id: TenantId, call: _Call[Record, Answer]) -> None:
        expected = self._expected.get(tenant_id, 0)
        try:
            if not call.alone and len(self._waiting_of(tenant_id)) < expected:
                self._complete[tenant_id] = anyio.Event()
                with anyio.move_on_after(self._patience_s):
                    await self._complete[tenant_id].wait()
        finally:
            self._complete.pop(tenant_id, None)
            self._expected.pop(tenant_id, None)

    def _note_arrival(self, tenant_id: TenantId) -> None:
        complete = self._complete.get(tenant_id)
        if complete and len(self._waiting[tenant_id]) >= self._expected[tenant_id]:
            complete.set()

    def _gather(self, tenant_id: TenantId, call: _Call[Record, Answer]) -> list[_Call[Record, Answer]]:
        waiting = self._waiting_of(tenant_id)
        waiting.remove(call)
        batch, count = [call], len(call.records)
        while waiting and not call.alone and not waiting[0].alone:
            count += len(waiting[0].records)
            if count > self._records_max:
                break
            batch.append(waiting.popleft())
        return batch

    def _waiting_of(self, tenant_id: TenantId) -> deque[_Call[Record, Answer]]:
        """Return the calls that wait; the queue goes whenever it is empty, so nobody may keep it."""
        return self._waiting.setdefault(tenant_id, deque())

    def _wake(self, tenant_id: TenantId) -> None:
        """Let the next one lead, unless somebody does."""
        waiting = self._waiting.get(tenant_id)
        if not waiting:
            self._waiting.pop(tenant_id, None)
        elif tenant_id not in self._led:
            waiting[0].turn.set()
