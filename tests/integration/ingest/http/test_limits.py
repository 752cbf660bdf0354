"""The bounds of the HTTP door, met by clients that are slow, greedy or rude; raw sockets where a client would help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import anyio.to_thread
import asyncpg
import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from tests.integration.ingest.http.door import JSON, held_log, item, service
from tests.integration.ingest.world import TENANT, client, event, policy_event

from headwater.ingest.http.server import HttpServer, HttpServerSettings
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry import names
from headwater.kernel.telemetry.http import HttpServerTracing
from headwater.kernel.telemetry.recording import RecordedSpan, RecordingTracer

pytestmark = pytest.mark.anyio
SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"


def _head(length: int | None, *extra: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ["POST /v1/events HTTP/1.1", "Host: x", f"Headwater-Tenant: {TENANT}",
             "Content-Type: application/json", size, *extra]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def _line(port: int) -> AsyncIterator[anyio.abc.SocketStream]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


async def _until_end(stream: anyio.abc.SocketStream) -> bytes:
    """Return all that comes until the other side closes."""
    received = b""
    with anyio.fail_after(10):
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


async def test_a_body_that_says_it_is_too_large_is_refused_unread(migrated_database_url: str) -> None:
    """413 on the header alone: not a byte of the body was sent, none was asked for."""
    async with (
        service(migrated_database_url, http_body_bytes_max=1000) as doors,
        _line(doors.http_port) as line,
    ):
        await line.send(_head(1001, "Expect: 100-continue"))
        answer = await _until_end(line)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"100 Continue" not in answer
        assert b"BODY_TOO_LARGE" in answer


async def test_a_body_that_grows_too_large_is_refused_while_it_comes(migrated_database_url: str) -> None:
    """413 in the middle of an endless body, long before a client ends it."""
    async with (
        service(migrated_database_url, http_body_bytes_max=200_000) as doors,
        _line(doors.http_port) as line,
    ):
        await line.send(_head(None))
        sent = 0
        received = b""

        async def send() -> None:
            nonlocal sent
            chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
            try:
                while True:
                    await line.send(chunk)
                    sent += 65_536
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            received = await _until_end(line)
            tasks.cancel_scope.cancel()
        assert received.startswith(b"HTTP/1.1 413")
        assert sent < 16 * 1024 * 1024


async def test_a_slow_body_is_given_up(migrated_database_url: str) -> None:
    """408 after the bound, and the connection ends."""
    async with (
        service(migrated_database_url, http_body_timeout_s=0.3) as doors,
        _line(doors.http_port) as line,
    ):
        await line.send(_head(100) + b"{")
        answer = await _until_end(line)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/events HTTP/1.1\r\nHost: "])
async def test_a_slow_head_is_given_up(migrated_database_url: str, sent: bytes) -> None:
    """A connection that asks for nothing, or never ends its headers, is closed; others are served meanwhile."""
    async with (
        service(migrated_database_url, http_head_timeout_s=0.4) as doors,
        _line(doors.http_port) as line,
    ):
        if sent:
            await line.send(sent)
        assert (await doors.post(item(1))).status_code == 200
        assert await _until_end(line) == b""


async def test_a_head_that_trickles_after_a_first_request_is_given_up(migrated_database_url: str) -> None:
    """The bound holds for every request of a connection, not for the first only."""
    async with (
        service(migrated_database_url, http_head_timeout_s=0.4) as doors,
        _line(doors.http_port) as line,
    ):
        await line.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b'{"ok":true}' in await line.receive()
        await line.send(b"GET /healthz HTTP/1.1\r\n")
        assert await _until_end(line) == b""


async def test_an_oversized_head_is_refused(migrated_database_url: str) -> None:
    """Headers beyond 16 KiB are not gathered."""
    async with service(migrated_database_url) as doors, _line(doors.http_port) as line:
        await line.send(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert (await _until_end(line)).startswith(b"HTTP/1.1 400")


async def test_pipelined_requests_are_answered_in_order(migrated_database_url: str) -> None:
    """Two calls in one packet: two answers, the first one's outcome before the second one's."""
    async with service(migrated_database_url) as doors, _line(doors.http_port) as line:
        body = json.dumps(item(1)).encode()
        last = _head(len(body), "Connection: close") + body
        await line.send(_head(len(body)) + body + last)
        answers = await _until_end(line)
        assert answers.count(b"HTTP/1.1 200") == 2
        assert answers.index(b"ACCEPTED") < answers.index(b"DUPLICATE")


async def test_more_connections_than_allowed_are_told_to_come_back(migrated_database_url: str) -> None:
    """One above the bound is answered 503; within it calls go on."""
    async with service(migrated_database_url, http_connections_max=2) as doors, _line(doors.http_port):
        assert (await doors.post(item(1))).status_code == 200
        async with _line(doors.http_port) as third:
            await third.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await _until_end(third)).startswith(b"HTTP/1.1 503")


async def test_bodies_under_way_are_bounded_together(migrated_database_url: str) -> None:
    """What waits for its commit counts; one body more is 429, and afterwards there is room again."""
    async with service(migrated_database_url, http_bodies_bytes_max=3000) as doors:
        large = item(1, payload={"email": "a@example.com", "name": "x" * 2000})
        statuses: list[int] = []
        async with held_log(migrated_database_url) as release, anyio.create_task_group() as tasks:

            async def send() -> None:
                statuses.append((await doors.post(large)).status_code)
                if statuses == [429]:
                    await release()

            for _ in range(3):
                tasks.start_soon(send)
        assert sorted(statuses) == [200, 429, 429]
        assert (await doors.post(large)).status_code == 200


def test_the_span_of_a_call_continues_the_callers_trace() -> None:
    """SERVER, named by method and route, registered names only; 4xx is no error of ours, 5xx is."""
    exporter: list[RecordedSpan] = []
    tracing = HttpServerTracing(RecordingTracer(1.0, exporter.append))
    headers = [("traceparent", SAMPLED)]
    for status in (200, 400, 503):
        with tracing.serving("POST", "/v1/webhooks/{source}", "/v1/webhooks/shop", headers) as call:
            call.answered(status, "SOME_REASON")
    spans = exporter
    assert {(span.name, span.kind) for span in spans} == {("POST /v1/webhooks/{source}", SpanKind.SERVER)}
    assert all(span.parent and f"{span.parent.span_id:016x}" == "b" * 16 for span in spans)
    assert all(names.unregistered(span.attributes or {}) == () for span in spans)
    assert [span.status.status_code for span in spans] == [
        StatusCode.UNSET,
        StatusCode.UNSET,
        StatusCode.ERROR,
    ]
    with tracing.serving("POST", "/v1/events", "/v1/events", [("traceparent", SAMPLED[:-1] + "0")]):
        assert len(exporter) == 3


async def test_an_address_that_is_not_loopback_is_refused() -> None:
    """Without TLS nobody else may reach the door."""

    async def nothing(*_: object) -> None: ...

    server = HttpServer(HttpServerSettings("0.0.0.0:0"), nothing)
    with pytest.raises(StartRefused, match="loopback"):
        async with server.serving(Shutdown()):
            raise AssertionError


async def test_sigterm_closes_both_doors_and_answers_what_was_taken(migrated_database_url: str) -> None:
    """Calls under way through both doors are answered and durable; new ones are refused; the end is 0."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADWATER_DATABASE_URL": migrated_database_url,
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:0",
        "HEADWATER_INGEST_HTTP_ADDRESS": "127.0.0.1:0",
        "HEADWATER_INGEST_BATCH_ROWS_MAX": "4",  # then one event is enough for a second commit beside the first
    }
    command = [sys.executable, "-m", "headwater.ingest"]
    with subprocess.Popen(  # noqa: ASYNC220 - starts in a millisecond
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(await anyio.to_thread.run_sync(process.stdout.readline))
            await _end_under_load(process, ready, migrated_database_url)
            errors = (await anyio.to_thread.run_sync(process.communicate))[1]
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0
    assert "error" not in {json.loads(line)["level"] for line in errors.splitlines()}


async def _end_under_load(process: subprocess.Popen[str], ready: dict[str, int], url: str) -> None:
    url_of_door = f"http://127.0.0.1:{ready['http_port']}/v1/events"
    statuses: list[int] = []
    fates: list[int] = []
    async with client(ready["port"]) as grpc, httpx.AsyncClient(timeout=15.0) as http:
        await grpc.record(policy_event())
        async with held_log(url) as release, anyio.create_task_group() as tasks:

            async def over_http() -> None:
                answer = await http.post(url_of_door, json=item(1), headers=JSON)
                statuses.append(answer.status_code)

            async def over_grpc() -> None:
                fates.append((await grpc.record(event(2))).disposition)

            tasks.start_soon(over_http)
            await _blocked(url, commits=1)
            tasks.start_soon(over_grpc)
            await _blocked(url, commits=2)
            process.send_signal(signal.SIGTERM)
            await _refused(ready["http_port"])
            await release()
    assert statuses == [200]
    assert fates == [ingest_pb2.DISPOSITION_ACCEPTED]


async def _blocked(url: str, *, commits: int) -> None:
    """Return when that many commits wait for the log."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    connection = await asyncpg.connect(url)
    try:
        with anyio.fail_after(10):
            while await connection.fetchval(waiting) < commits:
                pass
    finally:
        await connection.close()


async def _refused(port: int) -> None:
    """Return when nobody accepts on *port* any more."""
    with anyio.fail_after(5):
        while True:
            try:
                async with _line(port) as line:
                    await _until_end(line)
            except OSError:
                return
