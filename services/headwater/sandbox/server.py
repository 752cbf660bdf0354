"""Owns the HTTP server: the socket, the ready line, the connections, a graceful stop. Knows no application."""

from __future__ import annotations

import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

    from starlette.types import ASGIApp, Scope

    from headwater.sandbox.settings import SandboxSettings

    Beside = Callable[[], AbstractAsyncContextManager[Mapping[str, int]]]

BACKLOG = 1024
LOOK_S = 0.02
"""Pause between two looks for work beside the calls; while there is some, it takes at most half of the time."""


class Connections:
    """The transports of open connections by the client's address, so that an application can cut one."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def opened(self, transport: asyncio.Transport) -> None:
        """A client connected."""
        self._open[transport.get_extra_info("peername")[:2]] = transport

    def closed(self, transport: asyncio.Transport | None) -> None:
        """A client is gone."""
        if transport is not None:
            name = next((name for name, kept in self._open.items() if kept is transport), None)
            if name is not None:
                del self._open[name]

    def abort(self, scope: Scope) -> None:
        """Cut the connection of a call without a word; what is not yet sent is lost."""
        transport = self._open.get(tuple(scope.get("client") or ("", 0))[:2])
        if transport is not None:
            transport.abort()


def protocol(connections: Connections) -> type[H11Protocol]:
    """Uvicorn's HTTP protocol, telling `connections` of each connection."""

    class TrackedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections.opened(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

    return TrackedProtocol


class ReadyServer(uvicorn.Server):
    """A server that says when it listens, and does something beside."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[Mapping[str, int]], None],
        work: Callable[[], bool],
        beside: Beside,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._work = work
        self._beside = beside
        self._ports: Mapping[str, int] = {}

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end is asked for, working off what calls have left to do."""
        async with self._beside() as self._ports, anyio.create_task_group() as tasks:
            tasks.start_soon(self._work_beside)
            await super().serve(sockets)
            tasks.cancel_scope.cancel()

    async def _work_beside(self) -> None:
        while True:
            began_s = anyio.current_time()
            busy = self._work()
            await anyio.sleep(anyio.current_time() - began_s if busy else LOOK_S)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        self._ready(self._ports)


def serve(
    application: ASGIApp,
    settings: SandboxSettings,
    connections: Connections,
    work: Callable[[], bool],
    beside: Beside,
) -> None:
    """Serve until SIGTERM or SIGINT; the one line on stdout is the ready line.

    Args:
        application: what answers.
        settings: where to listen; port 0 takes a free one.
        connections: told of every connection.
        work: does a little of what calls have left to do; False when nothing is left.
        beside: serves what is no HTTP, and tells its ports by name.
    """
    listening = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        application,
        http=protocol(connections),
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_s_max)),
        server_header=False,
    )
    _quiet_end()
    ReadyServer(config, lambda ports: _say({"ready": True, "port": port, **ports}), work, beside).run(
        sockets=[listening]
    )


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _quiet_end() -> None:
    """Uvicorn raises the signal again once it has stopped: by then there is nothing left to interrupt."""

    def nothing(_number: int, _frame: FrameType | None) -> None:
        return

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, nothing)
