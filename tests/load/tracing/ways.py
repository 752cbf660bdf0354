"""The ways tracing is run in: off, a share of the events sampled, and with a receiver that takes spans and never answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import grpc
from tests.load.ingest.ground import noop_server

END_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way of tracing.

    Args:
        share: of the events whose producer sampled them, and of new traces that a service begins, 0..1.
        receiver: `none`, `answers` or `silent`.
    """

    share: float
    receiver: str


OFF: Final = "off"
CONTROL: Final = "off, once more"
FEW: Final = "1 %"
ALL: Final = "100 %"
BLOCKED: Final = "1 %, blocked endpoint"
WAYS: Final[Mapping[str, Way]] = {
    OFF: Way(0.01, "none"),
    CONTROL: Way(0.01, "none"),
    FEW: Way(0.01, "answers"),
    ALL: Way(1.0, "answers"),
    BLOCKED: Way(0.01, "silent"),
}
"""Producers sample where tracing is off, too: what differs is the service alone. What the second process without
tracing seems to cost against the first is what the machine's noise can do to the other figures."""


def settings_of(way: Way, receivers: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a service that traces in a way.

    Args:
        receivers: kind to host:port, of `open_receivers`.
    """
    if way.receiver == "none":
        return {}
    return {
        "HEADWATER_TRACE_RATIO": str(way.share),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receivers[way.receiver]}",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }


@asynccontextmanager
async def open_receivers() -> AsyncIterator[dict[str, str]]:
    """Run both receivers for a block; yields kind to host:port."""
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
    server.add_generic_rpc_handlers((_Silent(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        with noop_server(1) as (address, _):
            yield {"answers": address, "silent": f"127.0.0.1:{port}"}
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(END_S)


class _Silent(grpc.GenericRpcHandler):
    """Accepts every call, reads what it brings, and never answers."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of any method."""
        del handler_call_details

        async def never(request: bytes, context: Any) -> bytes:
            del request, context
            await anyio.sleep_forever()
            return b""

        return grpc.unary_unary_rpc_method_handler(never)
