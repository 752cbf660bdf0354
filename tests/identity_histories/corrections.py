"""A few people with their records, each of which can be corrected and corrected back. Pure.

Every variant of a record tells all that the first one tells, with other values: to correct back is to bring the first
one again. Keys are only ever added, so each record says all its variants once before anything is compared.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.identity_histories.people import attributes_of

PEOPLE: Final = 5
RECORDS_PER_PERSON: Final = 2
VARIANTS: Final = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A record with what it may say; the first variant is what it says at rest."""

    name: str
    variants: Sequence[Mapping[str, str]]


def make_subjects(seed: int) -> Sequence[Subject]:
    """Return the records of a tenant: other typos, phones and mixed-up mailboxes for each seed."""
    chance = random.Random(seed)
    return [
        Subject(f"p{person}/{number}", _variants(person, number, chance))
        for person in range(PEOPLE)
        for number in range(RECORDS_PER_PERSON)
    ]


def _variants(person: int, number: int, chance: random.Random) -> list[Mapping[str, str]]:
    own = {**attributes_of(f"p{person}/{number}"), "phone": _phone(person, 0)}
    own["linkedin_url"] = f"https://linkedin.com/in/{own['last_name'].lower()}-{person}"
    typo = {
        **own,
        "first_name": own["first_name"] + chance.choice("eis"),
        "phone": _phone(person, number + 1),
    }
    other = attributes_of(f"p{(person + chance.randrange(1, PEOPLE)) % PEOPLE}/1")
    mixed_up = {**own, "email": other["email"]}
    moved = {**own, "email": own["email"].replace("@", f"{chance.randrange(100)}@")}
    return [own, typo, chance.choice([mixed_up, moved])]


def _phone(person: int, number: int) -> str:
    return f"+1212{6_541_000 + 10 * person + number}"
