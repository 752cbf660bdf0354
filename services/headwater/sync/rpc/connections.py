# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of connections: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

from typing import Any, Final

from headwater.kernel.rpc.checks import Checks
from headwater.sync.usecases.connections import Connections
from headwater.sync.v1 import connections_pb2 as pb
from headwater.sync.v1 import connections_pb2_grpc

CONNECTIONS_NAME: Final = pb.DESCRIPTOR.services_by_name["ConnectionService"].full_name


class ConnectionServicer(connections_pb2_grpc.ConnectionServiceServicer):
    """Serves `headwater.sync.v1.ConnectionService`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def OpenWebhookSecrets(
        self, request: pb.OpenWebhookSecretsRequest, context: Any
    ) -> pb.OpenWebhookSecretsResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        source = checks.name("source", request.source)
        checks.finish()
        opened = await self._connections.webhook_secrets(tenant_id, source)
        secrets = [pb.OpenedSecret(reference=one.reference, secret=one.secret) for one in opened]
        return pb.OpenWebhookSecretsResponse(secrets=secrets)

    async def TryConnection(self, request: pb.TryConnectionRequest, context: Any) -> pb.TryConnectionResponse:
        checks = Checks()
        tenant_id = checks.tenant(request.tenant_id)
        connector = checks.name("connector", request.connector)
        checks.finish()
        report = await self._connections.tried(tenant_id, connector)
        return pb.TryConnectionResponse(ok=report.ok, findings=report.findings)
