"""A stream's mark never goes ahead of what is kept; what it cannot tell, the pollers are called for."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import anyio
import pytest
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT, policy

from headwater.connectors.base import CallFailed, Connector, ErrorClass, VendorError
from headwater.connectors.base.streaming import Heard, Hearing, Listened, MarkLost
from headwater.kernel.clock import SteppedClock
from headwater.policy.account import Events, PubSub
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.streaming import StreamPlan, StreamState, StreamStep, step_of, stream_plans
from headwater.sync.metering import StreamMeter
from headwater.sync.streaming.listening import CUTS_MAX, Listening

pytestmark = pytest.mark.anyio

TOPIC: Final = "/data/ContactChangeEvent"
PLAN: Final = StreamPlan(
    "stream/crm/ContactChangeEvent",
    Listened(TOPIC, {"Contact": frozenset({"Email"})}),
    {"Contact": "poll/crm/Contact"},
    60.0,
)
CUT: Final = CallFailed(VendorError(ErrorClass.NETWORK, "STREAM_ENDED", "cut"))
LOST: Final = MarkLost(VendorError(ErrorClass.FORMAT, "replayid", "forgotten"))
HELD: Final = CallFailed(VendorError(ErrorClass.HELD, "WITHHELD", "the breaker is open"))


def heard(number: int, *ids: str) -> Heard:
    """Return what tells of records, and moves the mark to *number*."""
    return Heard(tuple(("Contact", item) for item in ids), mark=f"{number:02}")


@dataclass
class Vendor:
    """A vendor that tells what the test says, one after the other; an error ends the stream."""

    script: list[Heard | Exception]
    opened: list[str] = field(default_factory=list)

    async def aclose(self) -> None:
        """Nothing to close."""

    @asynccontextmanager
    async def listen(self, listened: Listened, mark: str) -> AsyncIterator[Hearing]:
        """Open a stream."""
        del listened
        self.opened.append(mark)
        yield cast("Hearing", self)

    async def next(self) -> Heard:
        """Return what comes next; at the end of the script nothing ever does."""
        if not self.script:
            await anyio.sleep_forever()
        told = self.script.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


@dataclass
class Book:
    """Streams in memory."""

    state: StreamState = field(default_factory=StreamState)
    steps: list[StreamStep] = field(default_factory=list)
    calls: list[dt.datetime | None] = field(default_factory=list)
    lost: int = 0
    stop: str = ""
    full: anyio.Event = field(default_factory=anyio.Event)
    wants: int = 99
    fault: Exception | None = None

    async def read(self, *_: Any) -> StreamState:
        """Return it."""
        return self.state

    async def keep(
        self, lease: Lease, tenant_id: str, name: str, plan: StreamPlan, step: StreamStep
    ) -> StreamState | None:
        """Keep a step; the mark moves only from where it was."""
        del lease, tenant_id, name, plan
        if self.fault is not None:
            raise self.fault
        if step.before != self.state.mark:
            return None
        self.steps.append(step)
        self.state = StreamState(
            step.heard.mark or self.state.mark, step.catch_up_time or self.state.catch_up_time
        )
        if len(self.steps) >= self.wants:
            self.full.set()
        return self.state

    async def lose(self, lease: Lease, tenant_id: str, name: str, plan: StreamPlan, mark: str) -> None:
        """Forget the mark."""
        del lease, tenant_id, name, plan
        assert mark == self.state.mark
        self.lost += 1
        self.state = StreamState()

    async def catch_up(self, *told: Any) -> None:
        """Note it."""
        self.calls.append(told[-1])

    async def stop_of(self, *_: Any) -> str:
        """Return what the test says."""
        return self.stop


def account(vendor: Vendor) -> RunningAccount:
    """Return a running account."""

    async def connect() -> Connector:
        return cast("Connector", vendor)

    return RunningAccount(
        TENANT, "salesforce", policy(), Lease("connector/acme/salesforce", 1), connect, unguarded
    )


def listening(book: Book) -> Listening:
    """Return what runs streams on *book*."""
    return Listening(book, book, SteppedClock(NOON), random.Random(1), StreamMeter())


async def run_until_kept(book: Book, vendor: Vendor, steps: int) -> None:
    """Listen until so many steps are kept."""
    book.wants = steps
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listening(book).run, account(vendor), PLAN)
            await book.full.wait()
            tasks.cancel_scope.cancel()


async def test_a_cut_stream_goes_on_behind_what_was_kept() -> None:
    """The cut may come before, between and after; every record told is in a step."""
    vendor = Vendor([CUT, heard(1, "a"), CUT, heard(2, "b"), heard(3, "c")])
    book = Book(StreamState("00"))
    await run_until_kept(book, vendor, 3)
    assert vendor.opened == ["00", "00", "01"]
    assert [crm_id for step in book.steps for _, crm_id in step.heard.wanted] == ["a", "b", "c"]
    assert book.calls == []


async def test_a_stream_without_a_mark_calls_the_pollers_and_again_once_it_has_one() -> None:
    """What the vendor shows late of before is polled when it must have shown."""
    book = Book()
    await run_until_kept(book, Vendor([heard(1), heard(2)]), 2)
    assert book.calls == [None]
    assert [step.catch_up_time for step in book.steps] == [NOON + dt.timedelta(seconds=65), None]


async def test_a_place_that_is_forgotten_is_given_up_and_the_pollers_called() -> None:
    """The stream then begins with what is told from now on."""
    book, vendor = Book(StreamState("07")), Vendor([LOST, heard(9, "a")])
    await run_until_kept(book, vendor, 1)
    assert (book.lost, vendor.opened, book.calls) == (1, ["07", ""], [None])


async def test_a_vendor_that_cuts_again_and_again_ends_the_run() -> None:
    """The schedule's own, longer pauses follow; the breaker has counted what would not open."""
    book, vendor = Book(StreamState("00")), Vendor([CUT] * (CUTS_MAX + 1))
    with pytest.raises(CallFailed):
        await listening(book).run(account(vendor), PLAN)
    assert len(vendor.opened) == CUTS_MAX + 1


