"""The client against a real gRPC server that breaks in the ways services break."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest
from tests.doubles.fake_ingest import FakeIngest, serving

from headwater.client import (
    Accepted,
    Acknowledged,
    BlockingIngestClient,
    ClientSettings,
    Duplicate,
    IngestClient,
    Quarantined,
    event,
)
from headwater.client.backoff import Backoff
from headwater.event.v1 import event_pb2
from headwater.kernel.errors import InvalidInput, Overloaded, Unavailable

pytestmark = pytest.mark.anyio

_FAST = ClientSettings(backoff=Backoff(first_s=0.001, cap_s=0.002), give_up_s=5.0, acknowledge_timeout_s=5.0)
_TIME = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _events(first: int, count: int) -> list[event_pb2.Event]:
    return [event("crm", "contact", str(n), {"n": n}, event_time=_TIME) for n in range(first, first + count)]


def _client(address: str, settings: ClientSettings = _FAST) -> IngestClient:
    return IngestClient(address, "acme", settings=settings, chance=random.Random(1))


def _failing(times: int, error: Exception) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number <= times:
            raise error

    return before


async def test_a_batch_comes_back_with_one_outcome_per_event_in_order() -> None:
    """Accepted, quarantined and duplicate each in the place of their event."""
    broken = event("crm", "contact", "x", {"email": "broken"}, event_time=_TIME)
    async with serving(FakeIngest()) as address, _client(address) as client:
        first = await client.record(_events(0, 2))
        second = await client.record([_events(1, 1)[0], broken, *_events(2, 1)])
    assert [type(item) for item in first] == [Accepted, Accepted]
    assert [type(item) for item in second] == [Duplicate, Quarantined, Accepted]


async def test_a_full_service_is_tried_again_after_the_pause_it_asks_for() -> None:
    """RESOURCE_EXHAUSTED with RetryInfo is waited out."""
    fake = FakeIngest(before=_failing(2, Overloaded("full", retry_after_s=0.05)))
    async with serving(fake) as address, _client(address) as client:
        began = anyio.current_time()
        outcomes = await client.record(_events(0, 1))
    assert isinstance(outcomes[0], Accepted)
    assert anyio.current_time() - began >= 0.1


async def test_a_service_that_stays_full_is_given_up_in_time() -> None:
    """The retry is bounded, and the error says what it was."""
    fake = FakeIngest(before=_failing(1_000, Overloaded("full", retry_after_s=0.05)))
    settings = ClientSettings(backoff=Backoff(0.001, 0.002), give_up_s=0.2)
    async with serving(fake) as address, _client(address, settings) as client:
        with pytest.raises(Overloaded):
            await client.record(_events(0, 1))


async def test_a_malformed_batch_is_not_sent_again() -> None:
    """INVALID_ARGUMENT is the caller's to mend."""
    fake = FakeIngest(before=_failing(1, InvalidInput("too many events")))
    async with serving(fake) as address, _client(address) as client:
        with pytest.raises(InvalidInput, match="too many events"):
            await client.record(_events(0, 1))
    assert fake.received == [1]


async def test_a_stream_acknowledges_every_batch_in_order() -> None:
    """Numbers and outcomes arrive in the order sent, and all before the block is left."""
    told: list[Acknowledged] = []
    async with (
        serving(FakeIngest()) as address,
        _client(address) as client,
        client.stream(told.append) as stream,
    ):
        numbers = [await stream.send(_events(10 * n, 10)) for n in range(20)]
        await stream.drain()
    assert [item.batch_number for item in told] == numbers
    assert all(len(item.outcomes) == 10 for item in told)


async def test_a_broken_stream_sends_everything_unacknowledged_again_in_order() -> None:
    """Nothing is lost and nothing is told twice, though answers were lost on the way."""
    fake = FakeIngest(cut_after={1: 2, 2: 1, 3: 3})
    told: list[Acknowledged] = []
    async with serving(fake) as address, _client(address) as client, client.stream(told.append) as stream:
        for n in range(8):
            await stream.send(_events(5 * n, 5))
    assert [item.batch_number for item in told] == list(range(1, 9))
    assert len(fake.ledger) == 40
    assert fake.streams == 4
    assert sum(isinstance(item, Duplicate) for answer in told for item in answer.outcomes) == 10


async def test_a_full_window_holds_the_sender_back() -> None:
    """No more batches wait for their acknowledgement than the window allows."""
    gate = anyio.Event()

    class Slow(FakeIngest):
        async def StreamEvents(self, requests: object, context: object) -> object:  # type: ignore[override]  # noqa: N802
            await gate.wait()
            async for answer in super().StreamEvents(requests, context):
                yield answer

    told: list[Acknowledged] = []
    settings = ClientSettings(window_batches=3, backoff=Backoff(0.001, 0.002))
    async with (
        serving(Slow()) as address,
        _client(address, settings) as client,
        client.stream(told.append) as stream,
    ):
        for n in range(3):
            await stream.send(_events(n, 1))
        with anyio.move_on_after(0.05) as scope:
            await stream.send(_events(3, 1))
        assert scope.cancelled_caught
        gate.set()
        await stream.drain()
    assert len(told) == 3


async def test_a_stream_that_stalls_is_opened_again() -> None:
    """A live peer that never answers is as good as a broken one."""
    never = anyio.Event()

    class Mute(FakeIngest):
        async def StreamEvents(self, requests: object, context: object) -> object:  # type: ignore[override]  # noqa: N802
            if self.streams == 0:
                self.streams += 1
                await never.wait()
            async for answer in super().StreamEvents(requests, context):
                yield answer

    fake, told = Mute(), list[Acknowledged]()
    settings = ClientSettings(acknowledge_timeout_s=1.0, backoff=Backoff(0.001, 0.002))
    async with (
        serving(fake) as address,
        _client(address, settings) as client,
        client.stream(told.append) as stream,
    ):
        await stream.send(_events(0, 1))
    assert len(told) == 1
    assert fake.streams == 2


async def test_a_stream_without_a_service_is_given_up_in_time() -> None:
    """The sender is told that the service is away."""
    settings = ClientSettings(give_up_s=0.2, backoff=Backoff(0.001, 0.002))
    async with _client("127.0.0.1:1", settings) as client:
        with pytest.raises(Unavailable):
            async with client.stream(lambda _: None) as stream:
                await stream.send(_events(0, 1))


async def test_a_programs_own_error_ends_the_stream_as_itself() -> None:
    """The block's exception is not wrapped."""
    async with serving(FakeIngest()) as address, _client(address) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream(lambda _: None):
                raise ZeroDivisionError


async def test_the_blocking_client_answers_plainly() -> None:
    """A program without an event loop gets the same outcomes."""

    def plainly(address: str) -> object:
        with BlockingIngestClient(address, "acme", settings=_FAST) as client:
            return client.record(_events(0, 1))

    async with serving(FakeIngest()) as address:
        outcomes = await anyio.to_thread.run_sync(plainly, address)
    assert [type(item) for item in outcomes] == [Accepted]  # type: ignore[attr-defined]
