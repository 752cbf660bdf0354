"""The services' real registrations behind real ports, with nothing behind the handlers: to be refused, and seen.

Every part that a handler would use is a `Touched`: it counts that a call came through, and fails it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

import grpc
from opentelemetry.trace import NoOpTracer

from headwater.identity.rpc import SERVICE_NAME, WEIGHTS_SERVICE_NAME, IdentityServicer, WeightsServicer
from headwater.identity.settings import IdentitySettings
from headwater.identity.v1 import identity_pb2_grpc, weights_pb2_grpc
from headwater.ingest.http.admitting import Doorman
from headwater.ingest.http.routes import HttpDoor, HttpSettings
from headwater.ingest.http.server import HttpServer, HttpServerSettings
from headwater.ingest.rpc.service import IngestRpc, RpcSettings, add_to_server
from headwater.ingest.settings import IngestSettings
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.kernel.security.denials import Denied
from headwater.kernel.security.security import Security, open_security
from headwater.kernel.settings import read_settings
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.kernel.telemetry.http import HttpServerTracing
from headwater.sync.serving import Servicers, server_of
from headwater.sync.settings import SyncSettings

INGEST: Final = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
DATABASE: Final = {"HEADWATER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


class Touched:
    """Stands for any part of a service: whoever uses it has come through."""

    def __init__(self) -> None:
        self.reached_count = 0

    def __getattr__(self, name: str) -> Any:
        self.reached_count += 1
        raise PreconditionFailed(f"{name} was reached", reason="REACHED")


class Refusals:
    """Takes what would go into the audit: no handler is behind it, and its being written is no leak."""

    async def write(self, denied: Sequence[tuple[Denied, int]]) -> bool:
        """Take it."""
        return bool(denied)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a world listens: gRPC by the package of the service, and the HTTP door."""

    rpc: Mapping[str, int]
    http: int
    touched: Touched
    security: Security

    def port_of(self, method: str) -> int:
        """Return the port of a gRPC method by its path."""
        return self.rpc[method.split(".")[1]]


@asynccontextmanager
async def open_world(variables: Mapping[str, str]) -> AsyncIterator[Ports]:
    """Serve everything with these settings while the block runs."""
    touched, environment = Touched(), {**DATABASE, **variables}
    security = open_security(read_settings(IngestSettings, environment))
    async with AsyncExitStack() as stack:
        ports = {
            name: await stack.enter_async_context(server.serving())
            for name, server in _servers(touched, environment, security).items()
        }
        stopping = Shutdown()
        tracing = HttpServerTracing(NoOpTracer())
        door = HttpDoor(_any(touched), _any(touched), tracing, HttpSettings(), stopping, Doorman(security))
        http = HttpServer(HttpServerSettings("127.0.0.1:0"), door.application(), security)
        yield Ports(ports, await stack.enter_async_context(http.serving(stopping)), touched, security)


def _servers(touched: Touched, environment: Mapping[str, str], security: Security) -> dict[str, RpcServer]:
    identity = open_security(read_settings(IdentitySettings, environment))
    given = {"HEADWATER_SYNC_ADDRESS": "127.0.0.1:0", **environment}
    sync_settings = read_settings(SyncSettings, environment).model_copy(
        update={"address": given["HEADWATER_SYNC_ADDRESS"]}
    )
    hints = get_type_hints(Servicers)
    servicers = Servicers(**{field.name: _made(hints[field.name], touched) for field in fields(Servicers)})
    telemetry = start_telemetry("sync", TelemetrySettings(), environ={})

    def add_ingest(server: grpc.aio.Server) -> Sequence[str]:
        part = _any(touched)
        held = RpcSettings(deadline_required=True, deadline_default_s=10.0, deadline_max_s=60.0)
        add_to_server(IngestRpc(part, part, part, part, held, Shutdown()), server)
        return (INGEST,)

    def add_identity(server: grpc.aio.Server) -> Sequence[str]:
        servicer, weighing = _made(IdentityServicer, touched), _made(WeightsServicer, touched)
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(servicer, server)
        weights_pb2_grpc.add_WeightsServiceServicer_to_server(weighing, server)
        return (SERVICE_NAME, WEIGHTS_SERVICE_NAME)

    return {
        "ingest": RpcServer(ServerSettings(), add_ingest, None, security),
        "identity": RpcServer(ServerSettings(), add_identity, None, identity),
        "sync": server_of(servicers, telemetry, sync_settings, Refusals()),
    }


def _made(kind: type, touched: Touched) -> Any:
    """Return a servicer whose every part is *touched*."""
    return kind(*[touched] * (len(inspect.signature(kind).parameters)))


def _any(touched: Touched) -> Any:
    return touched
