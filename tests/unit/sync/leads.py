"""Leads and their rows in memory, looked at as the worker does: what tests of routing share."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.unit.policy.routed import ROUTED

from headwater.kernel.ids import ROUTING_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.policy.survivorship import Chosen, FieldFact
from headwater.sync.domain.leads import LOADING, LeadRow, LeadState, Look, Touch
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.sla import Outcome, Timer, TimerBook, TimerKey
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.tending import Tending

TENANT = "acme"
WORK = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
"""A Wednesday, one o'clock in Berlin."""
DOCUMENT = load_policy(ROUTED)


def lead_id(number: int) -> uuid.UUID:
    """Return an entity."""
    return uuid.UUID(int=number)


def policy(*changes: tuple[str, str]) -> PolicyDocument:
    """Return the policy with parts of its text put otherwise."""
    text = ROUTED
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return load_policy(text)


@dataclass(slots=True)
class Desk:
    """What is kept between two looks, as the tables keep it."""

    document: PolicyDocument = DOCUMENT
    now: dt.datetime = WORK
    entities: dict[uuid.UUID, EntityState] = field(default_factory=dict)
    members: dict[uuid.UUID, list[RecordState]] = field(default_factory=dict)
    rows: dict[uuid.UUID, LeadRow] = field(default_factory=dict)
    timers: dict[TimerKey, Timer] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    given: list[LeadRow] = field(default_factory=list)

    def lead(self, number: int, source: str = "form", **values: Any) -> uuid.UUID:
        """Put a lead in, or change what it says."""
        entity_id = lead_id(number)
        facts = {name: FieldFact(value, self.now, lead_id(9000 + number)) for name, value in values.items()}
        entity = self.entities.setdefault(entity_id, EntityState(TENANT, entity_id, "contact", version=1))
        for name, fact in facts.items():
            entity.fields[name] = Chosen(fact.value, "most_recent", source, fact.event_key, fact.field_time)
        key = RecordKey(TENANT, "contact", source, f"r{number}")
        self.members.setdefault(entity_id, []).append(RecordState(key, entity_id, facts))
        return entity_id

    def own(self, number: int, person: str | None, source: str, rule: Any = "source_priority") -> None:
        """Let somebody else say whose lead it is; None: nobody says so any more."""
        entity = self.entities[lead_id(number)]
        if person is None:
            entity.fields.pop("owner", None)
        else:
            entity.fields["owner"] = Chosen(person, rule, source, lead_id(8000), self.now)

    def project(self, number: int) -> None:
        """Let the log's word about a lead's owner come through, as the projector does; the newest wins."""
        for row in [item for item in self.given if item.home_id == lead_id(number)]:
            assert row.assign_time is not None
            fact = FieldFact(
                row.person, row.assign_time, lead_id(10_000 + 100 * row.entity_id.int + row.number)
            )
            key = RecordKey(TENANT, "contact", ROUTING_SOURCE, str(row.entity_id))
            held = [item for item in self.members[row.home_id] if item.key != key]
            self.members[row.home_id] = [*held, RecordState(key, row.home_id, {"owner": fact})]
            chosen = Chosen(fact.value, "source_priority", ROUTING_SOURCE, fact.event_key, fact.field_time)
            self.entities[row.home_id].fields["owner"] = chosen

    def look(self, *numbers: int, after_s: float = 0.0, touches: Iterable[Touch] = ()) -> Tending:
        """Let time pass, look at leads, and keep what came of it."""
        self.now += dt.timedelta(seconds=after_s)
        looks = [self._look(lead_id(number)) for number in numbers]
        loads = Counter(row.person for row in self.rows.values() if row.state in LOADING)
        assert self.document.routing is not None
        book = TimerBook(self.document.routing, self.document.sla)
        book.load(self.timers.values())
        tending = Tending(self.document, self.now, Counter(loads), dict(self.turns), book, dict(self.rows))
        tending.work(looks, touches)
        self._keep(tending)
        return tending

    def _look(self, entity_id: uuid.UUID) -> Look:
        return Look(self.entities[entity_id], self.members.get(entity_id, ()), self.now, (1, entity_id.int))

    def _keep(self, tending: Tending) -> None:
        self.rows.update(tending.changed)
        self.timers.update(tending.timers.changed)
        self.turns.update(tending.turned)
        self.outcomes += tending.timers.outcomes
        self.actions += [note.action for note in tending.notes]
        self.given += tending.given
        counted = Counter(row.person for row in self.rows.values() if row.state in LOADING)
        assert +tending.loads == counted, "loads are what the rows say"

    def merge(self, winner: int, loser: int) -> None:
        """Merge two leads, as the projector does."""
        into, gone = self.entities[lead_id(winner)], self.entities[lead_id(loser)]
        gone.state, gone.merged_into = "merged", into.entity_id
        moved = self.members.pop(gone.entity_id, [])
        self.members[into.entity_id] = [*self.members.get(into.entity_id, ()), *moved]
        gone.fields = {}
        self._decide(into)

    def split(self, winner: int, loser: int) -> None:
        """Undo a merge."""
        into, back = self.entities[lead_id(winner)], self.entities[lead_id(loser)]
        back.state, back.merged_into = "active", None
        ours = {f"r{loser}", str(back.entity_id)}
        every = self.members[into.entity_id]
        self.members[back.entity_id] = [item for item in every if item.key.external_id in ours]
        self.members[into.entity_id] = [item for item in every if item.key.external_id not in ours]
        self._decide(into)
        self._decide(back)

    def _decide(self, entity: EntityState) -> None:
        """Show the newest value of each field."""
        entity.fields = {}
        for item in self.members[entity.entity_id]:
            for name, fact in item.fields.items():
                held = entity.fields.get(name)
                if held is None or (held.field_time, held.event_key) < (fact.field_time, fact.event_key):
                    entity.fields[name] = Chosen(
                        fact.value, "most_recent", item.key.source, fact.event_key, fact.field_time
                    )

    def row(self, number: int) -> LeadRow:
        """Return the row of a lead."""
        return self.rows[lead_id(number)]

    def states(self) -> Sequence[tuple[LeadState, str]]:
        """Return state and person of every row, by entity."""
        return [(row.state, row.person) for _, row in sorted(self.rows.items())]
