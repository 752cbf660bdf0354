"""The ways tracing is run in, and a receiver of spans that stops answering when told to.

A service follows the decision that stands in an event's trace context, so the same processes trace 1 % or 100 % as their
producer says; off is switched (`switchable`).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.load.tracing.switchable import DIRECTORY

END_S: Final = 2.0
SERVICE_RATIO: Final = "0.01"
"""Of what a service begins by itself: the default, and the same in every way."""
TAIL_S: Final = 1.3
"""After each slice: more than the second that a finished span may wait for its export, so no slice pays for another."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of tracing.

    Args:
        share: of the events, and of the calls that bring them, whose producer sampled them, 0..1.
        traced: whether the services trace.
        answers: whether the receiver of spans does.
    """

    share: float
    traced: bool = True
    answers: bool = True


OFF: Final = "off"
CONTROL: Final = "off, once more"
FEW: Final = "1 %"
ALL: Final = "100 %"
BESIDE: Final = "1 %, beside it"
BLOCKED: Final = "1 %, blocked endpoint"
WAYS: Final[Mapping[str, Way]] = {
    OFF: Way(0.01, traced=False),
    CONTROL: Way(0.01, traced=False),
    FEW: Way(0.01),
    ALL: Way(1.0),
    BESIDE: Way(0.01),
    BLOCKED: Way(0.01, answers=False),
}
"""Producers sample where tracing is off, too: what differs is the service alone. What the second way
without tracing seems to cost against the first is what the machine's noise can do to the other figures."""
PAIRS: Final = 3
"""Of a blocked slice and the one beside it, in each turn: one per cent is little, so it is asked for more often, and
right beside each other machine and tables have changed least."""


def order_of(seed: str) -> list[str]:
    """Return the slices of a turn, in another order for each seed: what comes and goes on the machine meets all alike."""
    chance = random.Random(seed)
    units = [[name] for name in WAYS if name not in {BESIDE, BLOCKED}]
    units += [chance.sample((BESIDE, BLOCKED), 2) for _ in range(PAIRS)]
    return [name for unit in chance.sample(units, len(units)) for name in unit]


class Receiver(grpc.GenericRpcHandler):
    """Takes spans and counts them; while it is blocked it accepts every call, reads what it brings, and never answers."""

    def __init__(self) -> None:
        self.address = ""
        self.spans = self.attributes = self.links = self.bytes = 0
        self._open = anyio.Event()
        self._open.set()

    def answer(self, answers: bool) -> None:  # noqa: FBT001 - a switch
        """Begin or cease to answer; calls that wait are answered."""
        if not answers:
            self._open = anyio.Event()
        else:
            self._open.set()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of any method."""
        del handler_call_details

        async def take(request: bytes, context: Any) -> bytes:
            del context
            await self._open.wait()
            self._count(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(take)

    def _count(self, request: bytes) -> None:
        self.bytes += len(request)
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                self.spans += len(scope.spans)
                for span in scope.spans:
                    self.attributes += len(span.attributes)
                    self.links += len(span.links)


def settings_of(receiver: Receiver, switches: Path) -> dict[str, str]:
    """Return the settings of services that trace, and can be switched.

    Args:
        switches: a directory.
    """
    return {
        DIRECTORY: str(switches),
        "HEADWATER_TRACE_RATIO": SERVICE_RATIO,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """Run the receiver for a block."""
    receiver = Receiver()
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
    server.add_generic_rpc_handlers((receiver,))
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield receiver
    finally:
        receiver.answer(True)
        with anyio.CancelScope(shield=True):
            await server.stop(END_S)
