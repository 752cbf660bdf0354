"""Scores in bits: exact sums, symmetry, and what must not count twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.identity import people
from tests.unit.identity.people import EMAIL, FIELDS, parts

from headwater.identity.domain.normalising import normalise
from headwater.identity.domain.scoring.comparing import PHONE
from headwater.identity.domain.scoring.learning import Plan, learn, study
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import PRIOR, Score, explain_score, score_bits
from headwater.identity.domain.scoring.taking_apart import parts_of
from headwater.identity.domain.scoring.weights import FieldWeights, Weights, dump, load

WEIGHTS = shipped("contact")
RARE = replace(
    WEIGHTS,
    fields={
        **WEIGHTS.fields,
        **{
            name: FieldWeights((0.9,), (0.01,), {"orbeli": 0.2, "kaya": 0.001}, 0.0005)
            for name in ("given name", "family name")
        },
        "phone": replace(WEIGHTS.fields["phone"], common={"+12125550147": 0.01}, rare=1e-6),
        "job_title": replace(WEIGHTS.fields["text"], common={"buyer": 0.3}, rare=1e-4),
        "postcode": replace(WEIGHTS.fields["code"], rare=1e-4),
    },
)
"""Weights by which the rarity of values counts."""
SMALL = Plan(random_pairs=2_000)


@given(FIELDS, FIELDS)
@settings(max_examples=300, deadline=None)
def test_bits_per_field_sum_exactly_to_the_score(one: dict[str, str], other: dict[str, str]) -> None:
    """An explanation's parts add up to the score, to the last bit of the float."""
    score = explain_score(parts(**one), parts(**other), WEIGHTS)
    assert sum(part.bits for part in score.parts) == score.bits
    assert sum(part.bits for part in reversed(score.parts)) == score.bits
    assert score.bits == score_bits(parts(**one), parts(**other), WEIGHTS)
    assert score.parts[0].field == PRIOR


MORE = st.fixed_dictionaries(
    {
        "work_email": st.sampled_from(EMAIL),
        "mobile_phone": st.sampled_from(people.PHONE),
        "title": st.sampled_from(("Buyer", "Chief Buyer", "")),
        "street": st.sampled_from(("12 Mill Road", "14 Mill Road", "3 Quay", "")),
        "postcode": st.sampled_from(("SW1A 1AA", "SW1A 1AB", "")),
        "unit": st.sampled_from(("Floor 2", "Floor 3", "")),
    }
)
"""Fields that have no scale of their own, and second values of those that have."""
SHARED = st.frozensets(st.sampled_from((*filter(None, EMAIL), *filter(None, people.PHONE))), max_size=4)


@given(FIELDS, FIELDS, MORE, MORE, SHARED, st.sampled_from((WEIGHTS, RARE)))
@settings(max_examples=300, deadline=None)
def test_people_are_added_up_as_they_are_explained(
    one: dict[str, str],
    other: dict[str, str],
    more: dict[str, str],
    others: dict[str, str],
    shared: frozenset[str],
    weights: Weights,
) -> None:
    """Several mailboxes and numbers, generic ones, fields without weights and values that are rare or common."""
    left, right = parts(**one | more), parts(**other | others)
    assert score_bits(left, right, weights, shared) == explain_score(left, right, weights, shared).bits


@given(FIELDS, FIELDS)
@settings(max_examples=300, deadline=None)
def test_score_is_symmetric(one: dict[str, str], other: dict[str, str]) -> None:
    """Which record came first never changes a score."""
    left, right = parts(**one), parts(**other)
    assert score_bits(left, right, WEIGHTS) == score_bits(right, left, WEIGHTS)


def test_organisation_adds_nothing_when_the_work_mailbox_is_shared() -> None:
    """One work mailbox already says that two work at one place."""
    mail = {"first_name": "Kaya", "last_name": "Orbeli", "email": "kaya.orbeli@acorn.test"}
    alone = score_bits(parts(**mail), parts(**mail), WEIGHTS)
    both = score_bits(parts(**mail, company="Acorn Ltd"), parts(**mail, company="Acorn"), WEIGHTS)
    assert both == alone


def test_domain_and_company_name_count_once() -> None:
    """Sharing domain and company name weighs as much as sharing the domain."""
    one = {"first_name": "Kaya", "website": "acorn.com"}
    domain = score_bits(parts(**one), parts(**one), WEIGHTS)
    both = score_bits(parts(**one, company="Acorn"), parts(**one, company="Acorn"), WEIGHTS)
    assert both == domain


def test_an_organisation_says_where_its_people_are_down_to_the_house() -> None:
    """The address of an office ties nobody who works there: colleagues have it in common, and nothing else by it."""
    office = {"company": "Acorn Freight", "street": "4 Mill Lane", "postcode": "SW1A 1AA", "city": "London"}
    one = {"first_name": "Kaya", "last_name": "Orbeli", "company": "Acorn Freight"}
    other = {"first_name": "Mirela", "last_name": "Santanov", "company": "Acorn Freight"}
    told = score_bits(parts(**one | office), parts(**other | office), WEIGHTS)
    assert told == score_bits(parts(**one), parts(**other), WEIGHTS)
    slipped = office | {"street": "4 Mil Lane", "postcode": "SW1A 1AB"}
    assert score_bits(parts(**one | office), parts(**other | slipped), WEIGHTS) == told
    elsewhere = office | {"street": "9 Quay Road", "postcode": "E1 6AN"}
    assert score_bits(parts(**one | office), parts(**other | elsewhere), WEIGHTS) < told - 5


