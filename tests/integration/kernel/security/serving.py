"""A server with security and handlers of the test's own under paths of real methods; nothing of a service behind them."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from anyio import to_thread
from tests.integration.security.credentials import Credentials

from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.security.principal import Principal, current_principal
from headwater.kernel.security.security import Security, open_security
from headwater.kernel.security.settings import SecuritySettings
from headwater.sync.v1 import sync_pb2

STREAM = "/headwater.ingest.v1.IngestService/StreamEvents"
PAUSE = "/headwater.sync.v1.SyncService/PauseConnector"
Context = Any


@dataclass(slots=True)
class Seen:
    """What handlers were given."""

    port: int
    security: Security
    requests: list[Any] = field(default_factory=list)
    principals: list[Principal | None] = field(default_factory=list)

    def take(self, request: Any) -> None:
        """Note a request, and who it came from."""
        self.requests.append(request)
        self.principals.append(current_principal())


@asynccontextmanager
async def serving(
    settings: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic, **more: Any
) -> AsyncIterator[Seen]:
    """Serve two methods with these settings of security while the block runs."""
    security = open_security(SecuritySettings.model_validate(dict(settings)), monotonic=monotonic)
    seen = Seen(0, security)

    async def pause(request: Any, context: Context) -> Any:
        del context
        seen.take(request)
        return sync_pb2.PauseConnectorResponse()

    async def stream(requests: Any, context: Context) -> None:
        async for request in requests:
            seen.take(request)
            await context.write(ingest_pb2.StreamEventsResponse(batch_number=request.batch_number))

    def add(server: grpc.aio.Server) -> Sequence[str]:
        for path, handler in ((PAUSE, _unary(pause)), (STREAM, _both_ways(stream))):
            _, service, method = path.split("/")
            named = grpc.method_handlers_generic_handler(service, {method: handler})
            server.add_generic_rpc_handlers((named,))
        return ()

    async with RpcServer(ServerSettings(**more), add, None, security).serving() as port:
        seen.port = port
        yield seen


def _unary(behaviour: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        sync_pb2.PauseConnectorRequest.FromString,
        sync_pb2.PauseConnectorResponse.SerializeToString,
    )


def _both_ways(behaviour: Any) -> Any:
    return grpc.stream_stream_rpc_method_handler(
        behaviour,
        ingest_pb2.StreamEventsRequest.FromString,
        ingest_pb2.StreamEventsResponse.SerializeToString,
    )


async def pause(channel: grpc.aio.Channel, token: str = "", **fields: Any) -> None:
    """Call the unary method."""
    call = channel.unary_unary(PAUSE, sync_pb2.PauseConnectorRequest.SerializeToString, bytes)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    await call(sync_pb2.PauseConnectorRequest(**fields), metadata=metadata, timeout=10)


async def shake(
    port: int,
    made: Credentials,
    *,
    latest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    alpn: str = "h2",
    shows: ChannelSecurity | None = None,
) -> tuple[str, str]:
    """Shake hands; return the version agreed on and the serial of the certificate shown, in hex.

    Raises:
        OSError: the server would not.
    """

    def talk() -> tuple[str, str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of versions that are to be refused
            context = ssl.create_default_context(cafile=made.settings["HEADWATER_TLS_CA"])
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = latest
        context.set_alpn_protocols([alpn])
        if shows is not None:
            context.load_cert_chain(shows.cert, shows.key)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as line,
            context.wrap_socket(line, server_hostname="127.0.0.1") as private,
        ):
            shown: Any = private.getpeercert()
            return str(private.version()), str(shown["serialNumber"]).lower().lstrip("0")

    return await to_thread.run_sync(talk)
