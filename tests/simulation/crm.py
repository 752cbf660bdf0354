"""A CRM: records, an append-only log of arrivals, a limiter of its own, and faults by plan.

Owns what a vendor's side of the wire does. Everything that arrives is logged before it is judged, so the log is
the oracle of what the engine really did. Must not know the engine: it sees requests only.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.simulation.store.link import Note

Kind = Literal["prepare", "write", "read", "owners"]
RETRY_AFTER_S: Final = (1.0, 6.0)
"""What a storm asks for."""
DAY_S: Final = 3600.0
"""What is asked for when the day's quota is used up."""
WAY_S: Final = (0.001, 0.03)
"""How long a request or an answer travels."""
SLOW_S: Final = (0.5, 2.5)
"""How long a slow answer takes beyond that."""


@dataclass(frozen=True, slots=True)
class CrmWrite:
    """One row of a write.

    Args:
        external_id: whose record it is to be.
        crm_id: the record to change; empty: by external id, or a new one.
    """

    external_id: str
    crm_id: str
    fields: Mapping[str, Any]
    references: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it goes over the wire."""

    kind: Kind
    sender: str
    crm_object: str = ""
    writes: tuple[CrmWrite, ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(slots=True)
class CrmRecord:
    """A record as the CRM holds it."""

    crm_object: str
    crm_id: str
    external_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    references: dict[str, tuple[str, ...]] = field(default_factory=dict)
    change_time: float = 0.0


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What became of one row of a write: status 200, 201, 400, 404, 409 or 503."""

    status: int
    crm_id: str = ""
    existing_crm_id: str = ""


@dataclass(frozen=True, slots=True)
class CrmAnswer:
    """What came back."""

    status: int
    rows: tuple[RowAnswer, ...] = ()
    found: tuple[CrmRecord, ...] = ()
    retry_after_s: float | None = None
    daily_used: int | None = None


@dataclass(slots=True)
class Arrival:
    """One call that reached the CRM."""

    number: int
    send_time: float
    arrive_time: float
    request: Request
    status: int = 0
    applied: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """One visible change: a record was created or one of its fields moved."""

    time: float
    arrival: int
    sender: str
    crm_object: str
    crm_id: str
    external_id: str
    created: bool
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class CrmNature:
    """What kind of CRM it is.

    Args:
        unique_external_id: whether a write without an id finds the record by its external id; else it creates one.
        unique_field: a field of which two records may not have the same value; empty for none.
        rejected: values of `Title` that are refused for ever.
    """

    calls: int
    window_s: float
    unique_external_id: bool = True
    unique_field: str = ""
    daily_calls: int = 0


Ailment = Literal["down", "errors", "storm", "lost", "hang", "gateway", "partial", "slow", "unauthorized"]
AilmentsAt = Callable[[], frozenset[Ailment]]