def test_an_address_counts_where_no_organisation_tells_it() -> None:
    """At home it is evidence as any other."""
    home = {"street": "4 Mill Lane", "postcode": "SW1A 1AA"}
    one = {"first_name": "Kaya", "last_name": "Orbeli"}
    assert (
        score_bits(parts(**one | home), parts(**one | home), WEIGHTS)
        > score_bits(parts(**one), parts(**one), WEIGHTS) + 10
    )


def test_number_that_is_generic_weighs_less() -> None:
    """A switchboard is weak evidence, however equal the number."""
    one, other = (
        parts(last_name="Orbeli", phone="+12125550147"),
        parts(last_name="Orbeli", phone="+12125550147"),
    )
    number = one.phones[0]
    assert score_bits(one, other, WEIGHTS, {number}) < score_bits(one, other, WEIGHTS) - 5


def test_numbered_mailboxes_of_one_employer_do_not_look_alike() -> None:
    """`k.orbeli` and `k.orbeli2` at one employer are namesakes."""
    one = parts(first_name="K", last_name="Orbeli", email="k.orbeli@acorn.com")
    other = parts(first_name="K", last_name="Orbeli", email="k.orbeli2@acorn.com")
    same = score_bits(one, one, WEIGHTS)
    assert score_bits(one, other, WEIGHTS) < same - 10


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Kaya", "Orbeli"), ("Orbeli", "Kaya")),
        (("Robert", "Orbeli"), ("Bob", "Orbeli")),
        (("K.", "Orbeli"), ("Kaya", "Orbeli")),
        (("Kaya", "Orbeli"), ("Kaya", "Oberli")),
        (("Kaya", "Orbeli"), ("Kaya", "Brack-Orbeli")),
    ],
    ids=["swapped", "nickname", "initial", "misspelt", "part of the family name"],
)
def test_name_written_otherwise_speaks_for_a_pair(one: tuple[str, str], other: tuple[str, str]) -> None:
    """The usual ways to write one name count for it, strangers' names against."""
    left = parts(first_name=one[0], last_name=one[1])
    right = parts(first_name=other[0], last_name=other[1])
    stranger = parts(first_name="Tovik", last_name="Santanov")
    assert score_bits(left, right, WEIGHTS) > WEIGHTS.prior_bits + 5
    assert score_bits(left, stranger, WEIGHTS) < WEIGHTS.prior_bits


def test_rare_family_name_weighs_more_than_a_common_one() -> None:
    """Sharing a family name that everybody has says little."""
    people = [parts(first_name=f"G{n:03d}x", last_name="Miller") for n in range(150)]
    people += [
        parts(first_name=f"H{n:03d}x", last_name=f"Rare{'abcdefghij'[n % 10]}{'klmnop'[n % 6]}")
        for n in range(60)
    ]
    weights = learn("contact", people, random.Random(1), SMALL)
    common = explain_score(people[0], people[1], weights)
    rare = explain_score(people[150], people[150], weights)
    assert _bits(common, "family name") < 0 < _bits(rare, "family name")


def _bits(score: Score, field: str) -> float:
    return next(part.bits for part in score.parts if part.field == field)


def test_weights_survive_their_serial_form() -> None:
    """Stored weights score as they did before."""
    people = [
        parts(first_name=f"Kaya{n}", last_name="Orbeli", email=f"k{n // 2}x@gmail.com") for n in range(80)
    ]
    weights = learn("contact", people, random.Random(1), SMALL)
    again = load(dump(weights))
    assert dump(again) == dump(weights)
    assert score_bits(people[0], people[1], again) == score_bits(people[0], people[1], weights)


def test_learning_is_the_same_for_the_same_seed() -> None:
    """Chance is injected: the same records and seed give the same weights."""
    people = [
        parts(first_name=f"Kaya{n}", last_name="Orbeli", email=f"k{n // 2}x@gmail.com") for n in range(60)
    ]
    assert dump(learn("contact", people, random.Random(7), SMALL)) == dump(
        learn("contact", people, random.Random(7), SMALL)
    )


def test_learning_finds_that_a_field_disagrees_within_people() -> None:
    """Where people who share a profile rarely share a city, cities weigh little."""

    def world(*, steady: bool) -> float:
        records = [
            parts(
                first_name=f"N{n // 2}a",
                last_name=f"F{n // 2}b",
                linkedin_url=f"linkedin.com/in/person-{n // 2}x",
                city="London" if steady or n % 2 else "Paris",
            )
            for n in range(400)
        ]
        return learn("contact", records, random.Random(1), SMALL).fields["place"].m[0]

    assert world(steady=True) > 0.9
    assert world(steady=False) < 0.2


def test_a_sample_teaches_how_rare_chance_is_among_all() -> None:
    """Strangers share a mailbox by chance the more rarely, the more records there are; all of them are no sample."""
    people = [
        parts(first_name=f"Kaya{n}", last_name="Orbeli", email=f"k{n // 2}x@gmail.com") for n in range(80)
    ]

    def mail(population: int) -> float:
        learnt = study("contact", people, random.Random(1), SMALL, population=population)
        return learnt.weights.fields["mail"].bits[0]

    assert mail(0) == mail(80)
    assert 6.5 < mail(8_000) - mail(80) < 6.8


def test_shared_line_never_says_more_than_a_number_of_ones_own() -> None:
    """Where random pairs show no shared line, it is not taken for rarer than a shared number."""
    accounts = [
        parts_of(
            normalise("account", {"name": f"Acorn {word}{word}", "phone": f"+120255501{number % 50:02d}"})
        )
        for number, word in enumerate(f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(100))
    ]
    phone = learn("account", accounts, random.Random(1)).fields[PHONE]
    assert phone.bits[2] <= phone.bits[0]
