"""What operators see: status, fates of events, entities, deliveries and audit, page by page."""

from __future__ import annotations

import datetime as dt
from typing import Any

import grpc
import pytest
from tests.integration.sync.world import OTHER, World, refusal
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio


async def count_accepted(world: World, count: int, tenant_id: str = TENANT) -> None:
    """Make the log count *count* accepted events."""
    await world.pool.execute(
        "insert into ingest.event_count (tenant_id, source, object, disposition, slot, count)"
        " values ($1, 'site', 'contact', 1, 0, $2)",
        tenant_id,
        count,
    )


async def test_status_counts_projection_and_delivery(world: World) -> None:
    """Every count comes from what is stored, waiting events from the log's own count."""
    await count_accepted(world, 6)
    await world.add_event(1)
    await world.add_event(2, "no_change")
    await world.add_event(3, "no_change")
    await world.add_event(4, "poisoned", error="KeyError: x")
    await world.add_entity(1)
    await world.add_entity(2, version=0)
    await world.add_entity(3, state="merged", merged_into=key(1))
    await world.add_delivery(1, 2)
    await world.add_delivery(2, 5)
    for latency_ms in (10.0, 20.0, 30.0, None):
        await world.add_attempt(1, "created", latency_ms=latency_ms)

    status = await world.stub.GetStatus(pb.GetStatusRequest(tenant_id=TENANT))

    assert (status.events_projected, status.events_poisoned, status.events_waiting) == (1, 1, 2)
    assert [(item.rule, item.count) for item in status.superseded] == [("no_change", 2)]
    assert [(item.object, item.count) for item in status.entities] == [("contact", 1)]
    assert [(item.state, item.count) for item in status.deliveries] == [
        (pb.DELIVERY_STATE_DELIVERED, 1),
        (pb.DELIVERY_STATE_DEAD, 1),
    ]
    (latency,) = status.latencies
    assert (latency.connector, latency.count, latency.p50_ms) == ("salesforce", 3, 20.0)
    assert latency.p95_ms == pytest.approx(29.0)


async def test_status_never_counts_below_zero(world: World) -> None:
    """An event that is projected before its count is seen does not make the rest negative."""
    await world.add_event(1)
    assert (await world.stub.GetStatus(pb.GetStatusRequest(tenant_id=TENANT))).events_waiting == 0


async def test_status_counts_records(world: World) -> None:
    """Source records are counted by object."""
    for external_id in ("1", "2"):
        await world.insert(
            "record", tenant_id=TENANT, object="contact", source="site", external_id=external_id,
            entity_id=key(1), fields={}, deleted=False,
        )  # fmt: skip
    status = await world.stub.GetStatus(pb.GetStatusRequest(tenant_id=TENANT))
    assert [(item.object, item.count) for item in status.records] == [("contact", 2)]


async def test_a_fate_holds_attempts_up_to_the_first_success(world: World) -> None:
    """Attempts of the version the event made, and later ones, count until each connector holds them."""
    await world.add_event(7, entity_ids=[key(1)], versions=[3])
    await world.add_entity(1, version=4)
    await world.add_delivery(1, 2, desired_version=4, delivered_version=4, crm_id="003")
    await world.add_delivery(1, 3, "hubspot", desired_version=4, last_error_class="server", last_error="503")
    await world.add_delivery(2, 1)
    await world.add_attempt(1, "created", version=2, trace_id="before")
    await world.add_attempt(1, "failed", version=3, trace_id="first", error_class="server")
    await world.add_attempt(1, "updated", version=4, trace_id="second", attempt_number=2)
    await world.add_attempt(1, "updated", version=4, trace_id="after")
    await world.add_attempt(1, "in_doubt", version=4, connector="hubspot", trace_id="doubt")
    await world.add_attempt(2, "created", version=9, trace_id="another entity")
    await world.add_audit("field_changed", event_key=key(7), entity_id=key(1), changes=[
        {"field": "title", "before": None, "after": "CTO", "rule": "longest"}
    ])  # fmt: skip
    await world.add_audit("field_changed", event_key=key(8))

    request = pb.GetEventFateRequest(tenant_id=TENANT, event_key=str(key(7)))
    fate = (await world.stub.GetEventFate(request)).fate

    assert (fate.event_key, fate.projection, fate.trace_id) == (str(key(7)), "projected", f"{7:032x}")
    assert list(fate.entity_ids) == [str(key(1))]
    assert [(item.connector, item.last_error) for item in fate.deliveries] == [
        ("hubspot", "server: 503"),
        ("salesforce", ""),
    ]
    assert [item.trace_id for item in fate.attempts] == ["first", "second", "doubt"]
    (entry,) = fate.audit
    (change,) = entry.changes
    assert (change.field, change.before_json, change.after_json) == ("title", "null", '"CTO"')


async def test_a_fate_counts_an_entity_once_when_the_event_touched_it_twice(world: World) -> None:
    """The earliest version that the event made decides, and no attempt is listed twice."""
    await world.add_event(7, entity_ids=[key(1), key(1)], versions=[3, 4])
    await world.add_attempt(1, "updated", version=3, trace_id="only")
    request = pb.GetEventFateRequest(tenant_id=TENANT, event_key=str(key(7)))
    fate = (await world.stub.GetEventFate(request)).fate
    assert [item.trace_id for item in fate.attempts] == ["only"]


