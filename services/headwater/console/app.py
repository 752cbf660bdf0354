"""The console process: store, OTLP receiver and web put together.

Owns the order of starting and stopping: store, receiver, web; then the reverse. Listens on loopback only, since
it has no login and traces are not for everybody.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import uvicorn

from headwater.console.asking import open_asker
from headwater.console.lives import Lives
from headwater.console.receiver import TraceReceiver
from headwater.console.settings import ConsoleSettings
from headwater.console.store import SpanStore
from headwater.console.web import build_web
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown, announce_ready
from headwater.kernel.rpc import RpcServer, ServerSettings

LOOPBACK: Final = "127.0.0.1"
_HTTP_CONNECTIONS_MAX: Final = 64


async def run_console(settings: ConsoleSettings, shutdown: Shutdown) -> None:
    """Serve until the end is asked for; say on stdout when ready."""
    with SpanStore(settings.data_dir, bytes_max=settings.store_bytes_max) as store:
        receiver = TraceReceiver(store, pending_bytes_max=settings.pending_bytes_max)
        server = RpcServer(
            ServerSettings(
                address=f"{LOOPBACK}:{settings.otlp_port}",
                message_bytes_max=settings.message_bytes_max,
                drain_s=settings.drain_s,
            ),
            receiver.add_to,
        )
        async with server.serving() as otlp_port, _web(settings, store, otlp_port) as http_port:
            announce_ready(otlp_port=otlp_port, http_port=http_port)
            await shutdown.wait()


@asynccontextmanager
async def _web(settings: ConsoleSettings, store: SpanStore, otlp_port: int) -> AsyncIterator[int]:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listening(settings.http_port))
        asker = await stack.enter_async_context(open_asker(settings.services, settings.security))
        port = int(listener.getsockname()[1])
        facts = {"otlp_port": otlp_port, "http_port": port, "store_bytes_max": settings.store_bytes_max}
        server = _QuietServer(
            uvicorn.Config(
                build_web(store.path, facts, Lives(asker, settings.tenant_id)),
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                limit_concurrency=_HTTP_CONNECTIONS_MAX,
                timeout_graceful_shutdown=int(settings.drain_s),
            ),
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield port
            finally:
                server.should_exit = True


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Bind the web's port before anything is announced; connections wait in the backlog until it is served."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            raise StartRefused(f"cannot listen on {LOOPBACK}:{port}: {error}") from error
        listener.listen()
        yield listener