async def test_an_open_breaker_skips_the_run() -> None:
    """Nobody failed: it is tried again by its schedule."""
    assert await listening(Book()).run(account(Vendor([HELD])), PLAN) == ("skipped", "the breaker is open")
    assert await listening(Book(stop="the account is paused")).run(account(Vendor([])), PLAN) == (
        "skipped",
        "the account is paused",
    )


async def test_a_lost_lease_leaves_the_run_as_itself() -> None:
    """Not within a group: who runs it must know it."""
    book = Book(StreamState("00"), fault=FenceLost(["connector/acme/salesforce"]))
    with pytest.raises(FenceLost):
        await listening(book).run(account(Vendor([heard(1, "a")])), PLAN)


async def test_a_mark_that_another_moved_ends_the_run() -> None:
    """Two that listen never both keep."""
    book = Book(StreamState("00"))
    vendor = Vendor([heard(1, "a"), heard(2, "b")])

    async def moved(*_: Any) -> StreamState:
        return StreamState("elsewhere")

    book.read = moved  # type: ignore[method-assign]
    outcome, _ = await listening(book).run(account(vendor), PLAN)
    assert outcome == "failed"
    assert book.steps == []


def test_what_was_missed_is_polled_now_and_once_more() -> None:
    """An overflow names its object; others are left alone."""
    told = Heard(missed=frozenset({"Contact", "Nobody"}), mark="02")
    step = step_of(PLAN, StreamState("01"), told, NOON)
    assert (step.polls, step.catch_up_time) == (("poll/crm/Contact",), NOON + dt.timedelta(seconds=65))


def listened(**wanted: Any) -> PolicyDocument:
    """Return the policy of a tenant that listens."""
    whole = policy()
    one = whole.connectors["salesforce"]
    polled = one.poll.model_copy(update={"objects": tuple(one.objects)})
    told = one.model_copy(update={"system": "crm", "poll": polled, "events": Events(pubsub=PubSub(**wanted))})
    return whole.model_copy(update={"connectors": {"salesforce": told}})


def test_plans_follow_the_policy() -> None:
    """One topic an object unless it names channels; none where it does not ask."""
    document = listened(window_events=7)
    one = document.connectors["salesforce"]
    read = one.model_copy(
        update={
            "objects": {"contact": one.objects["contact"]},
            "poll": one.poll.model_copy(update={"objects": ("contact",)}),
        }
    )
    document = document.model_copy(update={"connectors": {"salesforce": read}})
    plans = stream_plans(document, "salesforce", lambda names: [f"/data/{name}ChangeEvent" for name in names])
    assert [(plan.topic, plan.schedule, plan.listened.window) for plan in plans.values()] == [
        (TOPIC, "stream/salesforce/ContactChangeEvent", 7)
    ]
    assert stream_plans(policy(), "salesforce", lambda names: names) == {}
