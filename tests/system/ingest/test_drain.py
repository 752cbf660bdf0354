"""The end under load: what was acknowledged is recorded, who was not acknowledged was told, nobody hangs."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from tests.integration.ingest.world import TENANT, event, policy_event
from tests.system.ingest.running import RunningIngest, running_ingest

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import migrate, package_of
from headwater.kernel.testing.postgres import TEST_SETTINGS

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

BATCH = 20
CALL_S = 20.0
END_S = 30.0
WRITE_CAME_LATE = "Internal error from Core"
"""What grpc.aio's own client makes of a write on a stream whose status has come and was not read yet."""
RECORDED = "SELECT external_id FROM ingest.event WHERE object = 'contact'"


def channel_to(ingest: RunningIngest) -> grpc.aio.Channel:
    """Return a connection of one's own that retries nothing."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(ingest.address, options=options)


@asynccontextmanager
async def stub_of(ingest: RunningIngest) -> AsyncIterator[ingest_pb2_grpc.IngestServiceAsyncStub]:
    """Call the service over a connection of one's own."""
    async with channel_to(ingest) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the machine-readable reason of a status, empty where gRPC itself made it."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return str(info.reason)


class Senders:
    """Sends until it is told that the service ends; knows of every event what it was told."""

    def __init__(self, ingest: RunningIngest) -> None:
        self._ingest = ingest
        self._next = 0
        self.acked: set[str] = set()
        self.told: set[str] = set()
        self.codes: set[str] = set()
        self.reasons: set[str] = set()
        self.sent: set[str] = set()
        self._wake = anyio.Event()

    def _take(self, count: int) -> list[Any]:
        start, self._next = self._next, self._next + count
        items = [event(number) for number in range(start, self._next)]
        self.sent.update(item.external_id for item in items)
        return items

    def _note(self, items: list[Any], error: grpc.aio.AioRpcError | None = None) -> None:
        (self.told if error else self.acked).update(item.external_id for item in items)
        if error is not None:
            if error.details() != WRITE_CAME_LATE:
                self.codes.add(error.code().name)
            self.reasons.add(reason_of(error))
        self._wake.set()

    async def acks(self, count: int) -> None:
        """Wait for so many acknowledgements."""
        while len(self.acked) < count:
            self._wake = anyio.Event()
            await self._wake.wait()

    async def unary(self) -> None:
        """Send one event a call."""
        async with stub_of(self._ingest) as stub:
            while True:
                items = self._take(1)
                request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=items[0])
                try:
                    await stub.RecordEvent(request, timeout=CALL_S)
                except grpc.aio.AioRpcError as error:
                    return self._note(items, error)
                self._note(items)

    async def batch(self) -> None:
        """Send a batch a call."""
        async with stub_of(self._ingest) as stub:
            while True:
                items = self._take(BATCH)
                request = ingest_pb2.BatchRecordEventsRequest(tenant_id=TENANT, events=items)
                try:
                    await stub.BatchRecordEvents(request, timeout=CALL_S)
                except grpc.aio.AioRpcError as error:
                    return self._note(items, error)
                self._note(items)

    async def stream(self) -> None:
        """Send batches on a stream, some ahead of their acknowledgements."""
        waiting: dict[int, list[Any]] = {}
        async with stub_of(self._ingest) as stub, anyio.create_task_group() as tasks:
            call: Any = stub.StreamEvents(timeout=2 * CALL_S)
            tasks.start_soon(self._write_batches, call, waiting)
            try:
                while True:
                    self._acknowledged(await call.read(), waiting)
            except grpc.aio.AioRpcError as error:
                tasks.cancel_scope.cancel()
                for items in waiting.values():
                    self._note(items, error)

    async def _write_batches(self, call: Any, waiting: dict[int, list[Any]]) -> None:
        for number in range(1, 1_000_000):
            waiting[number] = self._take(BATCH)
            request = ingest_pb2.StreamEventsRequest(
                tenant_id=TENANT, batch_number=number, events=waiting[number]
            )
            try:
                await call.write(request)
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                return  # the reader is told why

    def _acknowledged(self, answer: ingest_pb2.StreamEventsResponse, waiting: dict[int, list[Any]]) -> None:
        self._note(waiting.pop(answer.batch_number))


async def _wait(ingest: RunningIngest) -> int:
    return await anyio.to_thread.run_sync(lambda: ingest.process.wait(END_S))


