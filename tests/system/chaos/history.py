"""What the database and the CRMs hold at the end of a run, as values. Pure; `observing` fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.system.chaos.journal import Place

from headwater.policy.outbound import desired_fields
from headwater.policy.outbound_mapping import OutboundObject

EFFECTIVE: Final = frozenset({"created", "updated"})
"""Effects of an arrival that changed the CRM."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A row of the event log."""

    request_id: str
    event_key: str
    place: Place
    event_time_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Projection:
    """How an event ended."""

    event_key: str
    rule: str = "projected"
    poisoned: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A standing order; *inflight*: an actor has a call under way."""

    connector: str
    object: str
    entity_id: str
    state: int
    delivered_version: int
    crm_object: str
    crm_id: str
    inflight: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit row; *connector* is empty for a change of the entity itself."""

    audit_id: int
    entity_id: str
    connector: str = ""
    after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A write as the CRM took it; *changes*: field to [before, after]."""

    sequence: int
    vendor: str
    object: str
    external_id: str
    record_id: str
    effect: str
    changes: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """A record of a CRM; *links*: associated object to the ids of its records."""

    vendor: str
    object: str
    record_id: str
    external_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is left of a run.

    Args:
        own_events: keys of Headwater's own events (policy, identity), which no writer sent.
        entities_of: record to entity.
        versions: entity to version, of projected entities.
        values: entity to canonical values.
        references: entity and field to the entities referred to.
        targets: connector to object to its mapping.
        version_fields: vendor and CRM object to the CRM field that shows the version.
        leases: name to holder, of leases that have not lapsed.
    """

    log: Sequence[Logged] = ()
    own_events: frozenset[str] = frozenset()
    projections: Sequence[Projection] = ()
    deliveries: Sequence[Delivery] = ()
    audit: Sequence[Audit] = ()
    arrivals: Sequence[Arrival] = ()
    records: Sequence[CrmRecord] = ()
    entities_of: Mapping[Place, str] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, OutboundObject]] = field(default_factory=dict)
    version_fields: Mapping[tuple[str, str], str] = field(default_factory=dict)
    leases: Mapping[str, str] = field(default_factory=dict)
    holders_alive: frozenset[str] = frozenset()
    changes_unsent: int = 0

    def desired(self, target: OutboundObject, entity_id: str) -> dict[str, Any]:
        """Return the CRM fields of an entity as the policy wants them."""
        return desired_fields(target, self.values.get(entity_id, {}))