async def test_a_fate_is_not_found_before_the_projection(world: World) -> None:
    """An event the projector has not seen is NOT_FOUND with a reason of its own."""
    await world.add_event(7, tenant_id=OTHER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.GetEventFate(pb.GetEventFateRequest(tenant_id=TENANT, event_key=str(key(7))))
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "NOT_PROJECTED")


async def test_an_entity_shows_values_with_their_provenance(world: World) -> None:
    """Each value names rule, source, event and time; deliveries come along."""
    micros = int(NOON.timestamp() * 1_000_000) + 5
    fields = {"email": ["a@x.io", "source_priority", "crm", str(key(5)), micros]}
    await world.add_entity(1, version=3, fields=fields)
    await world.add_delivery(1, 3, due_time=NOON)
    state = await world.stub.GetEntityState(pb.GetEntityStateRequest(tenant_id=TENANT, entity_id=str(key(1))))
    (value,) = state.fields
    assert (state.object, state.state, state.version, state.merged_into) == ("contact", "active", 3, "")
    assert (value.field, value.value_json, value.rule) == ("email", '"a@x.io"', "source_priority")
    assert (value.source, value.event_key) == ("crm", str(key(5)))
    assert value.field_time.ToMicroseconds() == micros
    (delivery,) = state.deliveries
    assert delivery.next_attempt_time.ToDatetime(dt.UTC) == NOON


async def test_a_merged_entity_names_its_winner(world: World) -> None:
    """Who asks for the loser learns where to look."""
    await world.add_entity(2, state="merged", merged_into=key(1))
    request = pb.GetEntityStateRequest(tenant_id=TENANT, entity_id=str(key(2)))
    assert (await world.stub.GetEntityState(request)).merged_into == str(key(1))


@pytest.mark.parametrize("version", [None, 0], ids=["unknown", "not projected yet"])
async def test_an_entity_is_not_found_until_projected(world: World, version: int | None) -> None:
    """Neither an unknown id nor a place kept free for an entity is an entity."""
    if version is not None:
        await world.add_entity(1, version=version)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.GetEntityState(pb.GetEntityStateRequest(tenant_id=TENANT, entity_id=str(key(1))))
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ENTITY")


async def list_all(world: World, **filters: Any) -> list[tuple[str, str]]:
    """Return connector and entity of every delivery, page by page."""
    found: list[tuple[str, str]] = []
    token = ""
    while True:
        request = pb.ListDeliveriesRequest(tenant_id=TENANT, page_token=token, **filters)
        page = await world.stub.ListDeliveries(request)
        assert len(page.deliveries) <= filters.get("page_size", 50)
        found += [(item.connector, item.entity_id) for item in page.deliveries]
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 6, 7])
async def test_pages_of_deliveries_hold_each_once_and_in_order(world: World, page_size: int) -> None:
    """Whatever the page size, also where a page ends with the list, nothing is missed or told twice."""
    for connector in ("salesforce", "hubspot"):
        for number in (3, 1, 2):
            await world.add_delivery(number, number, connector)
    await world.add_delivery(1, tenant_id=OTHER)
    wanted = [(name, str(key(n))) for name in ("hubspot", "salesforce") for n in (1, 2, 3)]
    assert await list_all(world, page_size=page_size) == wanted


async def test_the_last_page_has_no_token(world: World) -> None:
    """A page that holds exactly what is left says that it is the last."""
    for number in (1, 2):
        await world.add_delivery(number)
    page = await world.stub.ListDeliveries(pb.ListDeliveriesRequest(tenant_id=TENANT, page_size=2))
    assert (len(page.deliveries), page.next_page_token) == (2, "")


async def test_deliveries_are_filtered_by_connector_state_and_entity(world: World) -> None:
    """Filters hold together, the stopped states through their own index."""
    for connector in ("hubspot", "salesforce"):
        for number, state in ((1, 1), (2, 5), (3, 6)):
            await world.add_delivery(number, state, connector)
    dead, discarded = pb.DELIVERY_STATE_DEAD, pb.DELIVERY_STATE_DISCARDED
    assert await list_all(world, connector="hubspot", page_size=1) == [
        ("hubspot", str(key(n))) for n in (1, 2, 3)
    ]
    assert await list_all(world, states=[dead]) == [
        ("hubspot", str(key(2))),
        ("salesforce", str(key(2))),
    ]
    assert await list_all(world, connector="hubspot", states=[discarded, dead], page_size=1) == [
        ("hubspot", str(key(2))),
        ("hubspot", str(key(3))),
    ]
    assert await list_all(world, entity_id=str(key(3)), page_size=1) == [
        ("hubspot", str(key(3))),
        ("salesforce", str(key(3))),
    ]
    assert await list_all(world, entity_id=str(key(3)), states=[dead]) == []


