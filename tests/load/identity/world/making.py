"""Makes the organisations and people of a world, as they are: no errors yet. Seeded; the same seed, the same world.

Family names: two in five people have one of the common ones, the others a rare one, as censuses find (the thousand
most frequent names cover about two fifths of a population). Organisations differ in size by a power law. People have
up to two jobs in turn, live with others of their name, share numbers and mailboxes with them, or have a father of the
same name in the same house.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from typing import Final

from anyascii import anyascii
from tests.load.identity.sets import er_directory
from tests.load.identity.world import tables
from tests.load.identity.world.tables import Culture, Place

PEOPLE_PER_ORGANISATION: Final = 9
NO_CULTURE: Final = Culture("english", (), (), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """How often what makes identity hard is so among people and organisations.

    Args:
        common_name: people with one of the common family names. Source: censuses, see the module.
        moved: people who changed their job in the time that records go back: 15-20 % do a year. Source:
            published surveys of contact decay (2.1 % of contacts a month).
        partner: people who live with the one before and have the same family name. Assumed.
        shared_line, shared_mailbox: of those, with one number, one mailbox. Assumed.
        junior: people named after one in the same house. Assumed.
        married: people whose family name changed. Assumed.
        subsidiary: organisations that belong to another one and use its domain. Assumed.
        franchise: organisations that have another one's name in another city. Assumed.
        rebranded: organisations with an earlier domain. Assumed.
    """

    common_name: float = 0.4
    moved: float = 0.18
    partner: float = 0.05
    shared_line: float = 0.5
    shared_mailbox: float = 0.2
    junior: float = 0.006
    married: float = 0.02
    subsidiary: float = 0.06
    franchise: float = 0.02
    rebranded: float = 0.03


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation.

    Args:
        domains: the present one first.
        board: the number that all of its people can be reached at.
    """

    number: int
    name: str
    form: str
    domains: tuple[str, ...]
    place: Place
    board: str
    street: str
    postcode: str
    scheme: str
    page: str


