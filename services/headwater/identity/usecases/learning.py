"""Learning a tenant's weights: a bounded sample is read, taught from off the event loop, and kept as a new version.

Owns the order of it and what happens to the version. What is learnt and whether it may be used is `domain.teaching`.
Of two who learn at once, the one that writes first wins: the other was held against what no longer counts.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from headwater.identity.domain.identifying import COMPARED
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.answers import is_held_out
from headwater.identity.domain.scoring.sizes import doublings_of, shipped_for
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.domain.scoring.versions import SHIPPED, name_of
from headwater.identity.domain.scoring.weights import dump
from headwater.identity.domain.teaching import Bounds, Lesson, Outcome
from headwater.identity.domain.weighing import Activation, MadeBy, Source, Version
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.identity.weights_ports import (
    Assignment,
    Classroom,
    GivenAnswer,
    Progress,
    SampledRecord,
    WeightsStore,
)
from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound, Overloaded, PreconditionFailed, Unavailable
from headwater.kernel.ids import TenantId

BATCH_RECORDS: Final = 2_000
"""Records of one statement while the sample is read; some 600 kB."""
GENERIC_VALUES_MAX: Final = 50_000
VERSIONS_KEPT: Final = 20
"""Versions of one object that are kept beside the one that counts."""
BUSY_RETRY_S: Final = 30.0
_FIRST: Final = RecordId(str(uuid.UUID(int=0)))
_IDS: Final = 2**128


@dataclass(frozen=True, slots=True)
class LearningLimits:
    """Bounds of one run.

    Args:
        records_max: of a tenant, all objects together; beyond it a random sample.
        answers_max: the newest of people's.
        timeout_s: of a whole run.
    """

    records_max: int = 100_000
    answers_max: int = 2_000
    timeout_s: float = 600.0
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants what learnt.

    Args:
        objects: in this order. activate: make it count where nothing speaks against it. dry: keep nothing.
        by_clock: nobody asked; it was time.
    """

    objects: Sequence[str]
    actor: Actor
    activate: bool = False
    dry: bool = False
    by_clock: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of one object; number is 0 when no version was kept."""

    object: str
    lesson: Lesson
    number: int = 0
    active: bool = False


@dataclass(frozen=True, slots=True)
class _Sample:
    """How many records of each object were read, and the share of all ids that they are from."""

    counts: Mapping[str, int]
    covered: float = 1.0

    def population(self, object_name: str) -> int:
        """Return how many records of an object there are, about: ids are spread evenly."""
        return round(self.counts[object_name] / self.covered) if self.covered else 0


@dataclass(frozen=True, slots=True)
class _Heard:
    """What teaches beside an object's records: answers, generic values, how many records there are."""

    answers: Sequence[GivenAnswer]
    shared: Sequence[str]
    population: int