async def test_a_token_of_another_list_is_refused(world: World) -> None:
    """A token names its list: one of the audit opens no page of deliveries."""
    for _ in range(2):
        await world.add_audit("field_changed")
    page = await world.stub.ListAudit(pb.ListAuditRequest(tenant_id=TENANT, page_size=1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.ListDeliveries(
            pb.ListDeliveriesRequest(tenant_id=TENANT, page_token=page.next_page_token)
        )
    assert refusal(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED", ["page_token"])


async def test_audit_pages_run_from_the_newest(world: World) -> None:
    """Pages hold each entry once, newest first, also when filtered by entity or event."""
    for number in range(5):
        await world.add_audit("field_changed", entity_id=key(number % 2), event_key=key(number))
    await world.add_audit("field_changed", tenant_id=OTHER, entity_id=key(0))

    async def events(**filters: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListAuditRequest(tenant_id=TENANT, page_size=2, page_token=token, **filters)
            page = await world.stub.ListAudit(request)
            found += [entry.event_key for entry in page.entries]
            token = page.next_page_token
            if not token:
                return found

    assert await events() == [str(key(n)) for n in (4, 3, 2, 1, 0)]
    assert await events(entity_id=str(key(0))) == [str(key(n)) for n in (4, 2, 0)]
    assert await events(event_key=str(key(3))) == [str(key(3))]
    assert await events(event_key=str(key(3)), entity_id=str(key(0))) == []


async def test_a_tenant_sees_nothing_of_another(world: World) -> None:
    """The same ids under another tenant are not there."""
    await count_accepted(world, 9)
    await world.add_event(1, entity_ids=[key(1)], versions=[1])
    await world.add_entity(1)
    await world.add_delivery(1, 5)
    await world.add_attempt(1, "created", latency_ms=1.0)
    await world.add_audit("field_changed", entity_id=key(1), event_key=key(1))

    assert await world.stub.GetStatus(pb.GetStatusRequest(tenant_id=OTHER)) == pb.GetStatusResponse()
    assert not (await world.stub.ListDeliveries(pb.ListDeliveriesRequest(tenant_id=OTHER))).deliveries
    assert not (await world.stub.ListAudit(pb.ListAuditRequest(tenant_id=OTHER))).entries
    await world.add_event(2, tenant_id=OTHER, entity_ids=[key(1)], versions=[1])
    request = pb.GetEventFateRequest(tenant_id=OTHER, event_key=str(key(2)))
    fate = (await world.stub.GetEventFate(request)).fate
    assert [*fate.deliveries, *fate.attempts, *fate.audit] == []
    accounts = (await world.stub.ListConnectors(pb.ListConnectorsRequest(tenant_id=OTHER))).connectors
    assert [item.dead_count for item in accounts] == [0, 0, 0]


MALFORMED: list[tuple[str, Any, list[str]]] = [
    ("GetStatus", pb.GetStatusRequest(), ["tenant_id"]),
    ("GetStatus", pb.GetStatusRequest(tenant_id="Not A Tenant"), ["tenant_id"]),
    ("GetEventFate", pb.GetEventFateRequest(tenant_id=TENANT), ["event_key"]),
    ("GetEventFate", pb.GetEventFateRequest(tenant_id="", event_key="x"), ["tenant_id", "event_key"]),
    ("GetEntityState", pb.GetEntityStateRequest(tenant_id=TENANT, entity_id="1"), ["entity_id"]),
    ("ListConnectors", pb.ListConnectorsRequest(tenant_id="-"), ["tenant_id"]),
    ("PauseConnector", pb.PauseConnectorRequest(tenant_id=TENANT), ["connector", "actor.id"]),
    ("ResumeConnector", pb.ResumeConnectorRequest(tenant_id=TENANT), ["connector", "actor.id"]),
    ("ResetBreaker", pb.ResetBreakerRequest(tenant_id=TENANT), ["connector", "actor.id"]),
    ("ListDeliveries", pb.ListDeliveriesRequest(tenant_id=TENANT, page_size=501), ["page_size"]),
    ("ListDeliveries", pb.ListDeliveriesRequest(tenant_id=TENANT, page_size=-1), ["page_size"]),
    ("ListDeliveries", pb.ListDeliveriesRequest(tenant_id=TENANT, page_token="!"), ["page_token"]),
    ("ListDeliveries", pb.ListDeliveriesRequest(tenant_id=TENANT, states=[pb.DELIVERY_STATE_UNSPECIFIED]), ["states[0]"]),
    ("ListDeliveries", pb.ListDeliveriesRequest(tenant_id=TENANT, connector="A B"), ["connector"]),
    ("ListAudit", pb.ListAuditRequest(tenant_id=TENANT, page_token="WyJ4Il0"), ["page_token"]),
    ("ListAudit", pb.ListAuditRequest(tenant_id=TENANT, event_key="x"), ["event_key"]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "request_", "fields"), MALFORMED)
async def test_a_malformed_request_names_every_field(
    world: World, method: str, request_: Any, fields: list[str]
) -> None:
    """All broken rules of a request are told at once."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(world.stub, method)(request_)
    assert refusal(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED", fields)
