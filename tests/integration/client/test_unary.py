"""One batch at a time: deadlines, retries within their allowance, trace contexts."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from tests.doubles.fake_ingest import FakeIngest, serving
from tests.integration.client.hostile import Full, Scripted, line_to, serving_on
from tests.integration.client.world import client, numbered, one

from headwater.client import (
    Accepted,
    Acknowledged,
    ClientClosed,
    Duplicate,
    EventRefused,
    InvalidInput,
    Outcomes,
    RetryAllowance,
    Unavailable,
)
from headwater.event.v1 import event_pb2

pytestmark = pytest.mark.anyio
SPAN = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(1)))
TRACEPARENT = f"00-{0xA:032x}-{0xB:016x}-01"


async def test_every_call_has_a_deadline() -> None:
    """The service refuses calls without one."""
    fake = Scripted()
    async with serving(fake) as address, client(address) as caller:
        await caller.record([one()])
    (deadline_s,) = fake.deadlines_s
    assert deadline_s is not None
    assert 0 < deadline_s < 5.1  # gRPC rounds it up on the wire


async def test_a_call_carries_the_context_of_its_caller() -> None:
    """In the call's metadata, and in each event that brings none; without any interceptor."""
    fake = Scripted()
    bare = event_pb2.Event(source="crm", object="contact", external_id="bare")
    async with serving(fake) as address, client(address) as caller:
        with use_span(SPAN):
            await caller.record([bare])
            async with caller.recorder() as recorder:
                await recorder.submit(bare)
        await caller.record([bare])
    assert [call.get("traceparent") for call in fake.calls] == [TRACEPARENT, None]
    assert fake.traces == [TRACEPARENT, TRACEPARENT, ""]


async def test_one_event_comes_back_as_its_outcome_or_as_an_error() -> None:
    """A refusal raises with the outcome."""
    async with serving(FakeIngest()) as address, client(address) as caller:
        assert isinstance(await caller.record_one(one(1)), Accepted)
        assert isinstance(await caller.record_one(one(1)), Duplicate)
        with pytest.raises(EventRefused) as caught:
            await caller.record_one(one(1, other=True))
    assert caught.value.reason == "PAYLOAD_CONFLICT"


async def test_outcomes_are_a_sequence_that_is_decoded_when_looked_at() -> None:
    """Length, index, slice, order, equality, and the common case told cheaply."""
    async with serving(FakeIngest()) as address, client(address) as caller:
        first = await caller.record(numbered(0, 3))
        again = await caller.record(numbered(2, 2))
    assert isinstance(first, Outcomes)
    assert isinstance(again, Outcomes)
    assert (len(first), first.all_accepted, again.all_accepted) == (3, True, False)
    assert first == list(first) == [first[0], *first[1:]]
    assert [type(item) for item in again] == [Duplicate, Accepted]


async def test_a_call_that_hangs_is_tried_again_after_its_deadline() -> None:
    """Recording is idempotent: DEADLINE_EXCEEDED is as good as never called."""
    never = anyio.Event()

    class Hanging(Scripted):
        async def BatchRecordEvents(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
            if not self.calls:
                self.calls.append({})
                await never.wait()
            return await super().BatchRecordEvents(request, context)

    async with serving(Hanging()) as address, client(address, call_timeout_s=0.2) as caller:
        assert isinstance(await caller.record_one(one()), Accepted)


async def test_tries_again_are_ours_alone_and_within_their_allowance() -> None:
    """A service that is away is asked once and as often as the allowance has it: the channel adds nothing."""
    fake = FakeIngest(before=_away)
    allowance = RetryAllowance(share=0.0, reserve=3.0, per_s=0.001)
    async with serving(fake) as address, client(address, retries=allowance) as caller:
        with pytest.raises(Unavailable):
            await caller.record([one()])
    assert len(fake.received) == 4


def _away(_: int) -> None:
    raise Unavailable("away")


@pytest.mark.parametrize("retry_after_s", [0.0, None, 0.2])
async def test_a_full_service_is_tried_again_when_it_says(retry_after_s: float | None) -> None:
    """RetryInfo of nothing, none at all, and some."""
    async with serving_on(Full(2, retry_after_s), 0) as (_, port), client(f"127.0.0.1:{port}") as caller:
        began = anyio.current_time()
        assert isinstance(await caller.record_one(one()), Accepted)
        assert anyio.current_time() - began >= 2 * (0.5 if retry_after_s is None else retry_after_s)


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_that_no_service_would_read_does_not_leave(count: int) -> None:
    """Neither by a call nor on a stream, which goes on."""
    fake = FakeIngest()
    told: list[Acknowledged] = []
    async with serving(fake) as address, client(address) as caller:
        with pytest.raises(InvalidInput):
            await caller.record([one()] * count)
        async with caller.stream(told.append) as stream:
            with pytest.raises(InvalidInput):
                await stream.send([one()] * count)
            await stream.send([one()])
    assert fake.received == [1]
    assert len(told) == 1


async def test_a_line_that_was_cut_is_opened_again() -> None:
    """The same call, a new connection."""
    async with serving(FakeIngest()) as target, line_to(target) as (line, address), client(address) as caller:
        await caller.record_one(one(1))
        await line.cut()
        assert isinstance(await caller.record_one(one(2)), Accepted)


async def test_a_client_outside_its_block_says_so() -> None:
    """Rather than to fail somewhere inside."""
    caller = client("127.0.0.1:1")
    with pytest.raises(ClientClosed):
        await caller.record([one()])
