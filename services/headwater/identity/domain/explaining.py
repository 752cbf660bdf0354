"""Why two records or entities are one or two, in words that a person can check. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.keys import STRENGTH
from headwater.identity.domain.matching import TOO_COMMON, Index, conflict, matches_of
from headwater.identity.domain.records import Evidence, Holder, Key
from headwater.kernel.ids import EntityId


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key that two sides have; blocked_by says why it does not join, empty when it does."""

    key: Key
    blocked_by: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things to compare: a record or a whole entity, with its keys."""

    entity_id: EntityId
    object: str
    keys: Sequence[tuple[Key, Holder]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What two sides share and what follows."""

    same_entity: bool
    shared: tuple[SharedKey, ...]
    rule: str
    verdict: str


def explain(left: Side, right: Side, index: Index, entities_max: int) -> Explanation:
    """Compare two sides.

    Args:
        index: all holders of the keys that both have, to tell which are too common.
    """
    theirs = _by_key(right)
    shared = tuple(
        SharedKey(key, _reason(key, holders, theirs[key], index, entities_max))
        for key, holders in _by_key(left).items()
        if key in theirs
    )
    shared = tuple(sorted(shared, key=_strength))
    rule = next((f"{one.key.object}.{one.key.kind}" for one in shared if not one.blocked_by), "")
    return Explanation(left.entity_id == right.entity_id, shared, rule, _verdict(left, right, shared, rule))


def shared_with(
    keys: Sequence[Key], evidence: Evidence, index: Index, entity_id: EntityId | None, entities_max: int
) -> tuple[SharedKey, ...]:
    """Return which of a record's keys an entity has; with no entity, those that anyone has."""
    found: list[SharedKey] = []
    for key in keys:
        for match in matches_of(key, evidence, index.get(key, ()), entities_max):
            if entity_id in {None, match.entity_id}:
                found.append(SharedKey(key, match.blocked_by))
                break
    return tuple(found)


def _by_key(side: Side) -> dict[Key, list[Holder]]:
    found: dict[Key, list[Holder]] = {}
    for key, holder in side.keys:
        found.setdefault(key, []).append(holder)
    return found


def _strength(shared: SharedKey) -> tuple[int, str]:
    return STRENGTH[shared.key.object].index(shared.key.kind), shared.key.value


def _reason(
    key: Key, ours: Sequence[Holder], theirs: Sequence[Holder], index: Index, entities_max: int
) -> str:
    if key.blocked_by:
        return key.blocked_by
    if len({holder.entity_id for holder in index.get(key, ())}) > entities_max:
        return TOO_COMMON
    reasons = (conflict(key.kind, left.evidence, right.evidence) for left in ours for right in theirs)
    return next((reason for reason in reasons if reason), "")


def _verdict(left: Side, right: Side, shared: Sequence[SharedKey], rule: str) -> str:
    if left.object != right.object:
        return f"Two objects, {left.object} and {right.object}, are never one entity."
    blocked = ", ".join(f"{one.key.kind} ({one.blocked_by})" for one in shared if one.blocked_by)
    if left.entity_id == right.entity_id:
        why = (
            f"{rule} joins them" if rule else "no key joins them directly: a record between, or a merge, does"
        )
        return f"They are one entity: {why}."
    if rule:
        return (
            f"They are two entities although {rule} would join them: resolved apart, split, or a candidate."
        )
    if blocked:
        return f"They are two entities: what they share does not join, {blocked}."
    return "They are two entities: they share no key."
