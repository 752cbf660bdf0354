"""What the identity service promises of records with one exact strong key each, one call after another. Pure.

The service chooses ids; the model names an entity by the record that founded it and a merge by its place in time, and
notes which id stands for which when it is first seen: from then on the one stands for the other.

The promises (proto/headwater/identity/v1/identity.proto):
- A record keeps its entity until a merge or a split moves it. A new record joins the entity whose records have its key;
  where several do, as after a split, see `Rules`, or founds one, where it matches them about equally. Otherwise it
  founds one. A batch happens at once.
- A merge moves every record of the loser; again, it says the same; it is refused when one of the two is in a third.
  A request that has a name and has merged says the same for ever, whatever was split since.
- A split moves back the records that the merge moved, wherever they went since, but for those that a split below
  took out; again, it says the same.
- A question is answered as of one moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, NamedTuple, TypeVar

from tests.identity_histories.calls import (
    Absent,
    Answer,
    Call,
    GetEntity,
    GetRecord,
    Merge,
    Merged,
    Refused,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
    key_of,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """Where the wire contract leaves it to the service.

    Args:
        shared_key: which of several entities a new record joins whose key they share.
        late: whether a record that joined a merged entity by a key of the loser stays with the winner at a split.
    """

    shared_key: Literal["oldest", "any"] = "any"
    late: Literal["stays", "returns", "either"] = "stays"


PROMISED: Final = Rules()
"""What the service does today, and what its histories are held to."""


class MergeState(NamedTuple):
    """A merge: `moved` without the records that were released since; `size` is how many it moved, `split` how many went back."""

    winner: str
    loser: str
    moved: frozenset[str]
    size: int
    split: int | None = None
    merge_id: str = ""
    request: str = ""


class State(NamedTuple):
    """Everything that answers depend on.

    Args:
        homes: records with their entities, by record.
        entities: in the order in which they were founded.
        ids: entities with the id that stands for each, those seen.
    """

    homes: tuple[tuple[str, str], ...] = ()
    entities: tuple[str, ...] = ()
    merges: tuple[MergeState, ...] = ()
    ids: tuple[tuple[str, str], ...] = ()


class IdentityModel:
    """The service, one call after another."""

    def __init__(self, rules: Rules = PROMISED) -> None:
        self.rules = rules

    def initial(self) -> State:
        """Return the state of a tenant of which nothing is known."""
        return State()

    def after(self, state: State, call: Call, answer: Answer | None) -> Iterable[State]:
        """Return every state that *call* with *answer* may lead to; none when the answer is wrong."""
        if isinstance(call, Resolve):
            reached: Iterable[State] = self._resolve(state, call, answer)
        elif isinstance(call, Merge):
            reached = _merge(state, call, answer)
        elif isinstance(call, Split):
            reached = self._split(state, call, answer)
        else:
            reached = _get(state, call, answer)
        if answer is not None:
            return reached
        return [one for one in reached if one != state]

    def _resolve(self, state: State, call: Resolve, answer: Answer | None) -> Iterator[State]:
        if answer is None:
            yield from self._place(state, call.records, (None,) * len(call.records))
        elif isinstance(answer, Resolved) and len(answer.entities) == len(call.records):
            yield from self._place(state, call.records, answer.entities)

    def _place(
        self, state: State, records: tuple[str, ...], entities: tuple[str | None, ...]
    ) -> Iterator[State]:
        if not records:
            yield state
            return
        for entity in self._homes_for(state, records[0]):
            placed = _bound(_placed(state, records[0], entity), entity, entities[0])
            if placed is not None:
                yield from self._place(placed, records[1:], entities[1:])

    def _homes_for(self, state: State, record: str) -> list[str]:
        homes = dict(state.homes)
        if record in homes:
            return [homes[record]]
        holding = {home for other, home in state.homes if key_of(other) == key_of(record)}
        found = [one for one in state.entities if one in holding]
        if self.rules.shared_key == "any" and found[1:]:
            return [*found, record]
        return found[:1] or [record]

    def _split(self, state: State, call: Split, answer: Answer | None) -> Iterator[State]:
        place = next((n for n, one in enumerate(state.merges) if one.merge_id == call.merge), None)
        if place is None:
            yield from _when(state, answer, Absent())
            return
        merge = state.merges[place]
        if merge.split is not None:
            yield from _restored(state, merge.loser, merge.split, answer)
            return
        for back in self._going_back(state, merge):
            yield from _restored(_undone(state, place, back), merge.loser, len(back), answer)

    def _going_back(self, state: State, merge: MergeState) -> Iterator[frozenset[str]]:
        """Yield what may go back: the records moved, and of those that came late what the rule says."""
        if self.rules.late == "stays":
            yield merge.moved
            return
        homes = dict(state.homes)
        where = {homes[record] for record in merge.moved}
        keys = {key_of(record) for record in merge.moved}
        late = [
            record
            for record, home in state.homes
            if record not in merge.moved and home in where and key_of(record) in keys
        ]
        choices = [(True,) if self.rules.late == "returns" else (True, False)] * len(late)
        for chosen in product(*choices):
            yield merge.moved | {record for record, goes in zip(late, chosen, strict=True) if goes}


def _when(state: T, answer: Answer | None, right: Answer) -> list[T]:
    return [state] if answer is None or answer == right else []


def _placed(state: State, record: str, entity: str) -> State:
    homes = dict(state.homes)
    if record in homes:
        return state
    homes[record] = entity
    entities = state.entities if entity in state.entities else (*state.entities, entity)
    return state._replace(homes=tuple(sorted(homes.items())), entities=entities)


def _bound(state: State, entity: str, entity_id: str | None) -> State | None:
    """Return the state in which *entity_id* stands for *entity*; None when one of them stands for another."""
    if entity_id is None:
        return state
    ids = dict(state.ids)
    if entity in ids:
        return state if ids[entity] == entity_id else None
    if not entity_id or entity_id in ids.values():
        return None
    return state._replace(ids=tuple(sorted([*state.ids, (entity, entity_id)])))


def _named(state: State, entity_id: str) -> str | None:
    return next((entity for entity, known in state.ids if known == entity_id), None)


def _standing(state: State, loser: str) -> MergeState | None:
    return next((one for one in state.merges if one.loser == loser and one.split is None), None)


def _members(state: State, entity: str) -> frozenset[str]:
    return frozenset(record for record, home in state.homes if home == entity)


def _merge(state: State, call: Merge, answer: Answer | None) -> Iterable[State]:
    for place, one in enumerate(state.merges):
        if call.request and one.request == call.request:
            return _merged(state, place, answer)
    winner, loser = _named(state, call.winner), _named(state, call.loser)
    if winner is None or loser is None:
        return _when(state, answer, Absent())
    standing = _standing(state, loser)
    if _standing(state, winner) or (standing is not None and standing.winner != winner):
        return _when(state, answer, Refused())
    if standing is not None:
        return _merged(state, state.merges.index(standing), answer)
    moved = _members(state, loser)
    homes = tuple((record, winner if home == loser else home) for record, home in state.homes)
    merges = (*state.merges, MergeState(winner, loser, moved, len(moved), request=call.request))
    return _merged(state._replace(homes=homes, merges=merges), len(state.merges), answer)


def _merged(state: State, place: int, answer: Answer | None) -> list[State]:
    """Return the state in which the answer's id stands for a merge; none when the answer is wrong."""
    if answer is None:
        return [state]
    merge = state.merges[place]
    if not isinstance(answer, Merged) or answer.moved != merge.size:
        return []
    if merge.merge_id:
        return [state] if merge.merge_id == answer.merge else []
    if not answer.merge or any(one.merge_id == answer.merge for one in state.merges):
        return []
    merges = list(state.merges)
    merges[place] = merge._replace(merge_id=answer.merge)
    return [state._replace(merges=tuple(merges))]


