"""Past leads given to people as another policy would have, and what would be different from today. Pure.

Leads come in the order in which their first fact became true, and are judged by what they look like today. One that
is done by now was somebody's and burdens nobody any more; one whose owner is from elsewhere stays theirs.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from headwater.kernel.ids import ROUTING_SOURCE
from headwater.policy.assigning import Assignment, Book, Nobody, is_done, route
from headwater.policy.conditions import Lead
from headwater.policy.routing import Routing
from headwater.sync.domain.correcting import is_attached
from headwater.sync.domain.leads import LeadState
from headwater.sync.domain.states import EntityState, RecordState


class PastLead(msgspec.Struct, frozen=True):
    """A lead as it came.

    Args:
        owner: that it shows today; empty when none.
        kept: the owner is from elsewhere.
    """

    lead_time: dt.datetime
    entity_id: uuid.UUID
    lead: Lead
    owner: str
    kept: bool


class Change(msgspec.Struct, frozen=True):
    """A lead that would have another owner."""

    entity_id: uuid.UUID
    before: str
    after: str
    rule: str
    reason: str
    lead_time: dt.datetime


@dataclass(slots=True)
class RoutingPreview:
    """Who would have got what.

    Args:
        leads: that were routed.
        before: person to leads that they have today.
        after: person to open leads that they would have.
        given: person to leads that they would have been given.
    """

    exact: bool = True
    leads: int = 0
    states: Counter[LeadState] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    changes: list[Change] = field(default_factory=list)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)


def past_lead(routing: Routing, entity: EntityState, members: Sequence[RecordState]) -> PastLead | None:
    """Return a lead as it came; None where no system speaks of it."""
    said = [
        (min(fact.field_time for fact in item.fields.values()), item.key.source)
        for item in members
        if item.fields and not is_attached(item.key)
    ]
    if not said:
        return None
    lead_time, source = min(said)
    owner_field = routing.owner_of(entity.object)
    shown = entity.fields.get(owner_field or "")
    owner = "" if shown is None or shown.value is None else str(shown.value)
    values = {name: chosen.value for name, chosen in entity.fields.items() if name != owner_field}
    kept = bool(owner) and shown is not None and shown.source != ROUTING_SOURCE
    return PastLead(lead_time, entity.entity_id, Lead(entity.object, values, source), owner, kept)


def preview(routing: Routing, leads: Iterable[PastLead], changes_max: int) -> RoutingPreview:
    """Return who would have got *leads*; told are the first *changes_max* changes."""
    found, book = RoutingPreview(), Book()
    for item in sorted(leads, key=lambda one: (one.lead_time, one.entity_id)):
        found.leads += 1
        done = is_done(routing, item.lead)
        if item.owner and not done:
            found.before[item.owner] += 1
        if item.kept:
            found.states[LeadState.KEPT] += 1
            if not done:
                book.loads[item.owner] += 1
            continue
        _route(found, book, routing, item, changes_max, done=done)
    found.after = Counter({person: load for person, load in book.loads.items() if load})
    return found


def _route(
    found: RoutingPreview, book: Book, routing: Routing, item: PastLead, changes_max: int, *, done: bool
) -> None:
    verdict = route(routing, item.lead, book.loads, book.turns, item.lead_time)
    person, rule = "", ""
    if isinstance(verdict, Assignment):
        person, rule = verdict.person, verdict.rule
        book.enter(verdict)
        found.given[person] += 1
        found.rules[rule] += 1
        if done:
            book.loads[person] -= 1
        found.states[LeadState.DONE if done else LeadState.ASSIGNED] += 1
    elif isinstance(verdict, Nobody):
        rule = verdict.rule
        found.states[LeadState.WAITING] += 1
    else:
        found.states[LeadState.SUPPRESSED] += 1
    if person != item.owner:
        found.changed += 1
        if len(found.changes) < changes_max:
            found.changes.append(
                Change(item.entity_id, item.owner, person, rule, verdict.reason, item.lead_time)
            )
