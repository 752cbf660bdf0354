"""A gRPC server with health, reflection, limits and a graceful end; decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from headwater.kernel.errors import StartRefused
from headwater.kernel.rpc.status import StatusInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens.

    Args:
        address: host:port; port 0 lets the system choose. Loopback unless TLS is configured.
        message_bytes_max: largest message received or sent.
        drain_s: how long calls under way may take after the end was asked for.
        reflection: answer reflection calls; off in production.
    """

    address: str = "127.0.0.1:0"
    message_bytes_max: int = 16 * 1024 * 1024
    drain_s: float = 10.0
    reflection: bool = False


class RpcServer:
    """One listening server; a context manager from bind to drained."""

    def __init__(
        self,
        settings: ServerSettings,
        add_services: Callable[[grpc.aio.Server], Sequence[str]],
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._settings = settings
        self._server = grpc.aio.server(
            interceptors=[*interceptors, StatusInterceptor()], options=_options(settings)
        )
        self._health = health.aio.HealthServicer()
        self._names = tuple(add_services(self._server))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.reflection:
            names = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Listen, yield the port, and drain on the way out.

        Raises:
            StartRefused: the address is not loopback, or cannot be bound.
        """
        self.port = self._bind()
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        try:
            yield self.port
        finally:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(self._settings.drain_s)

    def _bind(self) -> int:
        host = self._settings.address.rpartition(":")[0].strip("[]")
        if host not in {"127.0.0.1", "::1", "localhost"}:
            message = f"refusing to listen on {self._settings.address!r} without TLS: use a loopback address"
            raise StartRefused(message, reason="INSECURE_BIND")
        try:
            return self._server.add_insecure_port(self._settings.address)
        except RuntimeError as error:
            raise StartRefused(f"cannot listen on {self._settings.address!r}: {error}") from error


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
