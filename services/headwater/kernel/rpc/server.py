"""A gRPC server with health, reflection, limits and a graceful end; decides nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from types import ModuleType
from typing import Final

import anyio
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.trace import NoOpTracer, Tracer

from headwater.kernel.errors import EndIncomplete, StartRefused
from headwater.kernel.metrics import Metrics
from headwater.kernel.metrics import names as metric_names
from headwater.kernel.rpc.admitting import admissions
from headwater.kernel.rpc.calls import Calls
from headwater.kernel.rpc.handling import guarded, unregistered
from headwater.kernel.rpc.limits import ServerSettings, channel_options
from headwater.kernel.security.denials import DenialBook
from headwater.kernel.security.security import Security
from headwater.kernel.security.settings import SecuritySettings
from headwater.kernel.telemetry.rpc import ServerTracing

REFUSE_S: Final = 0.25
"""Longest time for which a busy server refuses calls before it stops listening."""
UNSEEN_S: Final = 0.05
"""How long calls on their way have to come and be refused."""
LAST_WORDS_S: Final = 1.0
"""How long calls that are cut off at the end have to tell their callers."""

_log = logging.getLogger(__name__)


def _reflection() -> ModuleType:
    """Return the library of server reflection, an extra: who serves in production has no use for it."""
    try:
        return import_module("grpc_reflection.v1alpha.reflection")
    except ImportError as error:
        message = "HEADWATER_REFLECTION needs the extra 'reflection': pip install 'headwater[reflection]'"
        raise StartRefused(message, reason="REFLECTION") from error


class RpcServer:
    """One listening server; a context manager from bind to drained."""

    def __init__(
        self,
        settings: ServerSettings,
        add_services: Callable[[grpc.aio.Server], Sequence[str]],
        tracer: Tracer | None = None,
        security: Security | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._security = security or Security(SecuritySettings(), None, None)
        self._calls = Calls(settings.calls, metrics)
        self._server = grpc.aio.server(options=channel_options(settings))
        self._health = health.aio.HealthServicer()
        tracing = ServerTracing(tracer or NoOpTracer())
        admit = admissions(security)
        self._names = tuple(add_services(guarded(self._server, self._calls, tracing, admit)))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, unregistered(self._server))
        if settings.reflection and self._security.authenticator is not None:
            message = "HEADWATER_REFLECTION tells everybody what is served: turn it off where credentials are asked for"
            raise StartRefused(message, reason="REFLECTION")
        if settings.reflection:
            reflection = _reflection()
            names = (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self.port = 0
        self._book: DenialBook | None = None
        if metrics is not None:
            self._security.denials.tally = metrics.counter(metric_names.CALLS_DENIED)

    def audit_denials(self, book: DenialBook) -> None:
        """Write refused calls into *book* while it serves."""
        self._book = book

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - a watch tells it as it is
        """Answer health checks with SERVING or NOT_SERVING from now on; once the drain began, always the latter."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *self._names):
            await self._health.set(name, status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Listen, yield the port, and drain on the way out: every call is answered or told that the server ends.

        Raises:
            StartRefused: the address is beyond loopback without TLS and credentials, or cannot be bound.
            EndIncomplete: calls were cut off because they did not end within `drain_s`.
        """
        await self._security.load()
        self.port = self._bind()
        await self._server.start()
        await self.set_serving(True)
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._calls.watch)
            if self._security.configured:
                watching.start_soon(self._security.watch)
            if self._book is not None and self._security.authenticator is not None:
                watching.start_soon(self._security.denials.keep, self._book)
            try:
                yield self.port
            finally:
                with anyio.CancelScope(shield=True):
                    await self._drain()
                watching.cancel_scope.cancel()
        if self._calls.cut_at_end:
            raise EndIncomplete(f"{self._calls.cut_at_end} calls were cut off: they did not end in time")

    async def _drain(self) -> None:
        """Refuse, stop accepting, wait for the calls under way, cut off those that take too long.

        gRPC's own stop resets calls that came and were not looked at yet (CANCELLED, without a reason), so that
        new calls are refused for a moment first.
        """
        await self._health.enter_graceful_shutdown()
        self._calls.refuse_new()
        with anyio.move_on_after(REFUSE_S):
            await self._calls.idle()
        await anyio.sleep(UNSEEN_S)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cut_off_late)
            await self._server.stop(self._settings.drain_s + LAST_WORDS_S)
            tasks.cancel_scope.cancel()

    async def _cut_off_late(self) -> None:
        await anyio.sleep(self._settings.drain_s)
        self._calls.cut_all()

    def _bind(self) -> int:
        address, tls = self._settings.address, self._security.tls
        self._security.check_address(address)
        try:
            if tls is not None:
                return self._server.add_secure_port(address, tls.grpc_credentials())
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartRefused(f"cannot listen on {address!r}: {error}") from error
