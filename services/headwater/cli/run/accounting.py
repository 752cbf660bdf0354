"""Whether everything that went in is accounted for: a ledger of what was sent, logged, projected and delivered. Pure.

Something is *explained* when it was done, or when a named rule or a named error says why it was not. What is left is
unexplained, told line by line; a run succeeds only when there is none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

UNFINISHED: Final = ("pending", "retrying", "in_doubt")
"""States of deliveries that are still on their way."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one tenant at one moment.

    Args:
        sent: rows by outcome, over all sets.
        logged: events in the log by disposition, Headwater's own left out.
        own_logged: Headwater's own events in the log: the policy, merges, splits.
        projected: events projected, Headwater's own included.
        superseded: events ended without an effect, by rule.
        entities: entities that stand for themselves, by object.
        deliveries: number by (connector, object, state).
        mapped: objects that each connector is to be told of.
    """

    sent: Mapping[str, int]
    logged: Mapping[str, int]
    own_logged: int = 0
    projected: int = 0
    superseded: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    poisoned: int = 0
    entities: Mapping[str, int] = field(default_factory=dict)
    deliveries: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    mapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def to_project(self) -> int:
        """Events that the projector must have ended one way or the other."""
        return self.logged.get("accepted", 0) + self.own_logged

    @property
    def ended(self) -> int:
        """Events that the projector has ended."""
        return self.projected + sum(self.superseded.values()) + self.poisoned

    @property
    def unfinished(self) -> int:
        """Deliveries still on their way."""
        return sum(count for (_, _, state), count in self.deliveries.items() if state in UNFINISHED)

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way any more."""
        return self.waiting == 0 and self.ended >= self.to_project and self.unfinished == 0


@dataclass(frozen=True, slots=True)
class Crm:
    """What one connector is known to hold, on both sides.

    Args:
        delivered: entity id to the CRM's id, as Headwater has it.
        held: entity id to the ids of the CRM's records that carry it, as the CRM has it.
    """

    delivered: Mapping[str, str]
    held: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Something that nobody can account for."""

    what: str
    count: int


def unexplained(ledger: Ledger, crms: Mapping[str, Crm]) -> tuple[Unexplained, ...]:
    """Return everything that is not accounted for; empty when all is well."""
    found = (
        *_log_gaps(ledger),
        *_delivery_gaps(ledger),
        *(gap for name, crm in crms.items() for gap in _crm_gaps(name, crm)),
    )
    return tuple(item for item in found if item.count)


def _log_gaps(ledger: Ledger) -> Iterator[Unexplained]:
    """Compare what was sent with the log; a row sent again after an interruption is a duplicate of itself."""
    fresh = ledger.sent.get("accepted", 0) + ledger.sent.get("quarantined", 0)
    logged = sum(ledger.logged.values())
    yield Unexplained("events acknowledged as new but not in the log", max(0, fresh - logged))
    most = fresh + ledger.sent.get("duplicate", 0)
    yield Unexplained("events in the log that nobody sent", max(0, logged - most))
    yield Unexplained("events of the log still waiting for the projector", ledger.waiting)
    missing = ledger.to_project - ledger.ended - ledger.waiting
    yield Unexplained("events of the log that the projector does not account for", abs(missing))


def _delivery_gaps(ledger: Ledger) -> Iterator[Unexplained]:
    for (connector, object_name, state), count in sorted(ledger.deliveries.items()):
        if state in UNFINISHED:
            yield Unexplained(f"{connector} {object_name} deliveries {state}", count)
    for connector, objects in ledger.mapped.items():
        for object_name in objects:
            ordered = sum(
                count for key, count in ledger.deliveries.items() if key[:2] == (connector, object_name)
            )
            entities = ledger.entities.get(object_name, 0)
            yield Unexplained(
                f"{object_name} entities without a delivery to {connector}", max(0, entities - ordered)
            )


def _crm_gaps(name: str, crm: Crm) -> Iterator[Unexplained]:
    lost = [entity for entity, crm_id in crm.delivered.items() if crm_id not in crm.held.get(entity, ())]
    unknown = [entity for entity in crm.held if entity not in crm.delivered]
    double = [entity for entity, ids in crm.held.items() if len(ids) > 1]
    yield Unexplained(f"records that {name} does not hold though they are delivered", len(lost))
    yield Unexplained(f"records that {name} holds though nothing says so", len(unknown))
    yield Unexplained(f"entities that {name} holds more than once", len(double))
