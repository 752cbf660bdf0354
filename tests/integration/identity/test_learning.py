"""Learning on Postgres: who wins of two, what is read, what people's answers are, who takes a run on."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.integration.identity.conftest import ACTOR, TENANT, Client, record

from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.weights import dump
from headwater.identity.domain.teaching import Lesson, Outcome
from headwater.identity.domain.weighing import Activation
from headwater.identity.learning.classroom import ProcessClassroom
from headwater.identity.store import PostgresWeightsStore
from headwater.identity.store.session import Sessions
from headwater.identity.usecases.learning import Learner, LearningLimits, Wish
from headwater.identity.usecases.learning_job import LearningJob
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.weights_ports import Assignment, Progress
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Overloaded, PreconditionFailed, Unavailable
from headwater.kernel.ids import TenantId
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

pytestmark = pytest.mark.anyio

ME = Actor(1, "tester", "")
THEIRS = TenantId(TENANT)
LIMITS = LearningLimits()


@dataclass(slots=True)
class Gate:
    """A classroom that teaches the same thing to all, once as many wait as it is for."""

    waits_for: int = 1
    taught: list[Assignment] = field(default_factory=list)
    put_down: list[bytes] = field(default_factory=list)
    outcome: Outcome = Outcome.FIT
    from_answers: bool = False
    full: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Path]:
        """Need no directory."""
        yield Path()

    async def put(self, directory: Path, stored: Sequence[bytes]) -> None:  # noqa: ARG002 - the port's
        """Note what is read."""
        self.put_down.extend(stored)

    async def teach(
        self,
        directory: Path,  # noqa: ARG002 - the port's
        assignment: Assignment,
        progress: Progress,  # noqa: ARG002 - the port's
    ) -> tuple[Lesson, bytes]:
        """Wait for the others."""
        self.taught.append(assignment)
        if len(self.taught) >= self.waits_for:
            self.full.set()
        await self.full.wait()
        version = f"learned-{assignment.number}"
        weights = replace(shipped(assignment.object), version=version, prior_bits=-9.0)
        lesson = Lesson(self.outcome, weights, 10, 60, 0, from_answers=self.from_answers)
        return lesson, dump(weights)


@pytest.fixture
async def store(identity: Client) -> AsyncIterator[PostgresWeightsStore]:
    """Weights on the database of the running service."""
    pool = await open_pool(identity.settings.database_url, application_name="test", size_max=4)
    async with pool:
        yield PostgresWeightsStore(Sessions(pool, Spans.off(), 10.0))


def _learner(
    store: PostgresWeightsStore, classroom: Gate | ProcessClassroom, limits: LearningLimits = LIMITS
) -> Learner:
    weights = ActiveWeights(store, 2)
    return Learner(store, weights, classroom, limits, SteppedClock(), random.Random(1))


async def _unheard(_object: str, _stage: str, _count: int, /) -> None:
    """Tell nobody."""


async def _some_people(identity: Client, count: int = 10) -> None:
    await identity.resolve(*(record(f"{n}", email=f"person{n}@firm.io") for n in range(count)))


@pytest.mark.parametrize("activate", [False, True])
async def test_of_two_who_learn_at_once_one_wins(
    identity: Client, store: PostgresWeightsStore, *, activate: bool
) -> None:
    """The other is told, and only one version is kept, active or proposed."""
    await _some_people(identity)
    gate = Gate(waits_for=2)
    wish = Wish(("contact",), ME, activate=activate)
    won: list[int] = []
    lost: list[str] = []

    async def learn() -> None:
        try:
            (done,) = await _learner(store, gate).learn(THEIRS, wish, 30, _unheard)
        except PreconditionFailed as error:
            lost.append(error.reason)
        else:
            won.append(done.number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(learn)
        tasks.start_soon(learn)
    assert (won, lost) == ([1], ["LEARNT_MEANWHILE"])
    assert [(one.number, one.active) for one in await store.list_versions(THEIRS, "", 0, 10)] == [
        (1, activate)
    ]


async def test_a_process_learns_one_thing_at_a_time(identity: Client, store: PostgresWeightsStore) -> None:
    """A second call is told to come back."""
    await _some_people(identity)
    gate = Gate(waits_for=2)
    learner = _learner(store, gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(learner.learn, THEIRS, Wish(("contact",), ME), 30, _unheard)
        while not gate.taught:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(Overloaded):
            await learner.learn(THEIRS, Wish(("contact",), ME), 30, _unheard)
        gate.full.set()


async def test_an_activation_in_between_wins_over_what_is_being_learnt(
    identity: Client, store: PostgresWeightsStore
) -> None:
    """What was held against weights that count no more is not kept."""
    await _some_people(identity)
    wish = Wish(("contact",), ME, activate=True)
    await _learner(store, Gate()).learn(THEIRS, Wish(("contact",), ME), 30, _unheard)
    gate = Gate(waits_for=2)
    async with anyio.create_task_group() as tasks:

        async def late() -> None:
            with pytest.raises(PreconditionFailed, match="meanwhile"):
                await _learner(store, gate).learn(THEIRS, wish, 30, _unheard)

        tasks.start_soon(late)
        while not gate.taught:
            await anyio.lowlevel.checkpoint()
        async with store.alone(THEIRS, "contact") as transaction:
            await transaction.switch(Activation("contact", 1, 0, ME, "", SteppedClock().now()))
        gate.full.set()
    assert [(one.number, one.active) for one in await store.list_versions(THEIRS, "", 0, 10)] == [(1, True)]


async def test_a_run_ends_at_its_deadline(identity: Client, store: PostgresWeightsStore) -> None:
    """The caller is told; nothing is kept, and the next run may begin."""
    await _some_people(identity)
    learner = _learner(store, Gate(waits_for=99))
    for _ in range(2):
        with pytest.raises(Unavailable, match="longer than"):
            await learner.learn(THEIRS, Wish(("contact",), ME), 0.3, _unheard)
    assert not await store.list_versions(THEIRS, "", 0, 10)


@pytest.mark.parametrize(("most", "read"), [(4, 4), (10, 10), (50, 10)])
async def test_a_sample_is_bounded_and_reads_no_record_twice(
    identity: Client, store: PostgresWeightsStore, most: int, read: int
) -> None:
    """From anywhere in the order of ids, round to where it began."""
    await _some_people(identity)
    gate = Gate()
    await _learner(store, gate, LearningLimits(records_max=most)).learn(
        THEIRS, Wish(("contact",), ME, dry=True), 30, _unheard
    )
    assert (len(gate.put_down), len(set(gate.put_down))) == (read, read)
    assert gate.taught[0].population >= read
    assert most < 50 or gate.taught[0].population == 10


async def test_old_versions_are_forgotten_but_not_what_counts(
    identity: Client, store: PostgresWeightsStore
) -> None:
    """Twenty are kept, and the one that counts, and what a rollback comes back to."""
    await _some_people(identity)
    learner = _learner(store, Gate())
    await learner.learn(THEIRS, Wish(("contact",), ME, activate=True), 30, _unheard)
    await learner.learn(THEIRS, Wish(("contact",), ME, activate=True), 30, _unheard)
    for _ in range(23):
        await learner.learn(THEIRS, Wish(("contact",), ME), 30, _unheard)
    kept = [one.number for one in await store.list_versions(THEIRS, "contact", 0, 100)]
    assert kept == [*range(25, 5, -1), 2, 1]


@pytest.mark.parametrize(
    ("verdict", "same"), [("MERGE", True), ("KEEP_APART", False)], ids=["merge", "keep_apart"]
)
async def test_what_people_answered_is_read_while_it_stands(
    identity: Client, store: PostgresWeightsStore, verdict: str, *, same: bool
) -> None:
    """A decision is one answer about its two records; undone, it is none."""
    page: dict[str, Any] = {"linkedin_url": "linkedin.com/in/sales", "first_name": "Nora"}
    await identity.resolve(
        record("1", last_name="Keller", **page), record("2", source="erp", last_name="Brandt", **page)
    )
    (review,) = (await identity.stub.ListReviews(pb.ListReviewsRequest(tenant_id=TENANT))).reviews
    assert not await store.list_answers(THEIRS, 10)
    done = await identity.stub.DecideReview(
        pb.DecideReviewRequest(
            tenant_id=TENANT,
            candidate_id=review.candidate_id,
            verdict=pb.ReviewVerdict.Value(f"REVIEW_VERDICT_{verdict}"),
            actor=ACTOR,
            request_id=str(uuid.uuid4()),
        )
    )
    (answer,) = await store.list_answers(THEIRS, 10)
    assert (answer.object, answer.same) == ("contact", same)
    assert answer.low_id < answer.high_id
    await identity.stub.UndoReview(
        pb.UndoReviewRequest(
            tenant_id=TENANT, action_id=done.action.action_id, actor=ACTOR, request_id=str(uuid.uuid4())
        )
    )
    assert not await store.list_answers(THEIRS, 10)


async def test_of_two_jobs_one_takes_a_tenant_on(identity: Client, store: PostgresWeightsStore) -> None:
    """And nobody again before the interval is over."""
    await _some_people(identity)
    clock = SteppedClock()

    def job() -> LearningJob:
        learner = _learner(store, Gate())
        return LearningJob(store, learner, clock, random.Random(1), 3_600.0, "propose")

    counts: list[int] = []

    async def look() -> None:
        counts.append(await job().look())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        tasks.start_soon(look)
    assert sorted(counts) == [0, 1]
    clock.advance(3_500)
    assert await job().look() == 0
    clock.advance(200)
    assert await job().look() == 1
    versions = await store.list_versions(THEIRS, "", 0, 10)
    assert [(one.number, one.made_by, one.active) for one in versions] == [
        (2, "job", False),
        (1, "job", False),
    ]


async def test_the_job_uses_what_is_fit_only_when_it_may(
    identity: Client, store: PostgresWeightsStore
) -> None:
    """Set to auto, what nothing speaks against counts at once; what is doubtful waits."""
    await _some_people(identity)
    clock = SteppedClock()
    for outcome, active in ((Outcome.DOUBTFUL, []), (Outcome.FIT, [2])):
        learner = _learner(store, Gate(outcome=outcome))
        await LearningJob(store, learner, clock, random.Random(1), 60.0, "auto").look()
        clock.advance(61)
        found = await store.list_versions(THEIRS, "", 0, 10)
        assert [one.number for one in found if one.active] == active


@pytest.mark.parametrize(("by_clock", "made_by"), [(True, "review"), (False, "operator")])
async def test_a_version_says_how_it_came_about(
    identity: Client, store: PostgresWeightsStore, *, by_clock: bool, made_by: str
) -> None:
    """Answers alone taught it; where a person asked, that counts."""
    await _some_people(identity)
    wish = Wish(("contact",), ME, by_clock=by_clock)
    await _learner(store, Gate(from_answers=True)).learn(THEIRS, wish, 30, _unheard)
    assert [one.made_by for one in await store.list_versions(THEIRS, "", 0, 10)] == [made_by]


async def test_a_process_that_learns_and_dies_is_told(tmp_path: Path) -> None:
    """What it should learn against is no weights: it ends with an error, and so does the call."""
    directory = tmp_path / "contact"
    classroom = ProcessClassroom(SteppedClock())
    await classroom.put(directory, [])
    limits = LearningLimits().bounds
    broken = Assignment("contact", 1, 0, b"nothing", (), (), 1, limits)
    with pytest.raises(Unavailable, match="exit code"):
        await classroom.teach(directory, broken, _unheard)


async def test_what_a_dead_service_left_is_removed(tmp_path: Path) -> None:
    """Its directories go at the next run, those of runs under way stay; one's own goes at the end."""
    clock = SteppedClock()
    classroom = ProcessClassroom(clock, str(tmp_path))
    stale, other, young = (
        tmp_path / name for name in ("headwater-learning-1", "else", "headwater-learning-2")
    )
    for directory in (stale, other, young):
        directory.mkdir()
    now_s = clock.now().timestamp()
    os.utime(stale, (now_s - 9_000, now_s - 9_000))
    os.utime(young, (now_s - 60, now_s - 60))
    async with classroom.open() as own:
        assert (own.parent, own.stat().st_mode & 0o077) == (tmp_path, 0)
    assert [one.exists() for one in (stale, other, young, own)] == [False, True, True, False]


async def test_tenants_are_walked_in_pages(identity: Client, store: PostgresWeightsStore) -> None:
    """Each once, by name."""
    for name in ("zeta", "acme", "beta"):
        await identity.resolve(record("1", email="ann@firm.io"), tenant=name)
    assert await store.list_tenants("", 2) == ["acme", "beta"]
    assert await store.list_tenants("beta", 2) == ["zeta"]
    assert await store.list_sample(TenantId("beta"), RecordId(str(uuid.UUID(int=0))), 5)
