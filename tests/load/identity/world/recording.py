"""What several systems write down of a world: records with errors, and which are of one thing. Seeded.

The error model, with where its rates come from; what is not measured anywhere is said to be assumed. None was fitted
to what our rules can do, nor to the generator beside the labelled sets, from which it differs: records come from
systems that each know other fields and err in their own way, duplicates follow from presence in systems and from
re-entry, not from one list of cluster sizes; family names have a long tail; typing errors need a typist.

| rate | value | source |
| --- | --- | --- |
| second record in the same system | 0.15 | duplicate rates of 10-30 % are normal (issue, research 3) |
| wrong letter in a name typed by staff | 0.03 a word | assumed; four in five are one slip (Damerau 1964) |
| slips: left out, put in, exchanged, swapped | 1:1:2:1, rarely at the first letter | Yannakoudakis and Fawthrop 1983 |
| short form of a given name | 0.12 typed by staff, 0.20 in forms | assumed |
| other transliteration | 0.15 where one exists | assumed |
| record of the job before | 0.5 of old records | follows from changing jobs, see `making.Shares` |
| switchboard in place of an own number | 0.2 (crm), 0.7 (billing) | assumed |
| role mailbox | 0.04 (crm), 0.45 (billing) | assumed |
| digit wrong in a number | 0.01 | assumed |
| mailbox misspelt | 0.015 | bounce rates are kept at or under 2 % (requirement D9) |
| other house, postcode with a slip, older LinkedIn page | 0.06, 0.03, 0.015 | assumed |
| junk in place of a mailbox, a number | 0.01, 0.02 | assumed |
| fields missing | by system, see `SYSTEMS` | assumed; in all two of three records lack a mailbox or a number |
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.load.identity.world import tables
from tests.load.identity.world.making import Job, Organisation, Person, World

Fields = dict[str, str]
AGAIN: Final = 0.15
BILLED: Final = 0.5
"""A system that gives the switchboard more often than this has the organisation's address."""
COUNTRY_CODES: Final = (
    "+353",
    "+1",
    "+44",
    "+49",
    "+43",
    "+33",
    "+34",
    "+39",
    "+48",
    "+46",
    "+55",
    "+65",
    "+91",
)


@dataclass(frozen=True, slots=True)
class System:
    """A system that keeps records, and how.

    Args:
        present: how many people it knows.
        typed: wrong letters a word of a name.
        short: short forms of given names.
        work: how often the mailbox is that of the job, when it is no role mailbox.
        whole_name: names are one field.
        upper: values in capitals.
        filled: how often a field is there.
        board: how often the number is the switchboard.
    """

    name: str
    present: float
    typed: float
    short: float
    work: float
    role: float
    whole_name: bool
    upper: float
    board: float
    filled: Mapping[str, float]


