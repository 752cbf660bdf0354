"""The client for programs without an event loop: the same surface, from many threads, never after a fork."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from tests.doubles.fake_ingest import FakeIngest, serving
from tests.integration.client.hostile import Scripted
from tests.integration.client.world import FAST, SMALL, numbered, one
from tests.integration.client.world import client as asynchronous

from headwater.client import (
    Accepted,
    Acknowledged,
    BlockingIngestClient,
    ClientClosed,
    ClientSettings,
    EventRefused,
    RecorderSettings,
    Unavailable,
    UsedAfterFork,
)


@contextmanager
def blocking(fake: FakeIngest, settings: ClientSettings = FAST) -> Iterator[BlockingIngestClient]:
    """A blocking client of *fake*, which is served in a loop of its own."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(fake)) as address,
        BlockingIngestClient(address, "acme", settings=settings) as client,
    ):
        yield client


def test_a_batch_and_a_single_event_come_back_as_from_the_other_face() -> None:
    """Outcomes and errors alike."""
    with blocking(FakeIngest()) as client:
        assert [type(item) for item in client.record(numbered(0, 3))] == [Accepted] * 3
        assert isinstance(client.record_one(one(9)), Accepted)
        with pytest.raises(EventRefused):
            client.record_one(one(9, other=True))


def test_a_stream_acknowledges_in_order() -> None:
    """The callback is told of each batch once."""
    told: list[Acknowledged] = []
    with blocking(FakeIngest()) as client, client.stream(told.append) as stream:
        numbers = [stream.send(numbered(10 * n, 10)) for n in range(20)]
        stream.drain()
        assert [item.batch_number for item in told] == numbers


def test_many_threads_share_one_recorder() -> None:
    """Every future is settled, every event recorded once, in the order of its thread."""
    fake = FakeIngest()
    with (
        blocking(fake) as client,
        client.recorder(SMALL) as recorder,
        concurrent.futures.ThreadPoolExecutor(8) as threads,
    ):

        def work(first: int) -> list[concurrent.futures.Future[object]]:
            return [recorder.submit(item) for item in numbered(first, 200)]  # type: ignore[misc]

        futures = [future for many in threads.map(work, range(0, 1_600, 200)) for future in many]
        done, late = concurrent.futures.wait(futures, timeout=15.0)
    assert not late
    assert {type(future.result()) for future in done} == {Accepted}
    assert len(fake.ledger) == 1_600
    order = [int(payload[5:-1]) for payload in fake.ledger.values()]
    assert all(own == sorted(own) for own in ([n for n in order if n // 200 == part] for part in range(8)))


def test_a_full_buffer_blocks_and_in_the_end_says_so() -> None:
    """Nothing is acknowledged while the service is away."""
    settings = RecorderSettings(batch_events_max=5, buffer_events_max=5)
    with (  # noqa: PT012
        BlockingIngestClient("127.0.0.1:1", "acme", settings=FAST) as client,
        pytest.raises(ZeroDivisionError),
        client.recorder(settings) as recorder,
    ):
        for item in numbered(0, 5):
            recorder.submit(item)
        with pytest.raises(TimeoutError, match="full"):
            recorder.submit(one(6), timeout_s=0.05)
        raise ZeroDivisionError


def test_a_future_tells_that_its_event_was_given_up() -> None:
    """So does the next flush, which cannot see who looked at a future."""
    settings = ClientSettings(give_up_s=0.05, backoff=FAST.backoff)
    with (
        BlockingIngestClient("127.0.0.1:1", "acme", settings=settings) as client,
        client.recorder() as recorder,
    ):
        future = recorder.submit(one())
        assert isinstance(future.exception(5.0), Unavailable)
        with pytest.raises(Unavailable):
            recorder.flush()


def test_the_callers_span_travels_through_the_thread() -> None:
    """In the metadata of the call."""
    fake = Scripted()
    span = NonRecordingSpan(SpanContext(0xC, 0xD, is_remote=False, trace_flags=TraceFlags(1)))
    with blocking(fake) as client, use_span(span):
        client.record([one()])
    assert fake.calls[0]["traceparent"] == f"00-{0xC:032x}-{0xD:016x}-01"


def test_a_client_outside_its_block_says_so() -> None:
    """Before and after."""
    client = BlockingIngestClient("127.0.0.1:1", "acme")
    with pytest.raises(ClientClosed):
        client.record([one()])
    with client:
        pass
    with pytest.raises(ClientClosed):
        client.record([one()])


def test_a_forked_child_is_refused_and_the_parent_is_not_harmed() -> None:
    """Every way to record, and leaving the block; the parent goes on."""
    fake = FakeIngest()
    with blocking(fake) as client, client.recorder() as recorder:

        def in_child() -> None:
            for use in (lambda: client.record([one()]), lambda: recorder.submit(one()), recorder.flush):
                with pytest.raises(UsedAfterFork):
                    use()
            client.__exit__(None, None, None)

        assert _forked(in_child) == 0
        assert isinstance(recorder.record(one()), Accepted)
    assert len(fake.ledger) == 1


def _forked(work: Callable[[], None]) -> int:
    """Run *work* in a forked child and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(10)  # a child that hangs ends itself
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may leave the child
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_asynchronous_face_is_refused_in_a_forked_child_too() -> None:
    """Before anything is written to the parent's connection."""

    async def use() -> int:
        async with serving(FakeIngest()) as address, asynchronous(address) as caller:
            await caller.record([one(1)])

            def in_child() -> None:
                attempt = caller.record([one(2)])
                with pytest.raises(UsedAfterFork):
                    attempt.send(None)

            return _forked(in_child)

    assert anyio.run(use) == 0