class Crm:
    """One account at a vendor."""

    def __init__(
        self,
        name: str,
        nature: CrmNature,
        loop: asyncio.AbstractEventLoop,
        chance: random.Random,
        ailments: AilmentsAt,
        note: Note,
    ) -> None:
        self.name = name
        self.nature = nature
        self.records: dict[tuple[str, str], CrmRecord] = {}
        self.arrivals: list[Arrival] = []
        self.effects: list[Effect] = []
        self.over_limit: list[float] = []
        self.over_quota: list[float] = []
        self.under_way = 0
        self.under_way_max = 0
        self.refuses: Callable[[CrmWrite], bool] = lambda _: False
        self.on_effect: Callable[[Crm, Effect, CrmRecord], None] = lambda *_: None
        self._loop = loop
        self._chance = chance
        self._ailments = ailments
        self._note = note
        self._window: deque[float] = deque()
        self._context = contextvars.Context()
        self._created = 0
        self._storm_until = 0.0

    # The wire

    def send(self, request: Request) -> asyncio.Future[CrmAnswer]:
        """Send *request* now; the future has the answer, `ConnectionRefusedError`, or never anything."""
        future: asyncio.Future[CrmAnswer] = self._loop.create_future()
        sent = self._loop.time()
        way_s = self._chance.uniform(*WAY_S)
        if "down" in self._ailments():
            self._later(way_s, _fail, future, ConnectionRefusedError())
        else:
            self._later(way_s, self._arrive, request, sent, future)
        return future

    def _later(self, after_s: float, callback: Callable[..., object], *args: Any) -> None:
        self._loop.call_later(after_s, callback, *args, context=self._context)

    def _arrive(self, request: Request, sent: float, future: asyncio.Future[CrmAnswer]) -> None:
        arrival = Arrival(len(self.arrivals), sent, self._loop.time(), request)
        self.arrivals.append(arrival)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        ailments = self._ailments()
        answer = self._judge(arrival, ailments)
        self._note(
            "crm", self.name, request.kind, request.sender, answer.status if answer else 0, arrival.applied
        )
        arrival.status = answer.status if answer else 0
        delay_s = self._chance.uniform(*WAY_S)
        if "slow" in ailments and self._chance.random() < 0.5:
            delay_s += self._chance.uniform(*SLOW_S)
        self._later(delay_s, self._answer, arrival, answer, future)

    def _answer(self, arrival: Arrival, answer: CrmAnswer | None, future: asyncio.Future[CrmAnswer]) -> None:
        self.under_way -= 1
        if answer is not None and not future.done():
            arrival.answered = True
            future.set_result(answer)

    # What it answers

    def _judge(self, arrival: Arrival, ailments: frozenset[Ailment]) -> CrmAnswer | None:
        if not self._admit(arrival.arrive_time):
            return CrmAnswer(429, retry_after_s=self.nature.window_s)
        if self.nature.daily_calls and len(self.arrivals) > self.nature.daily_calls:
            self.over_quota.append(arrival.arrive_time)
            return CrmAnswer(429, retry_after_s=DAY_S)
        if "storm" in ailments and (arrival.arrive_time < self._storm_until or self._chance.random() < 0.4):
            wait_s = self._chance.uniform(*RETRY_AFTER_S)
            self._storm_until = max(self._storm_until, arrival.arrive_time + wait_s)
            return CrmAnswer(429, retry_after_s=wait_s)
        if "unauthorized" in ailments:
            return CrmAnswer(401)
        if "errors" in ailments and self._chance.random() < 0.85:
            return CrmAnswer(503)
        if "hang" in ailments and self._chance.random() < 0.8:
            return None
        answer = self._serve(arrival, partial="partial" in ailments)
        if "lost" in ailments and self._chance.random() < 0.5:
            return None
        if "gateway" in ailments and self._chance.random() < 0.5:
            return CrmAnswer(502)
        return answer

    def _admit(self, now: float) -> bool:
        """Count the arrival in the sliding window; note when there are more than the limit allows."""
        while self._window and self._window[0] <= now - self.nature.window_s:
            self._window.popleft()
        self._window.append(now)
        if len(self._window) > self.nature.calls:
            self.over_limit.append(now)
            return False
        return True

    def _serve(self, arrival: Arrival, *, partial: bool) -> CrmAnswer:
        request, used = arrival.request, len(self.arrivals)
        if request.kind == "prepare":
            return CrmAnswer(200, daily_used=used)
        if request.kind == "read":
            found = [r for r in self._of(request.crm_object) if r.external_id in request.ids]
            return CrmAnswer(200, found=tuple(_copy(item) for item in found), daily_used=used)
        if request.kind == "owners":
            found = [r for r in self._of(request.crm_object) if r.crm_id in request.ids]
            return CrmAnswer(200, found=tuple(_copy(item) for item in found), daily_used=used)
        arrival.applied = True
        rows = []
        for write in request.writes:
            if partial and self._chance.random() < 0.4:
                rows.append(RowAnswer(503))
            else:
                rows.append(self._apply(arrival, write))
        return CrmAnswer(200, tuple(rows), daily_used=used)

    def _of(self, crm_object: str) -> Sequence[CrmRecord]:
        return [record for (name, _), record in self.records.items() if name == crm_object]

    # What it holds

    def _apply(self, arrival: Arrival, write: CrmWrite) -> RowAnswer:
        crm_object = arrival.request.crm_object
        if self.refuses(write):
            return RowAnswer(400)
        record = self._record_of(crm_object, write)
        if record is None and write.crm_id:
            return RowAnswer(404)
        holder = self._holder(crm_object, write, record)
        if holder is not None:
            return RowAnswer(409, existing_crm_id=holder.crm_id)
        created = record is None
        if record is None:
            self._created += 1
            record = CrmRecord(crm_object, f"{self.name}-{self._created}", write.external_id)
            self.records[(crm_object, record.crm_id)] = record
        changes = _change(record, write)
        if created or changes:
            record.change_time = arrival.arrive_time
            self.effects.append(
                Effect(
                    arrival.arrive_time, arrival.number, arrival.request.sender, crm_object, record.crm_id,
                    record.external_id, created, changes,
                )
            )  # fmt: skip
            self.on_effect(self, self.effects[-1], record)
        return RowAnswer(201 if created else 200, record.crm_id)

    def _record_of(self, crm_object: str, write: CrmWrite) -> CrmRecord | None:
        if write.crm_id:
            return self.records.get((crm_object, write.crm_id))
        if not self.nature.unique_external_id:
            return None
        return next((r for r in self._of(crm_object) if r.external_id == write.external_id), None)

    def _holder(self, crm_object: str, write: CrmWrite, own: CrmRecord | None) -> CrmRecord | None:
        name = self.nature.unique_field
        value = write.fields.get(name) if name else None
        if value is None:
            return None
        return next((r for r in self._of(crm_object) if r is not own and r.fields.get(name) == value), None)

    # What people do in it

    def add_by_hand(self, crm_object: str, fields: Mapping[str, Any]) -> str:
        """Create a record that nobody sent; return its id."""
        self._created += 1
        crm_id = f"{self.name}-{self._created}"
        self.records[(crm_object, crm_id)] = CrmRecord(crm_object, crm_id, "", dict(fields))
        return crm_id

    def delete_by_hand(self, crm_object: str, crm_id: str) -> None:
        """Delete a record."""
        self.records.pop((crm_object, crm_id), None)
        self._note("crm", self.name, "deleted", crm_id)


def _change(record: CrmRecord, write: CrmWrite) -> dict[str, tuple[Any, Any]]:
    changes: dict[str, tuple[Any, Any]] = {}
    if record.external_id != write.external_id:
        changes["#external_id"] = (record.external_id, write.external_id)
        record.external_id = write.external_id
    for name, value in write.fields.items():
        before = record.fields.get(name)
        if before != value:
            changes[name] = (before, value)
        if value is None:
            record.fields.pop(name, None)
        else:
            record.fields[name] = value
    for name, targets in write.references:
        if record.references.get(name) != targets:
            changes[f"#{name}"] = (record.references.get(name), targets)
            record.references[name] = targets
    return changes


def _copy(record: CrmRecord) -> CrmRecord:
    return CrmRecord(
        record.crm_object, record.crm_id, record.external_id, dict(record.fields), dict(record.references)
    )


def _fail(future: asyncio.Future[CrmAnswer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