SYSTEMS: Final = (
    System(
        "crm", 0.75, 0.03, 0.12, 0.85, 0.04, False, 0.03, 0.2,
        {"email": 0.75, "phone": 0.55, "linkedin_url": 0.15, "company": 0.92, "website": 0.3, "title": 0.6,
         "city": 0.5, "country": 0.5},
    ),
    System(
        "forms", 0.5, 0.012, 0.2, 0.55, 0.01, False, 0.12, 0.02,
        {"email": 0.985, "phone": 0.35, "company": 0.6, "title": 0.3, "country": 0.7, "city": 0.1},
    ),
    System(
        "billing", 0.2, 0.02, 0.02, 0.8, 0.45, True, 0.3, 0.7,
        {"email": 0.8, "phone": 0.6, "company": 0.98, "street": 0.9, "postcode": 0.9, "city": 0.95, "country": 0.9},
    ),
    System(
        "events", 0.25, 0.04, 0.15, 0.7, 0.0, True, 0.1, 0.05,
        {"email": 0.5, "phone": 0.15, "company": 0.85, "title": 0.7, "linkedin_url": 0.1, "city": 0.2},
    ),
    System(
        "enriched", 0.25, 0.002, 0.05, 0.95, 0.0, False, 0.0, 0.3,
        {"email": 0.7, "phone": 0.5, "linkedin_url": 0.9, "company": 0.97, "website": 0.9, "title": 0.95,
         "city": 0.8, "country": 0.9},
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """A record and whose it is."""

    source: str
    thing: str
    fields: Fields


class Scribe:
    """Writes records of people and organisations, with the errors of a system."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def contacts(self, person: Person) -> Iterator[Record]:
        """Write what every system has of a person; one that knows nobody else does at least in the CRM."""
        known = [system for system in SYSTEMS if self._happens(system.present)] or [SYSTEMS[0]]
        for system in known:
            yield self._contact(person, system)
            while self._happens(AGAIN):
                yield self._contact(person, system)

    def accounts(self, one: Organisation) -> Iterator[Record]:
        """Write what every system has of an organisation."""
        known = [system for system in SYSTEMS if self._happens(min(1.0, system.present * 1.2))] or [
            SYSTEMS[0]
        ]
        for system in known:
            yield self._account(one, system)
            while self._happens(AGAIN):
                yield self._account(one, system)

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _contact(self, person: Person, system: System) -> Record:
        job = person.jobs[-1] if self._happens(0.5) else person.jobs[0]
        fields = self._person_names(person, system)
        fields |= self._company_fields(job.organisation, system)
        fields |= {
            "email": self._mailbox(person, job, system),
            "phone": self._phone(person, job, system),
            "title": job.title,
            "linkedin_url": self._page(person.page),
        }
        at_work = system.board > BILLED
        fields |= self._address(job.organisation if at_work else person, system)
        return Record(system.name, f"p{person.number:07d}", self._kept(fields, system))

    def _account(self, one: Organisation, system: System) -> Record:
        fields = self._company_fields(one, system)
        fields["name"] = fields.pop("company")
        fields |= {
            "phone": self._written_number(one.board),
            "linkedin_url": self._page(one.page),
        }
        fields |= self._address(one, system)
        return Record(system.name, f"o{one.number:07d}", self._kept(fields, system))

    def _kept(self, fields: Fields, system: System) -> Fields:
        """Leave out what the system does not have, and write as it writes."""
        kept = {
            name: value
            for name, value in fields.items()
            if value
            and (name in {"first_name", "last_name", "name"} or self._happens(system.filled.get(name, 0.0)))
        }
        if self._happens(system.upper):
            turned = str.upper if self._happens(0.5) else str.lower
            kept = {name: value if name == "linkedin_url" else turned(value) for name, value in kept.items()}
        return kept

    def _person_names(self, person: Person, system: System) -> Fields:
        native = self._happens(person.culture.native)
        given = person.home_given if native else self._given(person, system)
        family = person.home_family if native else self._other_spelling(person.family)
        if person.born_family and self._happens(0.4):
            family = person.born_family if self._happens(0.6) else f"{family}-{person.born_family}"
        if not native:
            given, family = self._typed(given, system.typed), self._typed(family, system.typed)
        if person.middle and self._happens(0.25):
            given = f"{given} {person.middle}{self._chance.choice(('', '.'))}"
        if person.generation and self._happens(0.5):
            family = f"{family} {person.generation}"
        if not system.whole_name:
            if self._happens(0.01):
                given, family = family, given
            return {"first_name": given, "last_name": "" if self._happens(0.02) else family}
        if self._happens(0.05):
            given = f"{self._chance.choice(('Dr.', 'Mr', 'Ms', 'Prof.'))} {given}"
        if self._happens(person.culture.family_first):
            return {"name": f"{family}{self._chance.choice((', ', ' '))}{given}"}
        return {"name": f"{given} {family}"}

    def _given(self, person: Person, system: System) -> str:
        short = tables.SHORT.get(person.given) or tables.SHORT.get(person.home_given)
        if short and self._happens(system.short * 2):
            return self._chance.choice(short)
        if system.name == "crm" and self._happens(0.04):
            return person.given[:1] + self._chance.choice(("", "."))
        return self._other_spelling(person.given)

    def _other_spelling(self, name: str) -> str:
        others = tables.SPELLINGS.get(name)
        return self._chance.choice(others) if others and self._happens(0.15) else name

    def _typed(self, text: str, rate: float) -> str:
        return " ".join(self._slip(word) if self._happens(rate) else word for word in text.split(" "))

    def _slip(self, word: str) -> str:
        if len(word) < 3:
            return word
        at = self._chance.randrange(0 if self._happens(0.1) else 1, len(word) - 1)
        kind = self._chance.random()
        if kind < 0.2:
            return word[:at] + word[at + 1 :]
        if kind < 0.4:
            return word[:at] + word[at] + word[at:]
        if kind < 0.8:
            near = tables.NEAR.get(word[at].lower(), "e")
            return word[:at] + self._chance.choice(near) + word[at + 1 :]
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    def _mailbox(self, person: Person, job: Job, system: System) -> str:
        chance, domains = self._chance, job.organisation.domains
        if self._happens(0.01):
            return chance.choice(tables.JUNK_MAIL)
        if self._happens(system.role):
            return f"{chance.choice(tables.ROLES)}@{domains[0]}"
        address = job.mailbox if self._happens(system.work) else person.mailbox
        local, _, domain = address.partition("@")
        if domain == domains[0] and len(domains) > 1 and self._happens(0.4):
            domain = domains[1]
        if domain == "gmail.com" and self._happens(0.1):
            local = (
                local.replace(".", "")
                if self._happens(0.5)
                else f"{local}+{chance.choice(('news', 'shop', 'web'))}"
            )
        if self._happens(0.015):
            local, domain = (self._slip(local), domain) if self._happens(0.6) else (local, self._slip(domain))
        return f"{local}@{domain}"

    def _phone(self, person: Person, job: Job, system: System) -> str:
        if self._happens(0.02):
            return self._chance.choice(tables.JUNK_PHONE)
        if self._happens(system.board):
            return self._written_number(job.organisation.board)
        number = job.direct if self._happens(0.3) else person.mobile
        if self._happens(0.01):
            at = self._chance.randrange(4, len(number))
            number = number[:at] + self._chance.choice("0123456789") + number[at + 1 :]
        return self._written_number(number)

    def _written_number(self, number: str) -> str:
        chance = self._chance
        country = next(code for code in COUNTRY_CODES if number.startswith(code))
        rest = number[len(country) :]
        kind = chance.random()
        if kind < 0.35:
            return number
        if kind < 0.5:
            return f"00{country[1:]} {rest[:3]} {rest[3:]}"
        if kind < 0.65 and country == "+1":
            return f"({rest[:3]}) {rest[3:6]}-{rest[6:]}"
        if kind < 0.8:
            return f"{country} ({rest[:3]}) {rest[3:6]} {rest[6:]}"
        if kind < 0.9 and country == "+1":
            return f"{rest[:3]}.{rest[3:6]}.{rest[6:]} x{chance.randint(10, 999)}"
        return f"{country}-{rest[:2]}-{rest[2:5]}-{rest[5:]}"

    def _address(self, place: Organisation | Person, system: System) -> Fields:
        """Write an address; some have moved, or have a second house."""
        street, postcode = place.street, place.postcode
        if self._happens(0.06):
            street = f"{self._chance.choice(tables.STREETS)} {self._chance.randint(1, 240)}"
        if self._happens(0.03):
            postcode = self._slip(postcode)
        return {"street": self._typed(street, system.typed), "postcode": postcode}

    def _page(self, page: str) -> str:
        if self._happens(0.015):
            page = page.rpartition("-")[0]
        shape = self._chance.choice(
            ("https://www.linkedin.com/{}", "linkedin.com/{}/", "https://linkedin.com/{}?originalSubdomain=uk",
             "http://uk.linkedin.com/{}")
        )  # fmt: skip
        return shape.format(page)

    def _company_fields(self, one: Organisation, system: System) -> Fields:
        shape = self._chance.choice(("https://{}", "www.{}", "{}", "https://www.{}/en/"))
        domain = one.domains[-1] if self._happens(0.3) else one.domains[0]
        return {
            "company": self._company_name(one, system),
            "website": shape.format(domain),
            "city": one.place.other if self._happens(0.15) else one.place.city,
            "country": one.place.country,
        }

    def _company_name(self, one: Organisation, system: System) -> str:
        name = one.name
        if self._happens(0.15):
            name = " ".join(tables.SHORTENED.get(word, word) for word in name.split())
        words = name.split()
        if len(words) > 2 and "&" not in words and self._happens(0.06):
            name = " ".join(words[:-1])
        if "&" in words and self._happens(0.3):
            name = name.replace("&", self._chance.choice(("and", "+", "u.")))
        name = self._typed(name, system.typed * 0.7)
        return f"{name} {one.form}" if self._happens(0.7 if system.name == "billing" else 0.35) else name


def contacts(seed: int, people: int) -> list[Record]:
    """Return the contacts of a world, in an order that says nothing."""
    world, scribe = World(seed, people), Scribe(random.Random(seed + 1))
    records = [record for person in world.inhabitants() for record in scribe.contacts(person)]
    return _shuffled(records, seed)


def accounts(seed: int, organisations: int) -> list[Record]:
    """Return the accounts of a world, in an order that says nothing."""
    world, scribe = World(seed, organisations * 9), Scribe(random.Random(seed + 1))
    records = [record for one in world.organisations for record in scribe.accounts(one)]
    return _shuffled(records, seed)


def _shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    order = list(records)
    random.Random(seed + 2).shuffle(order)
    return order
