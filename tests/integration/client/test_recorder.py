"""The recorder against a real gRPC server, good and bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.doubles.fake_ingest import FakeIngest, serving
from tests.integration.client.hostile import Full, Scripted, line_to, serving_on
from tests.integration.client.world import SMALL, client, numbered, one

from headwater.client import (
    Abandoned,
    Accepted,
    ClientClosed,
    ContractBroken,
    Duplicate,
    EventRefused,
    HeadwaterError,
    InvalidInput,
    Outcome,
    Overloaded,
    Quarantined,
    Receipt,
    Recorder,
    RecorderSettings,
    Refused,
    Unavailable,
)
from headwater.client.batch import Batch
from headwater.ingest.v1 import ingest_pb2

pytestmark = pytest.mark.anyio


async def test_single_events_travel_in_batches_and_get_their_own_outcomes() -> None:
    """A hundred submits are a few messages; each receipt tells of its event."""
    fake = FakeIngest()
    async with (
        serving(fake) as address,
        client(address) as caller,
        caller.recorder(RecorderSettings(linger_s=0.02)) as recorder,
    ):
        receipts = [await recorder.submit(item) for item in numbered(0, 100)]
        outcomes = [await receipt for receipt in receipts]
        held = await recorder.record(one(200, email="broken"))
        again = await recorder.record(one(5))
    assert all(isinstance(item, Accepted) for item in outcomes)
    assert len({item.event_key for item in outcomes}) == 100
    assert isinstance(held, Quarantined)
    assert isinstance(again, Duplicate)
    assert len(fake.received) <= 4


async def test_leaving_the_block_sends_what_still_gathers() -> None:
    """However long the linger is."""
    fake = FakeIngest()
    async with serving(fake) as address, client(address) as caller:
        async with caller.recorder(RecorderSettings(linger_s=600.0)) as recorder:
            receipt = await recorder.submit(one())
        assert isinstance(receipt.outcome(), Accepted)
        with pytest.raises(ClientClosed):
            await recorder.submit(one())


async def test_flush_waits_for_everything_submitted_before() -> None:
    """Receipts are done when it returns."""
    async with (
        serving(FakeIngest()) as address,
        client(address) as caller,
        caller.recorder(RecorderSettings(linger_s=600.0)) as recorder,
    ):
        receipts = [await recorder.submit(item) for item in numbered(0, 20)]
        assert not receipts[0].done
        await recorder.flush()
        assert all(receipt.done for receipt in receipts)


async def test_a_refusal_is_an_outcome_or_an_error_as_asked() -> None:
    """`record` returns it, `record_one` raises it."""
    async with (
        serving(FakeIngest()) as address,
        client(address) as caller,
        caller.recorder() as recorder,
    ):
        await recorder.record(one(1))
        refused = await recorder.record(one(1, other=True))
        assert isinstance(refused, Refused)
        with pytest.raises(EventRefused) as caught:
            await recorder.record_one(one(1, other=True))
    assert caught.value.outcome == refused
    assert caught.value.reason == "PAYLOAD_CONFLICT"


async def test_a_full_buffer_holds_the_producer_back() -> None:
    """No more events wait than the setting allows, acknowledged late or not; then all go on."""
    gate = anyio.Event()

    async def late(fake: FakeIngest, requests: Any, context: Any) -> AsyncIterator[Any]:
        await gate.wait()
        async for answer in FakeIngest.StreamEvents(fake, requests, context):
            yield answer

    fake = Scripted({1: late})
    taken: list[Receipt] = []
    async with serving(fake) as address, client(address) as caller, caller.recorder(SMALL) as recorder:

        async def produce() -> None:
            for item in numbered(0, 250):
                taken.append(await recorder.submit(item))  # noqa: PERF401 - the list is watched from outside

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            with anyio.move_on_after(0.2):
                while len(taken) <= SMALL.buffer_events_max:
                    await anyio.wait_all_tasks_blocked()
            assert len(taken) == SMALL.buffer_events_max
            gate.set()
    assert len(taken) == 250
    assert len(fake.ledger) == 250


async def test_a_line_that_is_cut_again_and_again_loses_and_doubles_nothing() -> None:
    """Each of 3,000 events has one outcome and is in the ledger once, in the order of its producer."""
    fake = FakeIngest()
    outcomes: list[Outcome] = []
    async with (
        serving(fake) as target,
        line_to(target) as (line, address),
        client(address) as caller,
        caller.recorder(SMALL) as recorder,
        anyio.create_task_group() as tasks,
    ):
        for producer in range(3):
            tasks.start_soon(_produce, recorder, producer * 1_000, 1_000, outcomes)
        for share in range(1, 7):
            while len(fake.ledger) < 400 * share:
                await anyio.lowlevel.checkpoint()
            await line.cut()
    assert line.cuts == 6
    assert fake.streams > 1
    assert len(outcomes) == len({item.event_key for item in outcomes}) == len(fake.ledger) == 3_000
    assert {type(item) for item in outcomes} <= {Accepted, Duplicate}
    order = [int(payload[5:-1]) for payload in fake.ledger.values()]
    for producer in range(3):
        own = [number for number in order if number // 1_000 == producer]
        assert own == sorted(own)


async def _produce(recorder: Recorder, first: int, count: int, outcomes: list[Outcome]) -> None:
    receipts = [await recorder.submit(item) for item in numbered(first, count)]
    for receipt in receipts:
        outcomes.append(await receipt)  # noqa: PERF401 - shared by producers


async def test_a_service_that_drains_and_comes_back_is_not_noticed() -> None:
    """GOAWAY and a new process on the port: everything submitted is recorded."""
    fake = FakeIngest()
    async with (
        serving_on(fake, 0) as (server, port),
        client(f"127.0.0.1:{port}") as caller,
        caller.recorder(SMALL) as recorder,
    ):
        first = [await recorder.submit(item) for item in numbered(0, 50)]
        await recorder.flush()
        await server.stop(0.05)
        second = [await recorder.submit(item) for item in numbered(50, 50)]
        async with serving_on(fake, port):
            assert {type(await item) for item in [*first, *second]} == {Accepted}
    assert len(fake.ledger) == 100


@pytest.mark.parametrize("retry_after_s", [0.0, None, 0.2])
async def test_a_full_service_is_waited_for_as_long_as_it_asks(retry_after_s: float | None) -> None:
    """RetryInfo of nothing, none at all, and some."""
    async with serving_on(Full(2, retry_after_s), 0) as (_, port), client(f"127.0.0.1:{port}") as caller:
        began = anyio.current_time()
        async with caller.recorder() as recorder:
            assert isinstance(await recorder.record(one()), Accepted)
        floor_s = 0.5 if retry_after_s is None else retry_after_s
        assert anyio.current_time() - began >= 2 * floor_s


async def test_a_pause_beyond_all_patience_fails_at_once_and_says_how_long() -> None:
    """RetryInfo of a minute where the client gives up after eight seconds."""
    async with serving_on(Full(1, 60.0), 0) as (_, port), client(f"127.0.0.1:{port}") as caller:
        with pytest.raises(Overloaded) as caught:
            await caller.record([one()])
    assert caught.value.retry_after_s == 60.0


async def test_a_recorder_outlives_an_outage_that_was_too_long() -> None:
    """Events given up say so by their receipts; later ones are recorded by the same recorder."""
    fake = FakeIngest()
    async with (
        serving_on(fake, 0) as (server, port),
        client(f"127.0.0.1:{port}", give_up_s=0.2) as caller,
        caller.recorder() as recorder,
    ):
        await recorder.record(one(1))
        await server.stop(0)
        with pytest.raises(Unavailable):
            await recorder.record(one(2))
        async with serving_on(fake, port):
            outcome: Outcome | None = None
            while outcome is None:
                try:
                    outcome = await recorder.record(one(3))
                except Unavailable:
                    continue
        assert isinstance(outcome, Accepted)


async def test_flush_tells_of_failures_that_nobody_has_looked_at() -> None:
    """Once; a failure seen by its receipt is not told again."""
    async with client("127.0.0.1:1", give_up_s=0.05) as caller, caller.recorder() as recorder:
        seen = await recorder.submit(one(1))
        with pytest.raises(Unavailable):
            await seen
        await recorder.flush()
        await recorder.submit(one(2))
        with pytest.raises(Unavailable):
            await recorder.flush()
        await recorder.flush()


async def test_a_wrong_acknowledgement_fails_what_waits_and_is_not_believed() -> None:
    """A broken contract is told as such; the recorder goes on with later events."""

    async def wrong(fake: FakeIngest, requests: Any, context: Any) -> AsyncIterator[Any]:
        del context
        async for request in requests:
            outcomes = [fake.outcome(item) for item in request.events]
            yield ingest_pb2.StreamEventsResponse(batch_number=request.batch_number + 1, outcomes=outcomes)

    async with (
        serving(Scripted({1: wrong})) as address,
        client(address) as caller,
        caller.recorder() as recorder,
    ):
        with pytest.raises(ContractBroken, match="batch 2 was acknowledged where 1 is due"):
            await recorder.record(one())
        assert isinstance(await recorder.record(one()), Duplicate)


async def test_a_message_that_the_service_refuses_fails_alone() -> None:
    """INVALID_ARGUMENT speaks of the first unanswered batch; those after it are recorded."""

    class Refusing(FakeIngest):
        """Refuses every message with contact 0 in it."""

        async def StreamEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
            async for answer in super().StreamEvents(_sound(requests), context):
                yield answer

    async with (
        serving(Refusing()) as address,
        client(address) as caller,
        caller.recorder(RecorderSettings(batch_events_max=2)) as recorder,
    ):
        receipts = [await recorder.submit(item) for item in numbered(0, 4)]
        for receipt in receipts[:2]:
            with pytest.raises(InvalidInput, match="malformed as a whole"):
                await receipt
        assert {type(await receipt) for receipt in receipts[2:]} == {Accepted}


async def _sound(requests: Any) -> AsyncIterator[Any]:
    async for request in requests:
        if request.events[0].external_id == "0":
            raise InvalidInput("malformed as a whole")
        yield request


async def test_a_stalled_service_is_left_for_a_new_connection() -> None:
    """Nothing acknowledged for the time allowed is as good as broken."""
    never = anyio.Event()

    async def mute(fake: FakeIngest, requests: Any, context: Any) -> AsyncIterator[Any]:
        del fake, context
        async for _ in requests:
            await never.wait()
        yield None

    fake = Scripted({1: mute})
    async with (
        serving(fake) as address,
        client(address, acknowledge_timeout_s=0.2) as caller,
        caller.recorder() as recorder,
    ):
        assert isinstance(await recorder.record(one()), Accepted)
    assert fake.streams == 2


async def test_a_block_left_by_an_error_abandons_what_waits() -> None:
    """The error leaves as itself; receipts say that nobody waited for the answer."""
    async with client("127.0.0.1:1") as caller:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with caller.recorder() as recorder:
                receipt = await recorder.submit(one())
                raise ZeroDivisionError
        with pytest.raises(Abandoned):
            await receipt


async def test_a_cancelled_block_abandons_what_waits() -> None:
    """Cancellation is not held up by an absent service."""
    receipts: list[Receipt] = []
    async with client("127.0.0.1:1") as caller:
        with anyio.move_on_after(0.1) as scope:
            async with caller.recorder() as recorder:
                receipts.append(await recorder.submit(one()))
        assert scope.cancelled_caught
        with pytest.raises(Abandoned):
            await receipts[0]


async def test_a_wait_that_is_cancelled_takes_nothing_from_others() -> None:
    """One task stops waiting for its outcome; the event is recorded and the others get theirs."""
    fake = FakeIngest()
    async with (
        serving(fake) as address,
        client(address) as caller,
        caller.recorder(RecorderSettings(linger_s=0.1)) as recorder,
    ):
        with anyio.move_on_after(0.01) as scope:
            await recorder.record(one(1))
        assert scope.cancelled_caught
        assert isinstance(await recorder.record(one(2)), Accepted)
    assert len(fake.ledger) == 2


def test_a_receipt_asked_too_early_says_so() -> None:
    """Rather than to answer None."""
    with pytest.raises(RuntimeError, match="not settled"):
        Receipt(Batch(), 0).outcome()


def test_every_error_of_ours_has_a_reason() -> None:
    """For machines."""
    errors: list[HeadwaterError] = [
        Abandoned("a"),
        ContractBroken("b"),
        EventRefused(Refused("", "MALFORMED")),
    ]
    assert [item.reason for item in errors] == ["ABANDONED", "CONTRACT_BROKEN", "MALFORMED"]
