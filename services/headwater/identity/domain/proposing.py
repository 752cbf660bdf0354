"""What a scan of the whole tenant reads of a record, and what becomes of the pairs that it proposes as one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headwater.identity.domain.clustering.conflicts import conflict, names_fit
from headwater.identity.domain.clustering.guards import NAME, Guards
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.tiers import Merging
from headwater.identity.domain.identifying import COMPARED
from headwater.identity.domain.normalising.record import FIELDS
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.placing import MAILBOX, SIMILAR
from headwater.identity.domain.resolving.values import Near, NewCandidate, Pair, Standing
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.stored import load
from headwater.identity.domain.scoring.weights import Weights
from headwater.kernel.ids import EntityId

EntityPair = frozenset[EntityId]
_TWO: Final = 2


class Outcome(StrEnum):
    """What became of a proposed pair."""

    PROPOSED = "proposed"
    ASKED = "asked"
    ONE = "one"
    TOLD_APART = "told_apart"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proposals:
    """Outcomes in the order of the pairs, and what is to be put before a person."""

    outcomes: Sequence[Outcome]
    candidates: Sequence[NewCandidate]


def in_all(said: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return what a record says in all: what it said last on top of what it said before.

    A record gathers mailboxes and numbers: former ones stand under other names of such fields, the newest first.
    """
    found = {name: value for one in said for name, value in one.items() if value}
    for names in (FIELDS["email"], FIELDS["phone"]):
        told = dict.fromkeys(one[name] for one in reversed(said) for name in names if one.get(name))
        former = [value for value in told if value not in {found.get(name) for name in names}]
        found.update(zip((name for name in names if name not in found), former, strict=False))
    return found


def propose(
    pairs: Sequence[Pair],
    near: Near,
    asked: frozenset[EntityPair],
    weights: Mapping[str, Weights],
    rules: Rules,
) -> Proposals:
    """Decide which pairs a person is asked about: those of two entities of one object that nobody has answered.

    Args:
        near: the neighbourhood of all their records.
        asked: entities that a person is asked about already.
    """
    apart = frozenset(
        frozenset((near.records[one].entity_id, near.records[other].entity_id))
        for one, other in near.apart
        if one in near.records and other in near.records
    )
    outcomes: list[Outcome] = []
    candidates: list[NewCandidate] = []
    waiting = set(asked)
    for one, other in pairs:
        ours, theirs = near.records.get(one), near.records.get(other)
        if ours is None or theirs is None or not _comparable(ours, theirs):
            outcomes.append(Outcome.UNKNOWN)
            continue
        entities = frozenset((ours.entity_id, theirs.entity_id))
        if len(entities) < _TWO:
            outcomes.append(Outcome.ONE)
        elif entities in apart:
            outcomes.append(Outcome.TOLD_APART)
        elif entities in waiting:
            outcomes.append(Outcome.ASKED)
        else:
            waiting.add(entities)
            outcomes.append(Outcome.PROPOSED)
            candidates.append(_candidate((one, ours), (other, theirs), near, weights, rules))
    return Proposals(outcomes, candidates)


def _comparable(ours: Standing, theirs: Standing) -> bool:
    return ours.ref.object == theirs.ref.object and ours.ref.object in COMPARED


def _candidate(
    left: tuple[RecordId, Standing],
    right: tuple[RecordId, Standing],
    near: Near,
    weights: Mapping[str, Weights],
    rules: Rules,
) -> NewCandidate:
    (one, ours), (other, theirs) = left, right
    parts: dict[str, Parts] = {one: load(ours.parts), other: load(theirs.parts)}
    name = ours.ref.object
    bits = score_bits(parts[one], parts[other], weights[name], near.generic)
    tie = Merging(parts, near.generic).tie(parts[one], parts[other])
    rule = f"{name}.{tie or SIMILAR}"
    against = _against(one, other, parts, near.generic, rules)
    return NewCandidate(one, ours.entity_id, other, theirs.entity_id, name, rule, against, bits)


def _against(
    one: RecordId, other: RecordId, parts: Mapping[str, Parts], generic: frozenset[str], rules: Rules
) -> str:
    reason = Guards(parts, rules, shared=generic)((one,), (other,))
    if not reason and not names_fit(parts[one], parts[other]):
        return NAME
    if not reason and conflict(parts[one], parts[other]):
        return MAILBOX
    return reason or Merging(parts, generic).weakness(parts[one], parts[other])
