"""Faults under load: lost connections, overload, a database that stays away, the end of the process."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
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
from grpc_status import rpc_status
from tests.integration.ingest.world import (
    POLICY,
    TENANT,
    Client,
    client,
    event,
    policy_event,
    read_numbers,
    service,
)

from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import migrate, package_of
from headwater.kernel.testing.postgres import TEST_SETTINGS

pytestmark = pytest.mark.anyio
SENDERS = 4
BATCH = 20
KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
RECORDED = "SELECT external_id, count(*) FROM ingest.event WHERE object = 'contact' GROUP BY 1"


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _recorded(url: str) -> Counter[str]:
    async with _connected(url) as connection:
        return Counter({row[0]: row[1] for row in await connection.fetch(RECORDED)})


@asynccontextmanager
async def _quiet_driver() -> AsyncIterator[None]:
    """Let pass what asyncpg leaves behind when a command meets a connection whose end was just announced.

    It makes a future for the answer, then refuses the command, and nobody awaits the future.
    """
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError) and handler:
            handler(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
        gc.collect()
    finally:
        loop.set_exception_handler(handler)


class Load:
    """Senders of ever new events; remembers what was acknowledged."""

    def __init__(self, caller: Client) -> None:
        self._caller = caller
        self._next = 0
        self.acked: set[str] = set()
        self.failed: Counter[str] = Counter()
        self.ending = False
        self._acked = anyio.Event()

    async def send(self) -> None:
        """Send batches until told to end or refused for good."""
        while not self.ending:
            start, self._next = self._next, self._next + BATCH
            items = [event(number) for number in range(start, start + BATCH)]
            try:
                outcomes = await self._caller.batch(items)
            except grpc.aio.AioRpcError as error:
                self.failed[error.code().name] += 1
                continue
            for item, outcome in zip(items, outcomes, strict=True):
                if outcome.disposition in {ingest_pb2.DISPOSITION_ACCEPTED, ingest_pb2.DISPOSITION_DUPLICATE}:
                    self.acked.add(item.external_id)
            self._acked.set()

    async def acks(self, count: int) -> None:
        """Wait until that many more events are acknowledged."""
        wanted = len(self.acked) + count
        while len(self.acked) < wanted:
            self._acked = anyio.Event()
            await self._acked.wait()


async def test_killed_connections_lose_and_double_nothing(migrated_database_url: str) -> None:
    """While every connection is ended again and again, all that was acknowledged is there, once."""
    async with (
        _quiet_driver(),
        service(migrated_database_url) as caller,
        _connected(migrated_database_url) as killer,
    ):
        load = Load(caller)
        async with anyio.create_task_group() as tasks:
            for _ in range(SENDERS):
                tasks.start_soon(load.send)
            for _ in range(6):
                await load.acks(200)
                assert await killer.fetch(KILL)
            await load.acks(200)
            load.ending = True
    recorded = await _recorded(migrated_database_url)
    assert load.failed == Counter()
    assert set(recorded) >= load.acked
    assert set(recorded.values()) == {1}
    async with _connected(migrated_database_url) as connection:
        counted = await connection.fetchval("SELECT ingest.count_accepted($1)", TENANT)
    assert counted == len(recorded) + 1


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may end."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    server = EmbeddedPostgres(directory, settings=TEST_SETTINGS)
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(directory)


async def test_a_crash_of_postgres_is_waited_out(own_server: EmbeddedPostgres) -> None:
    """The server is ended without a checkpoint and started again: callers only wait, nothing acked is lost."""
    url = await anyio.to_thread.run_sync(own_server.start)
    async with _connected(url) as connection:
        await migrate(connection, "ingest", package_of("ingest"))
    async with _quiet_driver(), service(url) as caller:
        load = Load(caller)
        async with anyio.create_task_group() as tasks:
            for _ in range(SENDERS):
                tasks.start_soon(load.send)
            await load.acks(400)
            await anyio.to_thread.run_sync(own_server.stop, "immediate")
            await anyio.to_thread.run_sync(own_server.start)
            await load.acks(400)
            load.ending = True
    recorded = await _recorded(url)
    assert load.failed == Counter()
    assert set(recorded) >= load.acked
    assert set(recorded.values()) == {1}


async def test_a_new_policy_is_seen_after_the_listener_was_killed(migrated_database_url: str) -> None:
    """The connection that listens is opened again, and what was missed meanwhile is read."""
    async with (
        _quiet_driver(),
        service(migrated_database_url) as one,
        service(migrated_database_url, policy=None) as two,
        _connected(migrated_database_url) as killer,
    ):
        assert await killer.fetch(KILL)
        stricter = POLICY.replace("[[email]]", "[[email], [age]]")
        await one.record(policy_event(stricter, number=1))
        with anyio.fail_after(10):
            number = 1
            while (await two.record(event(number))).disposition != ingest_pb2.DISPOSITION_QUARANTINED:
                number += 1


async def _hold_the_log(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """Lock the log against writers: every commit hangs until the lock is given back."""
    holder: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
    await holder.execute("BEGIN; LOCK TABLE ingest.event IN SHARE MODE")
    return holder


async def test_a_full_buffer_is_resource_exhausted(migrated_database_url: str) -> None:
    """Unary callers are told to come back, with a delay; those that wait are answered in the end."""
    given: dict[str, Any] = {"buffer_rows": 20, "flushers": 1}
    async with service(migrated_database_url, **given) as caller:
        holder = await _hold_the_log(migrated_database_url)
        refused: list[grpc.aio.AioRpcError] = []
        answered: list[int] = []

        async def send(turn: int) -> None:
            try:
                items = [event(turn * 10 + number) for number in range(10)]
                answered.append(len(await caller.batch(items)))
            except grpc.aio.AioRpcError as error:
                refused.append(error)
                if len(refused) == 1:
                    await holder.execute("COMMIT")

        async with anyio.create_task_group() as tasks:
            for turn in range(8):
                tasks.start_soon(send, turn)
        await holder.close()
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert len(answered) >= 2
        status = rpc_status.from_call(refused[0])
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToMilliseconds() == 250


async def test_a_full_buffer_holds_a_stream_back(migrated_database_url: str) -> None:
    """A stream is not refused: its batches wait, and all are acknowledged once there is room."""
    given: dict[str, Any] = {"buffer_rows": 20, "flushers": 1, "stream_batches_ahead": 2}
    async with service(migrated_database_url, **given) as caller:
        holder = await _hold_the_log(migrated_database_url)
        call = caller.stub.StreamEvents()
        for number in range(12):
            events = [event(number * 10 + item) for item in range(10)]
            await call.write(
                ingest_pb2.StreamEventsRequest(batch_number=number, tenant_id=TENANT, events=events)
            )
        await holder.execute("COMMIT")
        await holder.close()
        numbers = await read_numbers(call, 12)
        await call.done_writing()
        assert numbers == list(range(12))


async def test_a_caller_is_told_before_its_deadline(migrated_database_url: str) -> None:
    """While the log hangs a caller gets UNAVAILABLE in time, and sending again later is safe."""
    async with service(migrated_database_url) as caller:
        holder = await _hold_the_log(migrated_database_url)
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=event(1))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{caller.port}")
        record = channel.unary_unary(
            "/headwater.ingest.v1.IngestService/RecordEvent",
            request_serializer=ingest_pb2.RecordEventRequest.SerializeToString,
            response_deserializer=ingest_pb2.RecordEventResponse.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await record(request, timeout=0.5)
        await channel.close()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await holder.execute("COMMIT")
        await holder.close()
        outcome = await caller.record(event(1))
        assert outcome.disposition in {ingest_pb2.DISPOSITION_ACCEPTED, ingest_pb2.DISPOSITION_DUPLICATE}
        assert await caller.counts() == {ingest_pb2.DISPOSITION_ACCEPTED: 1}


@asynccontextmanager
async def _process(url: str, **environment: str) -> AsyncIterator[tuple[subprocess.Popen[str], int]]:
    """Run the real process; killed if it has not ended by itself."""
    named = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADWATER_DATABASE_URL": url,
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:0",
        "HEADWATER_SYNC_ADDRESS": "",
        **environment,
    }
    with subprocess.Popen(  # noqa: ASYNC220 - starts in a millisecond
        [sys.executable, "-m", "headwater.ingest"],
        env=named,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = await anyio.to_thread.run_sync(process.stdout.readline)
            yield process, json.loads(line)["port"] if line else 0
        finally:
            if process.poll() is None:
                process.kill()


async def test_sigterm_under_load_loses_nothing_acknowledged(migrated_database_url: str) -> None:
    """The process answers what it took, ends with 0, and everything acknowledged is in the log."""
    async with _process(migrated_database_url) as (process, port), client(port) as caller:
        await caller.record(policy_event())
        load = Load(caller)
        async with anyio.create_task_group() as tasks:
            for _ in range(SENDERS):
                tasks.start_soon(load.send)
            await load.acks(1000)
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(12):
                errors = (await anyio.to_thread.run_sync(process.communicate))[1]
            load.ending = True
            tasks.cancel_scope.cancel()
    assert process.returncode == 0
    assert "error" not in {json.loads(line)["level"] for line in errors.splitlines()}
    recorded = await _recorded(migrated_database_url)
    assert set(recorded) >= load.acked
    assert set(recorded.values()) == {1}


async def test_sigterm_ends_a_stream_after_its_acknowledgements(migrated_database_url: str) -> None:
    """An open stream gets UNAVAILABLE at once, so that its sender goes elsewhere; what was acked is kept."""
    async with _process(migrated_database_url) as (process, port), client(port) as caller:
        await caller.record(policy_event())
        call = caller.stub.StreamEvents()
        await call.write(
            ingest_pb2.StreamEventsRequest(batch_number=1, tenant_id=TENANT, events=[event(1), event(2)])
        )
        answer = await call.read()
        assert isinstance(answer, ingest_pb2.StreamEventsResponse)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError) as caught, anyio.fail_after(5):
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with anyio.fail_after(10):
            await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0
    assert set(await _recorded(migrated_database_url)) == {"c-1", "c-2"}


async def test_a_schema_that_is_not_migrated_refuses_the_start(database_url: str) -> None:
    """The process ends with 78 and says what to do."""
    async with _process(database_url) as (process, port):
        errors = (await anyio.to_thread.run_sync(process.communicate))[1]
    assert (port, process.returncode) == (0, 78)
    assert "headwater migrate" in errors


async def test_faulty_settings_are_all_named(migrated_database_url: str) -> None:
    """Every variable that is wrong stands in one message, with its value."""
    wrong = {"HEADWATER_INGEST_FLUSHERS": "0", "HEADWATER_LOG_LEVEL": "loud"}
    async with _process(migrated_database_url, **wrong) as (process, _):
        errors = (await anyio.to_thread.run_sync(process.communicate))[1]
    assert process.returncode == 78
    assert "HEADWATER_INGEST_FLUSHERS" in errors
    assert "loud" in errors
