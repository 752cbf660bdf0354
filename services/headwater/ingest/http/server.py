"""Listening: the socket, the connections' bounds, a graceful end. Knows no route and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

import anyio
import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from headwater.ingest.http.admitting import PEER_CERTIFICATE
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.security.places import host_of
from headwater.kernel.security.security import Security
from headwater.kernel.security.settings import SecuritySettings

BACKLOG: Final = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpServerSettings:
    """How the door listens.

    Args:
        address: host:port; port 0 lets the system choose. Loopback unless TLS is configured.
        connections_max: open connections; one more is answered 503.
        head_bytes_max: of a request line and headers.
        head_timeout_s: from the first wait for a request to the end of its headers.
        keep_alive_s: how long a connection may be idle between two requests.
        drain_s: how long calls under way may take after the end was asked for.
        reuse_port: whether several processes listen on this port.
    """

    address: str
    connections_max: int = 256
    head_bytes_max: int = 16 * 1024
    head_timeout_s: float = 10.0
    keep_alive_s: float = 15.0
    drain_s: float = 10.0
    reuse_port: bool = False


class HttpServer:
    """One listening server; a context manager from bind to drained."""

    def __init__(
        self, settings: HttpServerSettings, application: ASGIApp, security: Security | None = None
    ) -> None:
        self._settings = settings
        self._application = application
        self._security = security or Security(SecuritySettings(), None, None)

    @asynccontextmanager
    async def serving(self, stopping: Shutdown) -> AsyncIterator[int]:
        """Listen, yield the port, stop accepting when *stopping* is requested, and drain on the way out.

        Raises:
            StartRefused: the address is beyond loopback without TLS and credentials, or cannot be bound.
        """
        self._security.check_address(self._settings.address)
        with _listening(self._settings) as listener:
            server = _Server(self._config())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, [listener])
                tasks.start_soon(_end_when, stopping, server)
                await server.listening.wait()
                try:
                    yield int(listener.getsockname()[1])
                finally:
                    stopping.request()

    def _config(self) -> uvicorn.Config:
        settings = self._settings
        config = uvicorn.Config(
            self._application,
            http=_bounded_protocol(settings.head_timeout_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=settings.connections_max + 1,  # uvicorn refuses at its limit, not above it
            h11_max_incomplete_event_size=settings.head_bytes_max,
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # handed to call_later as it is
            timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        )
        if self._security.tls is not None:
            config.load()
            config.ssl = self._security.tls.http_context()
        return config


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def _end_when(stopping: Shutdown, server: uvicorn.Server) -> None:
    await stopping.wait()
    server.should_exit = True


class BoundedProtocol(H11Protocol):
    """Uvicorn's HTTP protocol with a bound on the time that a request's head may take.

    Uvicorn bounds the silence between two requests only: a connection that never asks for anything, or sends
    its headers byte by byte, would stay for ever.
    """

    head_timeout_s: ClassVar[float] = 10.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        encryption = transport.get_extra_info("ssl_object")
        certificate = encryption.getpeercert(binary_form=True) if encryption is not None else None
        if certificate:
            self.app_state = {**self.app_state, PEER_CERTIFICATE: certificate}
        self._await_head()

    def data_received(self, data: bytes) -> None:
        self._await_head()
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self._serves() and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_timer is None and not self._serves():
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _serves(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._serves() and not self.transport.is_closing():
            _log.info("a connection was closed: no request's head came in time")
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()


def _bounded_protocol(head_timeout_s: float) -> type[H11Protocol]:
    """Return the protocol with this bound: uvicorn takes a class and makes the connections' objects itself."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_timeout_s": head_timeout_s})


@contextlib.contextmanager
def _listening(settings: HttpServerSettings) -> Iterator[socket.socket]:
    host, port = host_of(settings.address), settings.address.rpartition(":")[2]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, int(port)), family=family, backlog=BACKLOG, reuse_port=settings.reuse_port
        )
    except OSError as error:
        raise StartRefused(f"cannot listen on {settings.address!r}: {error}") from error
    with listener:
        yield listener
