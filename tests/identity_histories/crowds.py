"""Records of people for many resolvers at once, and what may have become of them. Pure.

What exactly holds of exact resolving (domain/resolving.py and domain/matching.py), whatever the order and however many
resolvers, for records that say the same each time they are brought:

1. A LinkedIn profile is exclusive: it is the strongest key, nothing blocks it, so all records with it are one entity.
2. Records of one person that all have one mailbox, under names that do not conflict, are one entity.
3. Any other exact key that is not blocked (role addresses are) joins, or leaves a candidate: the entities that share a
   key, unless more than `key_entities_max` do, hang together by open merge candidates between them. So each set of
   records that keys connect is one entity, or a web of candidates that a person can decide.

Not promised: which of two entities a record joins that has a key of each. That depends on the order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SOURCES: Final = ("crm", "shop", "desk")
NEAR: Final = 120
"""Records of one person stand at most so many places apart: different resolvers have them in hand at once."""
ENTITIES_MAX: Final = 5
"""Of one key; the service's default."""


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
    """A record as a source tells it, and the exact keys that are in it by our own reckoning."""

    source: str
    external_id: str
    person: int
    attributes: Mapping[str, str]
    keys: frozenset[str]
    profile: str = ""
    plain: bool = False


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
        apart: keys whose entities do not hang together by candidates.
    """

    profiles: list[str] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """How many promises are broken."""
        return len(self.profiles) + len(self.doubled) + len(self.apart)


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
    profile = domain = ""
    if "site" in tells:
        attributes["website"] = f"https://{person.firm}.com"
        domain = f"{person.firm}.com"
    if "email" in tells:
        attributes["email"] = person.email
        domain = person.email.partition("@")[2]
        if not person.email.startswith("info@"):
            keys.add(f"email {person.email}")
    if "profile" in tells:
        profile = f"in/{person.first}-{person.last}-{person.number}"
        attributes["linkedin_url"] = f"https://linkedin.com/{profile}"
        keys.add(f"linkedin {profile}")
    if "phone" in tells:
        attributes["phone"] = f"+1212{2_000_000 + person.number:07d}"
        keys.add(f"phone_surname {attributes['phone']}|{person.last}")
    if domain:
        keys.add(f"name_domain {person.first} {person.last}|{domain}")
    source = chance.choice(SOURCES)
    return Record(
        source, f"r{number}", person.number, attributes, frozenset(keys), profile, plain=person.plain
    )


def judge(
    records: Iterable[Record],
    homes: Mapping[str, str],
    candidates: Iterable[tuple[str, str]],
    entities_max: int = ENTITIES_MAX,
) -> Findings:
    """Say what is not as promised.

    Args:
        homes: the entity of each record, by external id.
        candidates: pairs of entities, open.
    """
    tied = {frozenset(pair) for pair in candidates}
    profiles: dict[str, set[str]] = {}
    people: dict[int, set[str]] = {}
    keys: dict[str, set[str]] = {}
    for record in records:
        home = homes[record.external_id]
        if record.profile:
            profiles.setdefault(record.profile, set()).add(home)
        if record.plain:
            people.setdefault(record.person, set()).add(home)
        for key in record.keys:
            keys.setdefault(key, set()).add(home)
    return Findings(
        profiles=[profile for profile, found in profiles.items() if len(found) > 1],
        doubled=[person for person, found in people.items() if len(found) > 1],
        apart=[
            key
            for key, found in keys.items()
            if 1 < len(found) <= entities_max and not _hang_together(found, tied)
        ],
    )


def _hang_together(entities: set[str], tied: set[frozenset[str]]) -> bool:
    left = set(entities)
    reached = [left.pop()]
    while reached:
        here = reached.pop()
        near = {there for there in left if frozenset((here, there)) in tied}
        left -= near
        reached += near
    return not left
