"""The senders against a service that stalls, pushes back, breaks off, or never answers."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import grpc
import pytest
from tests.doubles.fake_ingest import FakeIngest, serving

from headwater.kernel.errors import Overloaded, Unavailable
from headwater.load.answers import Ledger
from headwater.load.driving import Conduct, Post, StreamSender, endless, run_caller
from headwater.load.meter import Meter, Sheet
from headwater.load.raw import RawIngest, open_raw
from headwater.load.schedule import arrivals, steady
from headwater.load.supply import Mixture, Shape, Supply

pytestmark = pytest.mark.anyio

STALL_S = 1.0
Lane = Callable[[RawIngest, Post], Awaitable[None]]


def _post(shape: Shape, *, verify: bool = True, **conduct: Any) -> Post:
    meter = Meter()
    supply = Supply(Mixture(shape=shape, batch=1 if shape == "unary" else 4), random.Random(1), "run00001", 0)
    settings = Conduct(shape, **{"ends_s": time.monotonic() + 5, **conduct})
    return Post(supply, meter, Ledger(shape, supply, meter, verify=verify), settings)


@asynccontextmanager
async def _raw(fake: FakeIngest) -> AsyncIterator[RawIngest]:
    async with serving(fake) as address, open_raw(address, 1) as raws:
        await raws[0].channel.channel_ready()
        yield raws[0]


def _open_loop(rate: float, duration_s: float, each: int) -> Iterator[float]:
    begin_s = time.monotonic()
    due = arrivals(steady(rate, duration_s), "constant", random.Random(1), events_each=each)
    return (begin_s + moment for moment in due)


def _refusing(numbers: range, error: Exception) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number in numbers:
            raise error

    return before


class Stalling(FakeIngest):
    """Answers at once, save that it stands still for a second in the middle."""

    async def BatchRecordEvents(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        if len(self.received) == 20:
            self.received.append(0)
            self.stalled = anyio.Event()
            await anyio.sleep(STALL_S)
            self.stalled.set()
        elif len(self.received) > 20:
            await self.stalled.wait()
        return await super().BatchRecordEvents(request, context)


async def test_a_stall_of_the_service_shows_in_the_corrected_latencies() -> None:
    """One caller, a call due every 10 ms, a stall of a second: one call saw it, a hundred were late for it.

    Uncorrected percentiles hide that (coordinated omission): half of what was due came within half a second.
    """
    post = _post("batch", timeout_s=5.0)
    async with _raw(Stalling()) as raw:
        await run_caller(raw, post, _open_loop(400, 2.0, 4))
    sheet = post.meter.take()
    assert sheet.counts["messages"] == 200
    slow_corrected = sum(
        1 for percent in range(1, 101) if (sheet.corrected.percentile_us(percent) or 0) > 250_000
    )
    assert slow_corrected >= 25
    assert (sheet.uncorrected.percentile_us(99) or 0) < 500_000
    assert sheet.uncorrected.largest_us >= STALL_S * 1e6 * 0.99


@pytest.mark.parametrize("shape", ["batch", "stream"])
async def test_a_push_back_is_waited_out_and_sent_again(shape: Shape) -> None:
    """Everything is recorded once in the end; the waiting is counted apart from errors of other kinds."""
    fake = FakeIngest(before=_refusing(range(3, 6), Overloaded("full", retry_after_s=0.02)))
    post = _post(shape)
    async with _raw(fake) as raw:
        due = _open_loop(400, 0.2, 4)
        await (StreamSender(raw, post, due).run() if shape == "stream" else run_caller(raw, post, due))
    sheet = post.meter.take()
    counts = sheet.counts
    assert sheet.errors["RESOURCE_EXHAUSTED OVERLOADED"] == counts["pushed_back"]
    assert counts["pushed_back"] + sheet.errors["INTERNAL REASON_LOST"] == 3
    assert counts["fresh_recorded"] == len(fake.ledger) == 80
    assert (counts["unknown"], counts["shed"], counts["unexpected"]) == (0, 0, 0)


@pytest.mark.parametrize("shape", ["batch", "stream"])
async def test_a_push_back_that_is_not_honoured_sheds_the_events(shape: Shape) -> None:
    """What was given up is counted: nothing disappears from the sum."""
    fake = FakeIngest(before=_refusing(range(3, 4), Overloaded("full", retry_after_s=0.02)))
    post = _post(shape, honour_retry=False, window=1)
    async with _raw(fake) as raw:
        due = _open_loop(400, 0.2, 4)
        await (StreamSender(raw, post, due).run() if shape == "stream" else run_caller(raw, post, due))
    counts = post.meter.take().counts
    assert counts["shed"] == 4
    assert counts["fresh_recorded"] == len(fake.ledger) == 76


async def test_a_stream_that_breaks_is_opened_anew_and_its_unanswered_are_told() -> None:
    """Whether they were recorded nobody said: they are unknown, the rest of the schedule is sent."""
    fake = FakeIngest(before=_refusing(range(3, 4), Unavailable("gone")))
    post = _post("stream", window=2)
    async with _raw(fake) as raw:
        await StreamSender(raw, post, _open_loop(400, 0.3, 4)).run()
    sheet = post.meter.take()
    assert sheet.errors == {"UNAVAILABLE": 1}
    assert sheet.counts["unknown"] in {4, 8}
    assert sheet.counts["events"] + sheet.counts["unknown"] == sheet.counts["sent_events"] == 120


class Silent(FakeIngest):
    """Takes batches and never answers."""

    async def StreamEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002 - the contract's name
        async for _ in requests:
            await anyio.sleep_forever()
        yield None


async def test_a_stream_that_is_never_answered_ends_by_its_deadline() -> None:
    """The batches count as unanswered, and the sender does not hang."""
    post = _post("stream", timeout_s=0.3, ends_s=time.monotonic() + 0.8)
    async with _raw(Silent()) as raw:
        with anyio.fail_after(8):
            await StreamSender(raw, post, endless(time.monotonic)).run()
    sheet = post.meter.take()
    assert sheet.counts["messages"] == 0
    assert sheet.counts["unknown"] == sheet.counts["sent_events"] > 0
    assert {name.split()[0] for name in sheet.errors} == {"DEADLINE_EXCEEDED"}


class Doubling(FakeIngest):
    """Tells every new event of unary calls a duplicate."""

    async def RecordEvent(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        await super().RecordEvent(request, context)
        return await super().RecordEvent(request, context)


async def test_a_new_event_told_duplicate_is_unexpected() -> None:
    """Whether every answer is parsed or only counted."""
    for verify in (True, False):
        post = _post("unary", verify=verify)
        async with _raw(Doubling()) as raw:
            await run_caller(raw, post, _open_loop(50, 0.1, 1))
        assert post.meter.take().counts["unexpected"] == 5


async def test_nobody_there_is_counted_not_raised() -> None:
    """Every call of the schedule ends with its error."""
    post = _post("unary", timeout_s=0.5)
    async with open_raw("127.0.0.1:1", 1) as raws:
        await run_caller(raws[0], post, _open_loop(50, 0.1, 1))
    sheet: Sheet = post.meter.take()
    assert sum(sheet.errors.values()) == sheet.counts["unknown"] == 5
    assert grpc.StatusCode.UNAVAILABLE.name in next(iter(sheet.errors))