class Learner:
    """Learns, one run at a time in a process."""

    def __init__(
        self,
        store: WeightsStore,
        weights: ActiveWeights,
        classroom: Classroom,
        limits: LearningLimits,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._store, self._weights, self._classroom = store, weights, classroom
        self._limits, self._clock, self._chance = limits, clock, chance
        self._busy = False

    async def learn(
        self, tenant_id: TenantId, wish: Wish, timeout_s: float | None, progress: Progress
    ) -> Sequence[Learned]:
        """Learn each object that has records, and keep what is new.

        Raises:
            Overloaded: this process learns already.
            PreconditionFailed: somebody else learnt or activated meanwhile.
            Unavailable: the time was too short, or the process that learns died.

        Cancellation: the process that learns is ended; objects that were done stay done.
        """
        if self._busy:
            raise Overloaded("weights are being learnt already; try again", retry_after_s=BUSY_RETRY_S)
        self._busy = True
        limit_s = self._limits.timeout_s if timeout_s is None else min(timeout_s, self._limits.timeout_s)
        try:
            with anyio.fail_after(limit_s):
                return await self._learn(tenant_id, wish, progress)
        except TimeoutError as error:
            raise Unavailable(
                f"learning took longer than {limit_s:.0f} s", reason="LEARNING_TIMED_OUT"
            ) from error
        finally:
            self._busy = False

    async def _learn(self, tenant_id: TenantId, wish: Wish, progress: Progress) -> Sequence[Learned]:
        answers = _by_object(await self._store.list_answers(tenant_id, self._limits.answers_max))
        shared = await self._store.list_generic(tenant_id, GENERIC_VALUES_MAX)
        async with self._classroom.open() as directory:
            sample = await self._read(tenant_id, directory, wish, progress)
            heard = {
                name: _Heard(answers.get(name, ()), shared, sample.population(name)) for name in wish.objects
            }
            done = [
                await self._learn_object(tenant_id, directory / name, name, wish, heard[name], progress)
                for name in wish.objects
                if sample.counts[name]
            ]
        if any(one.active for one in done):
            await self._weights.refresh()
        return done

    async def _read(self, tenant_id: TenantId, directory: Path, wish: Wish, progress: Progress) -> _Sample:
        """Put a sample of a tenant's records down: a stretch of ids that begins anywhere."""
        start = RecordId(str(uuid.UUID(int=self._chance.getrandbits(128))))
        after, wrapped, read = start, False, 0
        counts: Counter[str] = Counter()
        while read < self._limits.records_max:
            asked = min(BATCH_RECORDS, self._limits.records_max - read)
            rows = await self._store.list_sample(tenant_id, after, asked)
            fitting = [row for row in rows if not wrapped or row.record_id <= start]
            await self._put(directory, fitting, wish, counts)
            read += len(fitting)
            await progress("", "reading", read)
            if len(fitting) == asked:
                after = rows[-1].record_id
            elif wrapped:
                return _Sample(counts)
            else:
                after, wrapped = _FIRST, True
        stretch = (uuid.UUID(after).int - uuid.UUID(start).int) % _IDS
        return _Sample(counts, stretch / _IDS)

    async def _put(
        self, directory: Path, rows: Sequence[SampledRecord], wish: Wish, counts: Counter[str]
    ) -> None:
        by_object: dict[str, list[bytes]] = defaultdict(list)
        for row in rows:
            if row.parts and row.object in COMPARED and row.object in wish.objects:
                by_object[row.object].append(row.parts)
        for name, stored in by_object.items():
            await self._classroom.put(directory / name, stored)
            counts[name] += len(stored)

    async def _learn_object(
        self,
        tenant_id: TenantId,
        directory: Path,
        name: str,
        wish: Wish,
        heard: _Heard,
        progress: Progress,
    ) -> Learned:
        active = await self._store.find_active(tenant_id, name)
        assignment = Assignment(
            name,
            await self._store.find_newest(tenant_id, name) + 1,
            active,
            await self._active_body(tenant_id, name, active, heard.population),
            heard.shared,
            [(a.ours, a.theirs, a.same, is_held_out(a.low_id, a.high_id)) for a in heard.answers],
            self._chance.getrandbits(32),
            self._limits.bounds,
            heard.population,
        )
        lesson, body = await self._classroom.teach(directory, assignment, progress)
        if wish.dry or lesson.outcome in {Outcome.KEPT, Outcome.UNCHANGED}:
            return Learned(name, lesson)
        return await self._keep(tenant_id, assignment, lesson, body, wish)

    async def _active_body(self, tenant_id: TenantId, name: str, number: int, population: int) -> bytes:
        if number == SHIPPED:  # those of its size: what it has grown by is nothing that was learnt
            fitting = shipped_for(name, doublings_of(population))
            return dump(replace(fitting, version=name_of(SHIPPED)))
        body = await self._store.find_body(tenant_id, name, number)
        if body is None:
            raise NotFound(f"weights {name_of(number)} of {name} have gone meanwhile")
        await to_thread.run_sync(read_weights, body, name, number)
        return body

    async def _keep(
        self, tenant_id: TenantId, assignment: Assignment, lesson: Lesson, body: bytes, wish: Wish
    ) -> Learned:
        name, number, base = assignment.object, assignment.number, assignment.active_number
        version = self._version(assignment, lesson, wish)
        activate = wish.activate and lesson.outcome is Outcome.FIT
        async with self._store.alone(tenant_id, name) as transaction:
            active = await transaction.active()
            if active != base or not await transaction.insert(version, body):
                raise PreconditionFailed(
                    f"somebody else learnt or activated weights of {name} meanwhile: look at theirs",
                    reason="LEARNT_MEANWHILE",
                    metadata={"object": name, "active_version": str(active)},
                )
            if activate:
                now = version.create_time
                await transaction.switch(Activation(name, number, base, wish.actor, "learnt", now))
            await transaction.prune(VERSIONS_KEPT)
        return Learned(name, lesson, number, activate)

    def _version(self, assignment: Assignment, lesson: Lesson, wish: Wish) -> Version:
        source = Source(
            assignment.active_number,
            lesson.records,
            lesson.pairs,
            lesson.answers,
            lesson.held,
            lesson.agreed_before,
            lesson.agreed_after,
            lesson.findings,
        )
        made_by: MadeBy = "operator"
        if wish.by_clock:
            made_by = "review" if lesson.from_answers else "job"
        return Version(assignment.object, assignment.number, source, made_by, wish.actor, self._clock.now())


def _by_object(answers: Sequence[GivenAnswer]) -> Mapping[str, Sequence[GivenAnswer]]:
    found: dict[str, list[GivenAnswer]] = defaultdict(list)
    for one in answers:
        found[one.object].append(one)
    return found
