"""From requests to the use cases' words. Pure; raises `InvalidInput` with every violation."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.kernel.ids import parse_uuid
from headwater.kernel.rpc.checks import Checks
from headwater.sync.domain.breaker import Mode
from headwater.sync.domain.operating import ALL_STATES, BreakerOrder, DeliveryFilter, DeliveryPlace
from headwater.sync.v1 import sync_pb2 as pb

ENTITIES_MAX: Final = 1_000
"""Entities that one order may name."""
DELIVERIES: Final = "deliveries"
AUDIT: Final = "audit"
"""Lists, as page tokens name them."""
_AUDIT_DIGITS_MAX: Final = 18
"""A number of 18 digits fits into a bigint."""

BREAKER_TTL_S_MAX: Final = 30 * 86_400.0
"""Longest time that an order about a breaker may be given for."""

Steered = pb.PauseConnectorRequest | pb.ResumeConnectorRequest | pb.ResetBreakerRequest


def read_tenant(request: pb.GetStatusRequest | pb.ListConnectorsRequest) -> str:
    """Check and read whose things are asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    checks.finish()
    return tenant_id


def read_fate(request: pb.GetEventFateRequest) -> tuple[str, uuid.UUID]:
    """Check and read which event is asked for."""
    checks = Checks()
    found = checks.tenant(request.tenant_id), checks.uuid("event_key", request.event_key)
    checks.finish()
    return found


def read_entity(request: pb.GetEntityStateRequest) -> tuple[str, uuid.UUID]:
    """Check and read which entity is asked for."""
    checks = Checks()
    found = checks.tenant(request.tenant_id), checks.uuid("entity_id", request.entity_id)
    checks.finish()
    return found


def read_steering(request: Steered) -> tuple[str, str, str]:
    """Check and read an order: tenant, connector, actor."""
    checks = Checks()
    order = (
        checks.tenant(request.tenant_id),
        checks.name("connector", request.connector),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


def read_breaker_order(request: pb.SetBreakerRequest) -> tuple[str, str, BreakerOrder, str]:
    """Check and read an order about breakers: tenant, connector, order, actor."""
    checks = Checks()
    mode = _MODES.get(request.order)
    if request.order not in _MODES:
        checks.broken("order", str(request.order), "allowed", "open, closed or reset")
    forces = request.order in _MODES and mode is not None
    order = (
        checks.tenant(request.tenant_id),
        checks.name("connector", request.connector),
        BreakerOrder(
            mode,
            _ttl_s(checks, request, forces=forces),
            checks.text("reason", request.reason) if forces or request.reason else "",
        ),
        read_actor(checks, request.actor),
    )
    checks.finish()
    return order


_MODES: Final[Mapping[int, Mode | None]] = {
    pb.BREAKER_ORDER_OPEN: "open",
    pb.BREAKER_ORDER_CLOSED: "closed",
    pb.BREAKER_ORDER_RESET: None,
}
"""The wire's orders in the domain's words; None resets."""


def _ttl_s(checks: Checks, request: pb.SetBreakerRequest, *, forces: bool) -> float | None:
    if not request.HasField("ttl"):
        return None
    ttl_s = request.ttl.seconds + request.ttl.nanos / 1e9
    if not forces:
        checks.broken("ttl", f"{ttl_s:g} s", "absent", "an order to reset has no time")
    elif not 1.0 <= ttl_s <= BREAKER_TTL_S_MAX:
        checks.broken("ttl", f"{ttl_s:g} s", "range", f"1 s to {BREAKER_TTL_S_MAX:g} s")
    return ttl_s


def read_deliveries(
    request: pb.ListDeliveriesRequest,
) -> tuple[str, DeliveryFilter, DeliveryPlace | None, int]:
    """Check and read which page of deliveries is asked for."""
    checks = Checks()
    tenant_id = checks.tenant(request.tenant_id)
    connector = checks.name("connector", request.connector, required=False)
    for number, state in enumerate(request.states):
        if state not in ALL_STATES:
            checks.broken(f"states[{number}]", str(state), "allowed", "a known state of a delivery")
    entity_id = checks.optional_uuid("entity_id", request.entity_id)
    wanted = DeliveryFilter(connector, tuple(sorted(set(request.states))) or ALL_STATES, entity_id)
    after = _delivery_place(checks, request.page_token)
    page_size = checks.page_size(request.page_size)
    checks.finish()
    return tenant_id, wanted, after, page_size


def _delivery_place(checks: Checks, token: str) -> DeliveryPlace | None:
    place = checks.page_token(token, DELIVERIES, 2)
    if place is None:
        return None
    connector, entity = place
    entity_id = parse_uuid(entity)
    if entity_id is None or "\x00" in connector:
        checks.broken_token(token)
        return None
    return DeliveryPlace(connector, entity_id)


def read_audit(
    request: pb.ListAuditRequest,
) -> tuple[str, uuid.UUID | None, uuid.UUID | None, tuple[int, int] | None, int]:
    """Check and read which page of the audit is asked for."""
    checks = Checks()
    found = (
        checks.tenant(request.tenant_id),
        checks.optional_uuid("entity_id", request.entity_id),
        checks.optional_uuid("event_key", request.event_key),
        read_place(checks, request.page_token),
        checks.page_size(request.page_size),
    )
    checks.finish()
    return found


def read_place(checks: Checks, token: str) -> tuple[int, int] | None:
    """Check and read before which entry of the audit a page begins."""
    place = checks.page_token(token, AUDIT, 2)
    if place is None:
        return None
    if not all(part.isascii() and part.isdigit() and len(part) <= _AUDIT_DIGITS_MAX for part in place):
        checks.broken_token(token)
        return None
    xid, audit_id = map(int, place)
    return xid, audit_id


def read_entities(checks: Checks, values: Sequence[str], least: int) -> list[uuid.UUID]:
    """Check and read the entities that an order names, *least* or more."""
    checks.size("entity_ids", values, least, ENTITIES_MAX)
    return [
        checks.uuid(f"entity_ids[{number}]", value) for number, value in enumerate(values[: ENTITIES_MAX + 1])
    ]


def read_actor(checks: Checks, actor: event_pb2.Actor) -> str:
    """Check and read who gives an order."""
    return checks.text("actor.id", actor.id)
