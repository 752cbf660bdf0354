"""The driver against a service with planted faults: each is found, and a sound service gives a clean report."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import anyio
import grpc
import pytest
from tests.fuzz.driving import SINGLE_SHARE, WINDOW_MESSAGES, Driver, Pace
from tests.fuzz.judging import Judge
from tests.fuzz.methods import INGEST, Request
from tests.fuzz.policy import POLICY, TENANTS
from tests.fuzz.reporting import Report
from tests.fuzz.seen import Seen

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.policy.loading import load_policy

pytestmark = pytest.mark.anyio

KEY = "018f2c3a-0000-7000-8000-000000000001"
PACE = Pace(requests=60, seconds=10, callers=3, streams=2, deadline_s=0.4, margin_s=0.4)


class Faulty(ingest_pb2_grpc.IngestServiceServicer):
    """Answers as ingest does, but for events whose external id names a fault."""

    async def RecordEvent(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the contract
        """Record nothing, say ACCEPTED."""
        del context
        return ingest_pb2.RecordEventResponse(outcome=(await _outcomes([request.event]))[0])

    async def StreamEvents(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Record nothing, acknowledge each message."""
        del context
        async for request in request_iterator:
            outcomes = await _outcomes(request.events)
            yield ingest_pb2.StreamEventsResponse(batch_number=request.batch_number, outcomes=outcomes)


async def _outcomes(events: Any) -> list[ingest_pb2.EventOutcome]:
    fault = next((item.external_id for item in events), "")
    if fault == "raises":
        raise ValueError("planted")
    if fault == "hangs":
        await anyio.sleep_forever()
    if fault == "no-disposition":
        return [ingest_pb2.EventOutcome(event_key=KEY) for _ in events]
    count = len(events) + (fault == "one-more")
    return [ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key=KEY)] * count


class Fixed:
    """Requests that are all sound, but for one in twenty."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._number = 0

    def unary(self) -> Request:
        """Return a single event."""
        message = ingest_pb2.RecordEventRequest(tenant_id=TENANTS[0], event=self._event())
        return Request(INGEST["RecordEvent"], message.SerializeToString(), message)

    def streamed(self) -> Request:
        """Return a batch of one."""
        message = ingest_pb2.StreamEventsRequest(tenant_id=TENANTS[0], events=[self._event()])
        message.batch_number = self._number
        return Request(INGEST["StreamEvents"], message.SerializeToString(), message)

    def _event(self) -> event_pb2.Event:
        self._number += 1
        named = self._fault if self._number % 20 == 0 else "sound"
        return event_pb2.Event(
            source="shop", object="contact", external_id=named, payload=b'{"email":"a@b.co"}'
        )


@pytest.fixture(scope="module")
async def address(anyio_backend: str) -> AsyncIterator[str]:
    """host:port of the service with faults; one for the module, whose event loop outlives every call to it."""
    assert anyio_backend == "asyncio"
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(Faulty(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(1.0)


async def drive(address: str, fault: str, pace: Pace = PACE) -> Report:
    judge = Judge(Seen(), load_policy(POLICY))
    return await Driver(address, INGEST["StreamEvents"], Fixed(fault), judge, pace, random.Random(3)).run()


async def test_a_sound_service_gives_a_clean_report(address: str) -> None:
    """All requests are answered, nothing is found."""
    report = await drive(address, "sound")
    assert report.requests == PACE.requests
    assert report.clean, report.lines()


async def test_streams_leave_single_calls_their_share(address: str) -> None:
    """However much faster they are: here one caller beside eight streams."""
    pace = Pace(400, 10, callers=1, streams=8)
    report = await drive(address, "sound", pace)
    assert report.codes["RecordEvent OK"] >= pace.requests * SINGLE_SHARE, report.lines()


@pytest.mark.parametrize(
    ("fault", "breach"),
    [
        ("raises", "UNKNOWN"),
        ("no-disposition", "outcome without disposition"),
    ],
)
async def test_a_planted_fault_is_found(address: str, fault: str, breach: str) -> None:
    """A handler that raises, one that answers wrongly; the run goes on, but for what an ended stream takes along."""
    report = await drive(address, fault)
    assert any(breach in kind for kind in report.breaches), report.lines()
    ended = sum(count for code, count in report.codes.items() if code == "StreamEvents UNKNOWN")
    assert report.requests + ended * WINDOW_MESSAGES >= PACE.requests


async def test_a_call_that_hangs_is_found(address: str) -> None:
    """The deadline ends it, and that is a finding."""
    report = await drive(address, "hangs", Pace(40, 10, callers=2, streams=0, deadline_s=0.4, margin_s=0.4))
    assert any("DEADLINE_EXCEEDED" in kind for kind in report.breaches), report.lines()


async def test_a_stream_that_hangs_is_found(address: str) -> None:
    """The watch ends a stream that answers nothing, and the run goes on."""
    report = await drive(address, "hangs", Pace(40, 10, callers=1, streams=2, deadline_s=0.4, margin_s=0.4))
    assert any(kind.startswith("StreamEvents") and "hang" in kind for kind in report.breaches), report.lines()


async def test_a_wrong_count_of_outcomes_is_found(address: str) -> None:
    """One outcome more than events."""
    report = await drive(address, "one-more", Pace(40, 10, callers=0, streams=1, deadline_s=1))
    assert any("outcomes" in kind for kind in report.breaches), report.lines()
    assert report.findings[0].wire