async def _give_policy(ingest: RunningIngest) -> None:
    async with stub_of(ingest) as stub:
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=policy_event())
        await stub.RecordEvent(request, timeout=CALL_S)


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_end_under_load_loses_nothing_acknowledged(
    migrated_database_url: str, processes: int
) -> None:
    """Of every event its sender knows whether it is recorded; code 0, and nobody waits in vain."""
    with running_ingest(migrated_database_url) as first:
        await _give_policy(first)  # before the others start, so that each of them knows it from its start
    with running_ingest(migrated_database_url, processes=processes) as ingest:
        senders = Senders(ingest)
        with anyio.fail_after(END_S):
            async with anyio.create_task_group() as tasks:
                for send in (senders.unary, senders.batch, senders.stream):
                    for _ in range(4):
                        tasks.start_soon(send)
                await senders.acks(1_000)
                ingest.process.send_signal(signal.SIGTERM)
        code = await _wait(ingest)
    connection = await asyncpg.connect(migrated_database_url)
    recorded = [row[0] for row in await connection.fetch(RECORDED)]
    await connection.close()
    assert code == 0
    assert len(recorded) == len(set(recorded))
    assert senders.acked <= set(recorded)
    assert senders.acked | senders.told == senders.sent
    assert senders.codes == {"UNAVAILABLE"}
    assert "SHUTTING_DOWN" in senders.reasons


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may end."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    server = EmbeddedPostgres(directory, settings=TEST_SETTINGS)
    yield server
    server.stop("immediate")
    shutil.rmtree(directory)


async def _migrated(server: EmbeddedPostgres) -> str:
    url = await anyio.to_thread.run_sync(server.start)
    connection = await asyncpg.connect(url)
    for name in ("ingest", "identity", "sync"):
        await migrate(connection, name, package_of(name))
    await connection.close()
    return url


async def _see_health(channel: grpc.aio.Channel, wanted: int) -> None:
    """Return when the service's health is as wanted.

    Calls that went before have come by then, if *channel* was connected: calls that wait for a connection may
    overtake each other.
    """
    watch: Any = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=END_S)
    async for answer in watch:
        if answer.status == wanted:
            return


async def _ask_health(ingest: RunningIngest, wanted: int) -> None:
    async with channel_to(ingest) as channel:
        await _see_health(channel, wanted)


async def test_the_end_without_a_database_is_bounded_and_told(own_server: EmbeddedPostgres) -> None:
    """Callers that wait for a commit are told SHUTTING_DOWN when the drain is over; exit code 75."""
    url = await _migrated(own_server)
    with running_ingest(url, drain_s="1") as ingest:
        await _give_policy(ingest)
        await anyio.to_thread.run_sync(own_server.stop)
        async with channel_to(ingest) as channel:
            await channel.channel_ready()
            request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
            call = ingest_pb2_grpc.IngestServiceStub(channel).RecordEvent(request, timeout=CALL_S)
            await _see_health(channel, health_pb2.HealthCheckResponse.SERVING)
            ingest.process.send_signal(signal.SIGTERM)
            began = anyio.current_time()
            with pytest.raises(grpc.aio.AioRpcError) as told:
                await call
            code = await _wait(ingest)
            took_s = anyio.current_time() - began
    assert (told.value.code(), reason_of(told.value)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert code == 75
    assert took_s < 10


async def test_a_second_signal_ends_at_once(own_server: EmbeddedPostgres) -> None:
    """With calls still waiting, the second SIGTERM does not wait for them; exit code 143."""
    url = await _migrated(own_server)
    with running_ingest(url, drain_s="20") as ingest:
        await _give_policy(ingest)
        await anyio.to_thread.run_sync(own_server.stop)
        async with channel_to(ingest) as channel:
            await channel.channel_ready()
            request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
            call = ingest_pb2_grpc.IngestServiceStub(channel).RecordEvent(request, timeout=CALL_S)
            await _see_health(channel, health_pb2.HealthCheckResponse.SERVING)
            ingest.process.send_signal(signal.SIGTERM)
            await _ask_health(ingest, health_pb2.HealthCheckResponse.NOT_SERVING)
            ingest.process.send_signal(signal.SIGTERM)
            began = anyio.current_time()
            code = await _wait(ingest)
            took_s = anyio.current_time() - began
            with pytest.raises(grpc.aio.AioRpcError):
                await call
    assert code == 128 + signal.SIGTERM
    assert took_s < 3


async def test_health_follows_the_database(own_server: EmbeddedPostgres) -> None:
    """NOT_SERVING once the database has been away for a while, SERVING when it is back."""
    url = await _migrated(own_server)
    with running_ingest(url, database_away_s="0.5") as ingest:
        await _ask_health(ingest, health_pb2.HealthCheckResponse.SERVING)
        await anyio.to_thread.run_sync(own_server.stop)
        await _ask_health(ingest, health_pb2.HealthCheckResponse.NOT_SERVING)
        await anyio.to_thread.run_sync(own_server.start)
        await _ask_health(ingest, health_pb2.HealthCheckResponse.SERVING)
        async with stub_of(ingest) as stub:
            answer = await stub.RecordEvent(
                ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=policy_event()), timeout=CALL_S
            )
    assert answer.outcome.disposition == ingest_pb2.DISPOSITION_ACCEPTED