def _restored(state: State, loser: str, moved: int, answer: Answer | None) -> list[State]:
    if answer is None:
        return [state]
    if not isinstance(answer, Restored) or answer.moved != moved:
        return []
    bound = _bound(state, loser, answer.entity)
    return [] if bound is None else [bound]


def _undone(state: State, place: int, back: frozenset[str]) -> State:
    """Move records back, and forget their moves by this merge and by those after it."""
    merge = state.merges[place]
    homes = tuple((record, merge.loser if record in back else home) for record, home in state.homes)
    merges = list(state.merges)
    for number in range(place, len(merges)):
        merges[number] = merges[number]._replace(moved=merges[number].moved - back)
    merges[place] = merges[place]._replace(split=len(back))
    return state._replace(homes=homes, merges=tuple(merges))


def _get(state: State, call: GetRecord | GetEntity, answer: Answer | None) -> Iterable[State]:
    entity = dict(state.homes).get(call.record) if isinstance(call, GetRecord) else _named(state, call.entity)
    if entity is None:
        return _when(state, answer, Absent())
    if answer is None:
        return [state]
    if not isinstance(answer, View) or answer.members != _members(state, entity):
        return []
    bound = _bound(state, entity, answer.entity)
    into = _standing(state, entity)
    if bound is not None and into is not None:
        bound = _bound(bound, into.winner, answer.merged_into)
    elif answer.merged_into:
        return []
    return [] if bound is None else [bound]