@dataclass(frozen=True, slots=True)
class Job:
    """Work for an organisation."""

    organisation: Organisation
    mailbox: str
    title: str
    direct: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person.

    Args:
        given, family: in Latin letters; `home_given`, `home_family` as written at home.
        born_family: the family name before it changed; empty if it did not.
        jobs: the present one first.
    """

    number: int
    culture: Culture
    given: str
    family: str
    home_given: str
    home_family: str
    middle: str
    generation: str
    born_family: str
    jobs: tuple[Job, ...]
    mailbox: str
    mobile: str
    page: str
    street: str
    postcode: str


@cache
def _common(kind: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    path = er_directory() / "generator" / f"names_{kind}_name.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["name"], int(row["n"])) for row in csv.DictReader(file)]
    return tuple(name for name, _ in rows), tuple(accumulate(n for _, n in rows))


def latin(text: str) -> str:
    """Return a name in the letters of a mailbox."""
    return "".join(letter for letter in anyascii(text).lower() if letter.isalnum())


@dataclass(slots=True)
class World:
    """A world of *people* people."""

    seed: int
    people: int
    shares: Shares = Shares()
    organisations: list[Organisation] = field(init=False)
    _chance: random.Random = field(init=False)
    _taken: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self.organisations = list(self._organisations(max(8, self.people // PEOPLE_PER_ORGANISATION)))

    def inhabitants(self) -> Iterator[Person]:
        """Make the people, each once; who shares a home comes one after the other."""
        before: Person | None = None
        for number in range(self.people):
            person = self._person(number, before)
            yield person
            before = person

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _digits(self, count: int) -> str:
        return str(self._chance.randrange(10 ** (count - 1), 10**count))

    def _number_in(self, place: Place) -> str:
        return place.prefix + self._digits(place.digits)

    def _postcode(self, place: Place) -> str:
        filled = {"9": "0123456789", "A": "ABCDEFGHJKLMNPRSTVWXY"}
        return "".join(self._chance.choice(filled.get(sign, sign)) for sign in place.postcode)

    def _street(self) -> str:
        return f"{self._chance.choice(tables.STREETS)} {self._chance.randint(1, 240)}"

    def _unique(self, value: str) -> str:
        """Return *value*, numbered where somebody has it: a mailbox is one person's."""
        sign = "@" if "@" in value else "."
        local, _, rest = value.partition(sign)
        found, count = value, 1
        while found in self._taken:
            count += 1
            found = f"{local}{count}{sign}{rest}"
        self._taken.add(found)
        return found

    def _organisations(self, count: int) -> Iterator[Organisation]:
        made: list[Organisation] = []
        for number in range(count):
            one = self._organisation(number)
            if made and self._happens(self.shares.subsidiary):
                parent = self._chance.choice(made)
                one = replace(
                    one, name=f"{parent.name} {one.place.city}", domains=parent.domains, scheme=parent.scheme
                )
            elif made and self._happens(self.shares.franchise):
                one = replace(one, name=self._chance.choice(made).name)
            made.append(one)
            yield one

    def _organisation(self, number: int) -> Organisation:
        chance, place = self._chance, self._chance.choice(tables.PLACES)
        name = self._organisation_name()
        host = (
            latin(name)
            if self._happens(0.6)
            else "-".join(latin(word) for word in name.split() if latin(word))
        )
        domains: tuple[str, ...] = (self._unique(host + chance.choice((place.tld, ".com", place.tld))),)
        if self._happens(self.shares.rebranded):
            domains = (*domains, self._unique(f"{latin(name.split()[0])}online{place.tld}"))
        return Organisation(
            number,
            name,
            chance.choice(place.forms),
            domains,
            place,
            self._number_in(place),
            self._street(),
            self._postcode(place),
            chance.choice(("{g}.{f}", "{g}.{f}", "{i}{f}", "{i}.{f}", "{g}", "{f}{i}", "{g}_{f}")),
            f"company/{'-'.join(latin(word) for word in name.split())}-{number}",
        )

    def _organisation_name(self) -> str:
        chance = self._chance
        kind = chance.random()
        head = chance.choice(tables.HEADS) if self._happens(0.4) else self._rare().title()
        if kind < 0.5:
            return f"{head} {chance.choice(tables.MIDDLES)}"
        if kind < 0.65:
            return f"{head} {chance.choice(tables.MIDDLES)} {chance.choice(tables.TAILS)}"
        if kind < 0.8:
            return f"{self._rare().title()} {chance.choice(tables.MIDDLES)}"
        if kind < 0.9:
            return f"{self._rare().title()} & {self._rare().title()}"
        return (
            f"{chance.choice(tables.HEADS)}{chance.choice(tables.SYLLABLES[2])} {chance.choice(tables.TAILS)}"
        )

    def _rare(self) -> str:
        first, inner, last = tables.SYLLABLES
        chance = self._chance
        middle = "".join(chance.choice(inner) + chance.choice(first) for _ in range(chance.choice((0, 0, 1))))
        return chance.choice(first) + middle + chance.choice(inner) + chance.choice(last)

    def _culture(self) -> Culture:
        drawn = self._chance.random()
        for culture in tables.CULTURES:
            drawn -= culture.share
            if drawn < 0:
                return culture
        return NO_CULTURE

    def _names(self, culture: Culture) -> tuple[str, str, str, str]:
        """Return given and family name in Latin letters, then both as written at home."""
        chance = self._chance
        if culture.given:
            given, family = chance.choice(culture.given), chance.choice(culture.family)
            if "=" not in family and self._happens(0.5):
                family = self._rare().title()
        else:
            names, weights = _common("first")
            given = chance.choices(names, cum_weights=weights)[0]
            names, weights = _common("last")
            common = self._happens(self.shares.common_name)
            family = chance.choices(names, cum_weights=weights)[0] if common else self._rare().title()
        (home_given, _, latin_given), (home_family, _, latin_family) = (
            given.partition("="),
            family.partition("="),
        )
        return latin_given or home_given, latin_family or home_family, home_given, home_family

    def _person(self, number: int, before: Person | None) -> Person:
        culture = self._culture()
        given, family, home_given, home_family = self._names(culture)
        organisation = self._employer()
        person = Person(
            number, culture, given, family, home_given, home_family,
            self._chance.choice("ABCDEFGHJKLMPRST") if self._happens(0.3) else "", "", "", (), "",
            self._number_in(organisation.place), "", self._street(), self._postcode(organisation.place),
        )  # fmt: skip
        if before is not None:
            person = self._related(person, before)
        if not person.generation and self._happens(self.shares.married):
            person = replace(person, born_family=self._rare().title())
        employers = [organisation, *([self._employer()] if self._happens(self.shares.moved) else [])]
        slug = f"{latin(person.given)}-{latin(person.family)}-{self._chance.randrange(16**6):06x}"
        return replace(
            person,
            jobs=tuple(self._job(person, one) for one in employers),
            mailbox=person.mailbox or self._private(person),
            page=f"in/{slug}",
        )

    def _related(self, person: Person, before: Person) -> Person:
        """Return *person* as one who lives with the one before, or not."""
        kind = self._chance.random()
        together = replace(
            person,
            culture=before.culture,
            family=before.family,
            home_family=before.home_family,
            street=before.street,
            postcode=before.postcode,
        )
        if kind < self.shares.junior and not before.generation:
            return replace(together, given=before.given, home_given=before.home_given, generation="Jr.")
        if kind < self.shares.junior + self.shares.partner:
            if self._happens(self.shares.shared_line):
                together = replace(together, mobile=before.mobile)
            if self._happens(self.shares.shared_mailbox):
                together = replace(together, mailbox=before.mailbox)
            return together
        return person

    def _employer(self) -> Organisation:
        return self.organisations[int(len(self.organisations) * self._chance.random() ** 2.2)]

    def _job(self, person: Person, one: Organisation) -> Job:
        names = {"g": latin(person.given), "f": latin(person.family), "i": latin(person.given)[:1]}
        mailbox = self._unique(f"{one.scheme.format(**names)}@{one.domains[0]}")
        direct = one.board[:-3] + self._digits(3)
        return Job(one, mailbox, self._chance.choice(tables.TITLES), direct)

    def _private(self, person: Person) -> str:
        given, family = latin(person.given), latin(person.family)
        shapes = (
            f"{given}.{family}",
            f"{given}{family}",
            f"{given[:1]}{family}",
            f"{family}.{given}",
            f"{given}_{family}",
        )
        digits = self._chance.choice(("", "", self._digits(2), str(self._chance.randint(1955, 2003))))
        return self._unique(f"{self._chance.choice(shapes)}{digits}@{self._chance.choice(tables.FREE)}")
