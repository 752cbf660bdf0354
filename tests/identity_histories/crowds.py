"""Records of people for many resolvers at once, and what may have become of them. Pure.

What exactly holds of fuzzy resolving, whatever the order of arrival, the batches and the number of resolvers, for
records that in the end say the same however they were told (domain/resolving and domain/clustering/tiers.py), while
nobody merges or splits by hand:

1. A LinkedIn profile is exclusive: all records with it are one entity. The table that says which entity holds an
   exclusive key has one row for it (its primary key), of an entity that has a record with the key.
2. Records of one person that all have one mailbox of their own, under one name, are one entity.
3. Records of one person that share a mailbox, a profile or a number are one entity, or there is an open candidate
   between their entities: the merge rule allows every such pair, and where a part of several such pairs is refused
   (too large, two values of what one has one of) a person is asked. So what keys connect is one entity, or a web of
   candidates. Made-up names are alike in no two people, so a shared mailbox or office makes nobody one with another.
4. The groups are those that the driver in memory makes of the same records, one by one in another order; each entity
   is within one group.

Not promised: which id of several an entity or a group keeps, and which records of it came by which rule.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.identifying import identify
from headwater.identity.domain.scoring.priors import shipped

SOURCES: Final = ("crm", "shop", "desk")
NEAR: Final = 120
"""Records of one person stand at most so many places apart: different resolvers have them in hand at once."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and everything that could identify them.

    Args:
        plain: every record of theirs has the mailbox, which nobody else has.
    """

    number: int
    first: str
    last: str
    firm: str
    email: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a source tells it, and by our own reckoning what identifies it."""

    source: str
    external_id: str
    person: int
    attributes: Mapping[str, str]
    keys: frozenset[str]
    profile: str = ""
    plain: bool = False

    def at_first(self) -> Record:
        """Return what the record says before its source has learnt of the profile."""
        told = {name: value for name, value in self.attributes.items() if name != "linkedin_url"}
        return replace(self, attributes=told)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a record is in the end."""

    entity: str
    group: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Records in the order in which they are dealt out."""

    records: Sequence[Record]
    duplicates: int


@dataclass(slots=True)
class Findings:
    """What is not as promised; all empty when all is well.

    Args:
        profiles: in more than one entity.
        doubled: people with one mailbox in more than one entity.
        apart: people and their keys whose entities do not hang together by candidates.
        strays: entities that are in more than one group.
        groups: records whose group is not the one that the driver in memory makes.
    """

    profiles: list[str] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    apart: list[tuple[int, str]] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """How many promises are broken."""
        return len(self.profiles) + len(self.doubled) + len(self.apart) + len(self.strays) + len(self.groups)


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def make_crowd(size: int, seed: int, duplicates: float = 0.3) -> Crowd:
    """Return *size* records, of which the share *duplicates* are further records of people seen before."""
    chance = random.Random(seed)
    again = round(size * duplicates)
    people: list[Person] = []
    for number in range(size - again):
        people.append(_person(number, people, chance))
    placed = [(person, place) for place, person in enumerate(people)]
    placed += [(people[place], place) for place in (chance.randrange(len(people)) for _ in range(again))]
    placed.sort(key=lambda one: one[1] + chance.uniform(0, NEAR))
    return Crowd(
        [_record(person, number, chance) for number, (person, _) in enumerate(placed)], duplicates=again
    )


def _person(number: int, others: Sequence[Person], chance: random.Random) -> Person:
    first, last, firm = (_word(chance) for _ in range(3))
    kind = chance.random()
    if kind < 0.05 and others and not others[-1].plain:
        return Person(number, first, last, firm, others[-1].email, plain=False)  # one mailbox for a household
    if kind < 0.08:
        return Person(number, first, last, firm, f"info@{firm}.com", plain=False)
    return Person(number, first, last, firm, f"{first}.{last}{number}@{firm}.com", plain=kind < 0.6)


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_LETTERS, k=8))


def _record(person: Person, number: int, chance: random.Random) -> Record:
    """Tell of a person; who is not plain leaves out things at random, so that chains of keys come about."""
    tells = {name for name in ("email", "profile", "phone", "site") if chance.random() < 0.5}
    tells.add("email" if person.plain else chance.choice(["email", "profile", "phone"]))
    attributes = {"first_name": person.first, "last_name": person.last}
    keys: set[str] = set()
    profile = ""
    if "site" in tells:
        attributes["website"] = f"https://{person.firm}.com"
    if "email" in tells:
        attributes["email"] = person.email
        if not person.email.startswith("info@"):
            keys.add(f"email {person.email}")
    if "profile" in tells:
        profile = f"in/{person.first}-{person.last}-{person.number}"
        attributes["linkedin_url"] = f"https://linkedin.com/{profile}"
        keys.add(f"linkedin {profile}")
    if "phone" in tells:
        attributes["phone"] = f"+1212{2_000_000 + person.number:07d}"
        keys.add(f"phone {attributes['phone']}")
    source = chance.choice(SOURCES)
    return Record(
        source, f"r{number}", person.number, attributes, frozenset(keys), profile, plain=person.plain
    )


def judge(
    records: Sequence[Record], homes: Mapping[str, Home], candidates: Iterable[tuple[str, str]]
) -> Findings:
    """Say what is not as promised.

    Args:
        homes: by external id.
        candidates: pairs of entities, open.
    """
    tied = {frozenset(pair) for pair in candidates}
    profiles: dict[str, set[str]] = defaultdict(set)
    people: dict[int, set[str]] = defaultdict(set)
    keys: dict[tuple[int, str], set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for record in records:
        home = homes[record.external_id]
        groups[home.entity].add(home.group)
        if record.profile:
            profiles[record.profile].add(home.entity)
        if record.plain:
            people[record.person].add(home.entity)
        for key in record.keys:
            keys[record.person, key].add(home.entity)
    return Findings(
        profiles=[profile for profile, found in profiles.items() if len(found) > 1],
        doubled=[person for person, found in people.items() if len(found) > 1],
        apart=[key for key, found in keys.items() if len(found) > 1 and not _hang_together(found, tied)],
        strays=[entity for entity, found in groups.items() if len(found) > 1],
        groups=_grouped_otherwise(records, homes),
    )


def grouped_in_memory(records: Sequence[Record]) -> Collection[frozenset[str]]:
    """Return the groups that the driver in memory makes of records, the last one first, by external id."""
    stream = Stream(Memory(shipped("contact"), Rules()))
    for record in reversed(records):
        told = identify("contact", record.attributes)
        stream.resolve(Keyed(record.external_id, told.parts, told.keys))
    return {frozenset(group) for group in stream.groups()}


def _grouped_otherwise(records: Sequence[Record], homes: Mapping[str, Home]) -> list[str]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[homes[record.external_id].group].add(record.external_id)
    expected = grouped_in_memory(records)
    return sorted(one for group in found.values() if frozenset(group) not in expected for one in group)


def _hang_together(entities: set[str], tied: Collection[frozenset[str]]) -> bool:
    left = set(entities)
    reached = [left.pop()]
    while reached:
        here = reached.pop()
        near = {there for there in left if frozenset((here, there)) in tied}
        left -= near
        reached += near
    return not left
