"""Whether a shared key joins two records, and which entity a record belongs to. Pure.

Over-merging is the failure that ruins CRM data, so every doubt ends as a merge candidate for a
person to review, never as a join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from headwater.identity.domain.namesakes import are_strangers, given_names_agree
from headwater.identity.domain.records import Evidence, Holder, Key, Kind
from headwater.kernel.ids import EntityId

Index = Mapping[Key, Sequence[Holder]]

TOO_COMMON = "too_common"
NAME_CONFLICT = "name_conflict"
LINKEDIN_CONFLICT = "linkedin_conflict"
GENERATION_CONFLICT = "generation_conflict"
DOMAIN_CONFLICT = "domain_conflict"
MAILBOX_CONFLICT = "mailbox_conflict"


@dataclass(frozen=True, slots=True)
class Match:
    """An entity that shares a key with a record.

    Args:
        holder: the record of the entity that has the key and matched first.
        blocked_by: why the key does not join; empty when it does.
    """

    key: Key
    holder: Holder
    blocked_by: str = ""

    @property
    def entity_id(self) -> EntityId:
        """The entity that matches."""
        return self.holder.entity_id

    @property
    def rule(self) -> str:
        """Name of the rule, as `contact.email`."""
        return f"{self.key.object}.{self.key.kind}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a record belongs.

    Args:
        winner: the match to follow; None when the record founds an entity.
        others: one match for each further entity, strongest rule first.
    """

    winner: Match | None
    others: tuple[Match, ...]


def conflict(kind: Kind, ours: Evidence, theirs: Evidence) -> str:
    """Return why a shared key of *kind* does not join two records, or nothing when it does; symmetric."""
    return next((reason for reason, holds in _GUARDS[kind] if holds(ours, theirs)), "")


def _differ(ours: str, theirs: str) -> bool:
    return bool(ours and theirs) and ours != theirs


def _strangers(ours: Evidence, theirs: Evidence) -> bool:
    return are_strangers(ours.name, theirs.name)


def _given_names_apart(ours: Evidence, theirs: Evidence) -> bool:
    return not given_names_agree(ours.name.given, theirs.name.given)


def _generations_differ(ours: Evidence, theirs: Evidence) -> bool:
    return _differ(ours.name.generation, theirs.name.generation)


def _profiles_differ(ours: Evidence, theirs: Evidence) -> bool:
    return _differ(ours.linkedin, theirs.linkedin)


def _domains_differ(ours: Evidence, theirs: Evidence) -> bool:
    return _differ(ours.domain, theirs.domain)


def _numbered_apart(ours: Evidence, theirs: Evidence) -> bool:
    """Say whether one organisation gave out two mailboxes with different numbers: it tells namesakes apart."""
    local_ours, _, domain_ours = ours.mailbox.partition("@")
    local_theirs, _, domain_theirs = theirs.mailbox.partition("@")
    if not domain_ours or domain_ours != domain_theirs:
        return False
    return _digits(local_ours) != _digits(local_theirs)


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


Guard = tuple[str, Callable[[Evidence, Evidence], bool]]

_NAMES: Final[Guard] = (NAME_CONFLICT, _strangers)
_GIVEN: Final[Guard] = (NAME_CONFLICT, _given_names_apart)
_GENERATIONS: Final[Guard] = (GENERATION_CONFLICT, _generations_differ)
_PROFILES: Final[Guard] = (LINKEDIN_CONFLICT, _profiles_differ)
_MAILBOXES: Final[Guard] = (MAILBOX_CONFLICT, _numbered_apart)

_GUARDS: Final[Mapping[Kind, tuple[Guard, ...]]] = {
    "linkedin": (),
    "email": (_NAMES, _GENERATIONS),
    "phone_surname": (_NAMES, _GENERATIONS, _PROFILES, _MAILBOXES, _GIVEN),
    "name_domain": (_NAMES, _GENERATIONS, _PROFILES, _MAILBOXES),
    "domain": (),
    "name": ((DOMAIN_CONFLICT, _domains_differ),),
}
"""What keeps a shared key of each kind from joining: the weaker the key, the more guards."""


def matches_of(key: Key, evidence: Evidence, holders: Sequence[Holder], entities_max: int) -> list[Match]:
    """Return one match per entity that has *key*, oldest entity first.

    Args:
        entities_max: a key that more entities share joins nobody.
    """
    by_entity = _by_entity(holders)
    if key.blocked_by or len(by_entity) > entities_max:
        reason = key.blocked_by or TOO_COMMON
        return [Match(key, own[0], reason) for own in by_entity]
    if key.kind == "email" and not evidence.name.family and _contested(holders):
        return [Match(key, own[0], NAME_CONFLICT) for own in by_entity]
    return [_match(key, evidence, own) for own in by_entity]


def _contested(holders: Sequence[Holder]) -> bool:
    """Say whether people with conflicting names have the key: a nameless record could be any of them."""
    names = {holder.evidence.name for holder in holders if holder.evidence.name.family}
    return any(are_strangers(left, right) for left, right in combinations(names, 2))


def _match(key: Key, evidence: Evidence, holders: Sequence[Holder]) -> Match:
    for holder in holders:
        reason = conflict(key.kind, evidence, holder.evidence)
        if reason:
            return Match(key, holder, reason)
    return Match(key, holders[0])


def _by_entity(holders: Sequence[Holder]) -> list[list[Holder]]:
    if len(holders) == 1:
        return [list(holders)]
    grouped: dict[EntityId, list[Holder]] = {}
    for holder in sorted(holders, key=lambda one: (one.age, one.record_id)):
        grouped.setdefault(holder.entity_id, []).append(holder)
    return list(grouped.values())


def choose(keys: Iterable[Key], evidence: Evidence, index: Index, entities_max: int) -> Choice:
    """Choose the entity of a record: strongest rule first, then the oldest entity.

    Entities that match beside the winner, or share a key that a conflict blocks, are in `others`;
    those that share only a blocked value (role address, too common) are not: they say nothing.

    Args:
        keys: of the record, strongest first.
        entities_max: a key that more entities share joins nobody.
    """
    winner: Match | None = None
    seen: dict[EntityId, Match] = {}
    for key in keys:
        holders = index.get(key)
        if not holders or key.blocked_by:
            continue
        for match in matches_of(key, evidence, holders, entities_max):
            if match.blocked_by == TOO_COMMON:
                break
            if winner is None and not match.blocked_by:
                winner = match
            seen.setdefault(match.entity_id, match)
    others = tuple(one for entity, one in seen.items() if winner is None or entity != winner.entity_id)
    return Choice(winner, others)
