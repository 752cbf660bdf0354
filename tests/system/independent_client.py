"""A producer that knows Headwater by its protos alone: run as a program, never imported by a test.

    independent_client.py GENERATED_DIR INGEST_ADDRESS OTLP_ENDPOINT TENANT STEP...

GENERATED_DIR holds what protoc made of `proto/`, and is all of Headwater that this program sees. It exports its own
spans with the plain OpenTelemetry SDK, sends their context along, and prints one JSON object: step to the outcome
and the ids of the span that produced it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer

SERVICE = "independent-producer"
CALL_S = 15.0
EVENTS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "account": ("erp", "account", "a-1", {"name": "Quillfeather Mills", "industry": "Manufacturing"}),
    "deal": ("erp", "deal", "d-1", {"name": "Looms for spring", "stage": "Prospecting", "account": "a-1"}),
    "contact": (
        "erp", "contact", "c-1",
        {"email": "wilhelmina.quince@quillfeather.example", "first_name": "Wilhelmina", "last_name": "Quince"},
    ),
    "duplicate": (
        "shop", "contact", "s-77",
        {"email": "Wilhelmina.Quince@quillfeather.example", "first_name": "Wilhelmina", "last_name": "Quince",
         "title": "Head weaver"},
    ),
    "activity": (
        "mail", "activity", "m-1",
        {"kind": "email", "subject": "Warp and weft", "occurred_time": "2026-01-05T09:00:00Z",
         "participants": [
             {"role": "from", "address": "wilhelmina.quince@quillfeather.example", "name": "Wilhelmina Quince"},
             {"role": "to", "address": "ferdinand.oakapple@bobbin.example", "name": "Ferdinand Oakapple"},
         ]},
    ),
}  # fmt: skip
"""Step -> source, object, external id, payload."""


class Producer:
    """Records events, each under a span of its own."""

    def __init__(self, generated: Path, address: str, tenant: str, tracer: Tracer) -> None:
        sys.path.insert(0, str(generated))
        self._event = importlib.import_module("headwater.event.v1.event_pb2")
        self._ingest = importlib.import_module("headwater.ingest.v1.ingest_pb2")
        services = importlib.import_module("headwater.ingest.v1.ingest_pb2_grpc")
        if not Path(str(self._ingest.__file__)).is_relative_to(generated):
            raise SystemExit(f"not the generated code: {self._ingest.__file__}")
        self._stub = services.IngestServiceStub(grpc.insecure_channel(address))
        self._tenant = tenant
        self._tracer = tracer

    def record(self, step: str) -> dict[str, str]:
        """Record the event of *step* by the call that suits it, and tell what became of it."""
        ways: dict[str, Callable[[Any, str], Any]] = {
            "duplicate": self._by_batch,
            "activity": self._by_stream,
        }
        with self._tracer.start_as_current_span(f"record {step}", kind=SpanKind.PRODUCER) as span:
            context = span.get_span_context()
            traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
            outcome = ways.get(step, self._by_unary_call)(self._build(step), traceparent)
        return {
            "event_key": outcome.event_key,
            "disposition": self._ingest.Disposition.Name(outcome.disposition),
            "trace_id": f"{context.trace_id:032x}",
            "span_id": f"{context.span_id:016x}",
        }

    def _build(self, step: str) -> Any:
        source, kind, external_id, payload = EVENTS[step]
        built = self._event.Event(
            source=source, object=kind, external_id=external_id, payload=json.dumps(payload).encode()
        )
        built.event_time.FromJsonString("2026-01-05T09:00:00Z")
        return built

    def _by_unary_call(self, event: Any, traceparent: str) -> Any:
        request = self._ingest.RecordEventRequest(tenant_id=self._tenant, event=event)
        metadata = (("traceparent", traceparent),)
        return self._stub.RecordEvent(request, metadata=metadata, timeout=CALL_S).outcome

    def _by_batch(self, event: Any, traceparent: str) -> Any:
        event.trace.traceparent = traceparent
        request = self._ingest.BatchRecordEventsRequest(tenant_id=self._tenant, events=[event])
        return self._stub.BatchRecordEvents(request, timeout=CALL_S).outcomes[0]

    def _by_stream(self, event: Any, traceparent: str) -> Any:
        event.trace.traceparent = traceparent

        def batches() -> Iterator[Any]:
            yield self._ingest.StreamEventsRequest(batch_number=7, tenant_id=self._tenant, events=[event])

        (answer,) = self._stub.StreamEvents(batches(), timeout=CALL_S)
        if answer.batch_number != 7:
            raise SystemExit(f"batch {answer.batch_number} was acknowledged, not 7")
        return answer.outcomes[0]


def main(arguments: list[str]) -> None:
    """Record the steps named and print what became of them."""
    generated, address, endpoint, tenant, *steps = arguments
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    producer = Producer(Path(generated), address, tenant, provider.get_tracer(SERVICE))
    told = {step: producer.record(step) for step in steps}
    provider.shutdown()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
