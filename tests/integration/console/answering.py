"""Services that answer about one event, on a real port: what the console asks, with personal values where they have them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2, identity_pb2_grpc
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.sync.v1 import sync_pb2, sync_pb2_grpc

TENANT: Final = "acme"
EVENT_KEY: Final = "0198f2c0-0000-7000-8000-000000000001"
ENTITY: Final = "0f6b1d3e-6a4e-5b7e-9a56-1c6c1f0e9d11"
PERSONAL: Final = ("ada.lovelace@person.example", "+441632960961", "Ada Lovelace", "tok-personal-1")
"""What stands in the answers and may stand nowhere else."""
RUNBOOK: Final = "https://runbooks.example/hubspot"


def recorded(trace_id: str = "a" * 32) -> ingest_pb2.GetEventResponse:
    """The event as ingest tells it."""
    event = event_pb2.Event(
        source="erp", object="contact", external_id=PERSONAL[0], payload=repr(PERSONAL).encode(),
        trace=event_pb2.TraceContext(traceparent=f"00-{trace_id}-{'b' * 16}-01"),
    )  # fmt: skip
    told = ingest_pb2.RecordedEvent(
        event_key=EVENT_KEY, tenant_id=TENANT, event=event, disposition=ingest_pb2.DISPOSITION_ACCEPTED,
        position=ingest_pb2.LogPosition(xid=7, seq=9),
    )  # fmt: skip
    told.record_time.FromJsonString("2026-01-05T09:00:00.125Z")
    return ingest_pb2.GetEventResponse(event=told)


def fate(tries: tuple[tuple[str, str, str], ...] = ()) -> sync_pb2.EventFate:
    """What followed: delivered to Salesforce, dead at HubSpot, in *tries*' (connector, trace id, span id)."""
    attempts = [
        sync_pb2.Attempt(
            connector=connector, object="contact", entity_id=ENTITY, attempt_number=1, version=2,
            outcome="failed" if connector == "hubspot" else "created", trace_id=trace_id, span_id=span_id,
            error_class="validation" if connector == "hubspot" else "",
            error_code="INVALID_EMAIL" if connector == "hubspot" else "",
            error_message=f"{PERSONAL[2]} has no such address: {PERSONAL[0]}" if connector == "hubspot" else "",
        )
        for connector, trace_id, span_id in tries
    ]  # fmt: skip
    shared: dict[str, Any] = {"object": "contact", "entity_id": ENTITY, "desired_version": 2}
    dead = sync_pb2.Delivery(
        connector="hubspot", state=sync_pb2.DELIVERY_STATE_DEAD, failure_count=1,
        last_error=f"validation: {PERSONAL[2]} has no such address: {PERSONAL[0]}", **shared,
    )  # fmt: skip
    done = sync_pb2.Delivery(
        connector="salesforce",
        state=sync_pb2.DELIVERY_STATE_DELIVERED,
        delivered_version=2,
        crm_id="003Q1",
        **shared,
    )
    change = sync_pb2.FieldChange(field="phone", rule="newest", after_json=f'"{PERSONAL[1]}"')
    entry = sync_pb2.AuditEntry(action="field_changed", actor="erp", entity_id=ENTITY, changes=[change])
    return sync_pb2.EventFate(
        event_key=EVENT_KEY, projection="projected", entity_ids=[ENTITY], trace_id="a" * 32,
        deliveries=[dead, done], attempts=attempts, audit=[entry],
    )  # fmt: skip


def group() -> sync_pb2.ErrorGroup:
    """The cause of HubSpot's refusal."""
    return sync_pb2.ErrorGroup(
        group_id=ENTITY, connector="hubspot", error_class="validation", error_code="INVALID_EMAIL",
        message="<name> has no such address: <email>", last_message=f"{PERSONAL[0]}", sample_entity_ids=[ENTITY],
        owner="sales-ops", runbook=RUNBOOK,
    )  # fmt: skip


def entity() -> identity_pb2.Entity:
    """Whose record it is."""
    other = event_pb2.RecordRef(source="mail", object="contact", external_id=PERSONAL[3])
    own = event_pb2.RecordRef(source="erp", object="contact", external_id=PERSONAL[0])
    members = [identity_pb2.Member(record=other), identity_pb2.Member(record=own, rule="same_email")]
    return identity_pb2.Entity(entity_id=ENTITY, object="contact", members=members)


@dataclass(slots=True)
class Answers:
    """What is answered, and what was asked: a status instead of an answer refuses.

    Args:
        asked: (rpc, tenant, authorization), in order.
    """

    found: ingest_pb2.GetEventResponse | grpc.StatusCode = field(default_factory=recorded)
    fate: sync_pb2.EventFate | grpc.StatusCode = field(default_factory=fate)
    groups: list[sync_pb2.ErrorGroup] = field(default_factory=lambda: [group()])
    entity: identity_pb2.Entity | grpc.StatusCode = field(default_factory=entity)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def tell(self, rpc: str, answer: Any, request: Any, context: grpc.ServicerContext) -> Any:
        """Write down who asked, and return the answer."""
        metadata = dict(context.invocation_metadata())
        self.asked.append((rpc, request.tenant_id, str(metadata.get("authorization", ""))))
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "as the test wants it")
        return answer


@contextmanager
def answering(answers: Answers) -> Iterator[dict[str, str]]:
    """Serve *answers* for a block; yields the environment of a console that asks them."""

    class Ingest(ingest_pb2_grpc.IngestServiceServicer):
        def GetEvent(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract names it
            return answers.tell("GetEvent", answers.found, request, context)

    class Identity(identity_pb2_grpc.IdentityServiceServicer):
        def GetEntity(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract names it
            known = answers.entity
            response = (
                identity_pb2.GetEntityResponse(entity=known)
                if isinstance(known, identity_pb2.Entity)
                else known
            )
            return answers.tell("GetEntity", response, request, context)

    class Sync(sync_pb2_grpc.SyncServiceServicer):
        def GetEventFate(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract names it
            known = answers.fate
            response = (
                sync_pb2.GetEventFateResponse(fate=known) if isinstance(known, sync_pb2.EventFate) else known
            )
            return answers.tell("GetEventFate", response, request, context)

        def ListErrorGroups(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract names it
            response = sync_pb2.ListErrorGroupsResponse(groups=answers.groups)
            return answers.tell("ListErrorGroups", response, request, context)

    server = grpc.server(ThreadPoolExecutor(4))
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(Ingest(), server)  # type: ignore[abstract]  # the others are not asked
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(Identity(), server)  # type: ignore[abstract]  # the others are not asked
    sync_pb2_grpc.add_SyncServiceServicer_to_server(Sync(), server)  # type: ignore[abstract]  # the others are not asked
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield {f"HEADWATER_{name}_ADDRESS": f"127.0.0.1:{port}" for name in ("INGEST", "IDENTITY", "SYNC")}
    finally:
        server.stop(None).wait(10)
