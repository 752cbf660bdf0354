"""Ways in which a service or the way to it can be bad: a line that is cut, a service that answers wrongly or never."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from tests.doubles.fake_ingest import FakeIngest

from headwater.ingest.v1 import ingest_pb2_grpc

Script = Callable[[FakeIngest, Any, Any], AsyncIterator[Any]]


class Scripted(FakeIngest):
    """Plays one script a stream, then behaves.

    Args:
        scripts: by stream number, from 1.
    """

    def __init__(self, scripts: dict[int, Script] | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.scripts = scripts or {}
        self.calls: list[dict[str, str]] = []
        self.deadlines_s: list[float | None] = []

    async def BatchRecordEvents(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        self.calls.append(dict(context.invocation_metadata()))
        self.deadlines_s.append(context.time_remaining())
        return await super().BatchRecordEvents(request, context)

    async def StreamEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
        script = self.scripts.get(self.streams + 1)
        if script is None:
            async for answer in super().StreamEvents(requests, context):
                yield answer
            return
        self.streams += 1
        async for answer in script(self, requests, context):
            yield answer


def full(retry_after_s: float | None) -> status_pb2.Status:
    """RESOURCE_EXHAUSTED, with the pause asked for where there is one."""
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="full")
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(retry_after_s * 1_000))
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return status


async def refuse(context: Any, status: status_pb2.Status) -> None:
    """End a call with *status*."""
    told = rpc_status.to_status(status)
    await context.abort(told.code, told.details, told.trailing_metadata)


class Full(FakeIngest):
    """Refuses the first *times* calls and streams."""

    def __init__(self, times: int, retry_after_s: float | None) -> None:
        super().__init__()
        self.left = times
        self._status = full(retry_after_s)

    async def _refuse(self, context: Any) -> None:
        if self.left:
            self.left -= 1
            await refuse(context, self._status)

    async def BatchRecordEvents(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        await self._refuse(context)
        return await super().BatchRecordEvents(request, context)

    async def StreamEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
        async for request in requests:
            await self._refuse(context)
            async for answer in super().StreamEvents(_then(request, requests), context):
                yield answer


async def _then(first: Any, rest: Any) -> AsyncIterator[Any]:
    yield first
    async for item in rest:
        yield item


class Line:
    """A TCP relay to a service that can be cut at any byte."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._ends: set[anyio.abc.SocketStream] = set()
        self.cuts = 0

    async def cut(self) -> None:
        """Close every connection under way, without a goodbye."""
        self.cuts += 1
        for end in list(self._ends):
            await anyio.aclose_forcefully(end)

    async def relay(self, near: anyio.abc.SocketStream) -> None:
        """Carry one connection."""
        with contextlib.suppress(OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            async with near, await anyio.connect_tcp(self._host, self._port) as far:
                self._ends |= {near, far}
                try:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(_copy, near, far, tasks.cancel_scope)
                        tasks.start_soon(_copy, far, near, tasks.cancel_scope)
                finally:
                    self._ends -= {near, far}


async def _copy(
    source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, connection: anyio.CancelScope
) -> None:
    with contextlib.suppress(
        OSError, anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError
    ):
        while True:
            await sink.send(await source.receive())
    connection.cancel()


@asynccontextmanager
async def line_to(target: str) -> AsyncIterator[tuple[Line, str]]:
    """Yield a line to *target* and the address of its near end."""
    line = Line(target)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, line.relay)
            yield line, f"127.0.0.1:{port}"
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def serving_on(fake: FakeIngest, port: int) -> AsyncIterator[tuple[grpc.aio.Server, int]]:
    """Serve *fake* on *port*, 0 for any, without the interceptor that tidies errors."""
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(fake, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield server, bound
    finally:
        await server.stop(None)
