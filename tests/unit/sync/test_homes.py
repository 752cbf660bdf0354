"""Where records end up: where identity has them, in whatever order its changes and the records are heard of."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.sync.tenant import TENANT, event, key, policy
from tests.unit.sync.test_projecting import identity

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import IdentityReading, RecordReading, read_event

POLICY = policy()
FIRST_CHANGE = 1_000
"""Events of changes are numbered behind those of records."""


@dataclass(slots=True)
class Identity:
    """The service in small: every record has the merges that moved it; a split takes back what its merge moved.

    Args:
        history: where the records were as of each revision.
    """

    homes: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    merged_into: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    moves: dict[RecordKey, list[int]] = field(default_factory=dict)
    standing: dict[int, tuple[uuid.UUID, uuid.UUID]] = field(default_factory=dict)
    history: list[dict[RecordKey, uuid.UUID]] = field(default_factory=lambda: [{}])
    changes: list[LogEvent] = field(default_factory=list)

    def add(self, record: RecordKey, home: uuid.UUID) -> None:
        """Place a new record with *home*, or with who stands for it."""
        while home in self.merged_into:
            home = self.merged_into[home]
        self.homes[record] = home
        self.moves[record] = []
        self.history[-1] = dict(self.homes)

    def merge(self, winner: uuid.UUID, loser: uuid.UUID) -> None:
        """Merge two that stand; anything else is refused."""
        if winner == loser or {winner, loser} & set(self.merged_into):
            return
        seq = len(self.history)
        moved = [record for record, home in self.homes.items() if home == loser]
        for record in moved:
            self.homes[record] = winner
            self.moves[record].append(seq)
        self.merged_into[loser] = winner
        self.standing[seq] = (winner, loser)
        self._tell("merged", winner, loser, moved)

    def split(self, place: int) -> None:
        """Undo a merge that stands."""
        if not self.standing:
            return
        merge = sorted(self.standing)[place % len(self.standing)]
        winner, loser = self.standing.pop(merge)
        del self.merged_into[loser]
        moved = [record for record, moves in self.moves.items() if merge in moves]
        for record in moved:
            self.homes[record] = loser
            del self.moves[record][self.moves[record].index(merge) :]
        self._tell("split", winner, loser, moved)

    def _tell(self, change: str, winner: uuid.UUID, loser: uuid.UUID, moved: Sequence[RecordKey]) -> None:
        seq = len(self.history)
        told = identity(seq, change, winner, loser, *moved)
        self.changes.append(told)
        self.history.append(dict(self.homes))


@dataclass(slots=True)
class Projection:
    """A projection that hears of things in any order, each record's answer being as old as it may be."""

    service: Identity
    chance: random.Random
    workspace: Workspace = field(default_factory=lambda: Workspace({TENANT: POLICY}))

    def hear(self, heard: LogEvent) -> None:
        """Apply an event as the projector does, a record's with an answer as of any moment since it is known."""
        reading = read_event(POLICY, heard)
        if isinstance(reading, IdentityReading):
            self.workspace.apply_identity(reading)
            return
        assert isinstance(reading, RecordReading)
        record = reading.subject.key
        if record.source == OPERATOR_SOURCE:
            self.workspace.apply_record(reading, {record: uuid.UUID(record.external_id)})
            return
        history = self.service.history
        known_since = next(number for number, homes in enumerate(history) if record in homes)
        revision = self.chance.randint(known_since, len(history) - 1)
        self.workspace.revisions = {record: revision}
        self.workspace.apply_record(reading, {record: history[revision][record]})


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("merge"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("split"), st.integers(0, 9), st.just(0)),
    ),
    min_size=1,
    max_size=30,
)
ENTITIES = [key(201 + number) for number in range(5)]


def told(steps: Sequence[tuple[str, int, int]]) -> tuple[Identity, list[LogEvent]]:
    """Return the service after *steps*, and all events about them: each entity has a record from the beginning."""
    service, events = Identity(), []
    for number, (kind, left, right) in enumerate([*(("record", n, 0) for n in range(5)), *steps]):
        if kind == "merge":
            service.merge(ENTITIES[left], ENTITIES[right])
        elif kind == "split":
            service.split(left)
        else:
            record = event(number + 1, external_id=f"r{number}", email=f"r{number}@x.io")
            service.add(record.record_key, ENTITIES[left])
            events.append(record)
    numbered = [
        event(FIRST_CHANGE + n, one.source, one.object, payload=one.payload)
        for n, one in enumerate(service.changes)
    ]
    return service, [*events, *numbered]


CHAIN = [("merge", 0, 1), ("merge", 2, 0)]
"""B into A, then A into C: heard of the other way round, B's records once stayed with A, which had ended."""


@given(STEPS, st.randoms(use_true_random=False))
@example(CHAIN, random.Random(0))
def test_records_end_where_identity_has_them(
    steps: list[tuple[str, int, int]], chance: random.Random
) -> None:
    """Any order of changes and records, with answers of any age, gives identity's own picture."""
    service, events = told(steps)
    chance.shuffle(events)
    projection = Projection(service, chance)
    for one in events:
        projection.hear(one)
    records = projection.workspace.records
    assert {record: records[record].entity_id for record in service.homes} == service.homes
    merged = {
        entity.entity_id: entity.merged_into
        for entity in projection.workspace.entities.values()
        if entity.state == "merged"
    }
    assert merged == service.merged_into


@given(STEPS, st.randoms(use_true_random=False))
def test_values_are_those_of_the_records_that_an_entity_has(
    steps: list[tuple[str, int, int]], chance: random.Random
) -> None:
    """Every entity shows what its own records say, an ended one nothing; a correction is with who stands for its entity."""
    service, events = told(steps)
    corrections = [
        event(500 + n, OPERATOR_SOURCE, external_id=str(entity), title=f"t{n}")
        for n, entity in enumerate(ENTITIES)
    ]
    events += corrections
    chance.shuffle(events)
    projection = Projection(service, chance)
    for one in events:
        projection.hear(one)
    workspace = projection.workspace
    for entity in workspace.entities.values():
        own = {record.external_id for record, home in service.homes.items() if home == entity.entity_id}
        shown = entity.fields.get("email")
        assert (shown is not None) == bool(own)
        assert shown is None or shown.value.removesuffix("@x.io") in own
    for number, entity_id in enumerate(ENTITIES):
        home = entity_id
        while home in service.merged_into:
            home = service.merged_into[home]
        assert workspace.records[corrections[number].record_key].entity_id == home
