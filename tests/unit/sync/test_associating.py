"""Whom activities concern is decided by what is known, never by the order in which it came to be known."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Collection, Mapping
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.timeline import Confidences, Timeline
from headwater.sync.domain.associating import (
    Activity,
    Around,
    Association,
    Deal,
    Person,
    associate,
    domain_of,
    domains_of,
    mailbox_of,
    name_of,
    was_open,
)

_K = TypeVar("_K")
_V = TypeVar("_V")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
WORDS = Timeline(deal_closed=("won", "lost"))
IDS = [uuid.UUID(int=number) for number in range(1, 7)]
ids = st.sampled_from(IDS)
groups = st.lists(ids, max_size=3, unique=True)
people = st.lists(
    st.builds(
        Person,
        role=st.sampled_from(["from", "to"]),
        address=st.sampled_from(["a@firm.example", "a+x@firm.example", "b@mail.firm.example", "c@gmail.com"]),
        home=st.none() | ids,
    ),
    max_size=4,
)
deals = st.builds(Deal, entity_id=ids, stage=st.sampled_from(["open", "won"]))
arounds = st.builds(
    Around,
    by_mailbox=st.dictionaries(st.sampled_from(["a@firm.example", "c@gmail.com"]), groups),
    accounts=st.dictionaries(ids, groups),
    companies=st.dictionaries(ids, st.sampled_from(["firm", "other"])),
    by_domain=st.dictionaries(st.sampled_from(["firm.example", "mail.firm.example", "gmail.com"]), groups),
    by_name=st.dictionaries(st.sampled_from(["firm", "other"]), groups),
    deals=st.dictionaries(ids, st.lists(deals, max_size=3, unique_by=lambda deal: deal.entity_id)),
)


def activity(*took_part: Person) -> Activity:
    """Return an email at noon."""
    return Activity("acme", uuid.UUID(int=99), "email", "mail", NOON, "", "m", ("m",), took_part)


def reversed_lists(given_lists: Mapping[_K, Collection[_V]]) -> dict[_K, Collection[_V]]:
    """Return the same, each list from its end."""
    return {key: list(reversed(list(value))) for key, value in given_lists.items()}


@given(people, arounds, st.randoms())
def test_whom_an_activity_concerns_is_blind_to_order(
    took_part: list[Person], around: Around, chance: random.Random
) -> None:
    """Of participants, of what is known around them, and of what was known first."""
    found = associate(WORDS, activity(*took_part), around)
    chance.shuffle(took_part)
    turned = Around(
        by_mailbox=reversed_lists(around.by_mailbox),
        accounts=reversed_lists(around.accounts),
        companies=around.companies,
        by_domain=reversed_lists(around.by_domain),
        by_name=reversed_lists(around.by_name),
        deals=reversed_lists(around.deals),
    )
    assert associate(WORDS, activity(*took_part), turned) == found


@given(people, arounds)
def test_associations_are_bounded_and_one_an_entity_and_object(
    took_part: list[Person], around: Around
) -> None:
    """Confidence lies between the least that is wanted and 1."""
    found = associate(WORDS, activity(*took_part), around)
    assert all(WORDS.confidence_min <= item.confidence <= 1 for item in found)
    assert len({(item.entity_id, item.object) for item in found}) == len(found)


def test_the_surest_reason_is_told() -> None:
    """A contact by its own record goes before one by another source's mailbox; an account by reference before its domain."""
    person = Person("from", "ann+news@firm.example", home=IDS[0])
    around = Around(
        by_mailbox={"ann@firm.example": [IDS[1]]}, accounts={IDS[0]: [IDS[2]]}, by_domain={"firm.example": [IDS[2]]}
    )  # fmt: skip
    assert associate(WORDS, activity(person), around) == (
        Association(IDS[0], "contact", "participant", 1.0),
        Association(IDS[2], "account", "account_of_contact", 0.9),
    )


def test_what_is_less_sure_than_wanted_is_left_out() -> None:
    """Three accounts with one domain share its confidence."""
    around = Around(by_domain={"firm.example": IDS[:3]})
    person = Person("from", "x@firm.example")
    assert associate(WORDS, activity(person), around) == ()
    lower = Timeline(confidence_min=0.2, confidence=Confidences(domain=0.75))
    assert {item.confidence for item in associate(lower, activity(person), around)} == {0.25}


@pytest.mark.parametrize(
    ("deal", "open_then"),
    [
        (Deal(IDS[0], "open"), True),
        (Deal(IDS[0], "open", start="2026-03-02"), False),
        (Deal(IDS[0], "won"), False),
        (Deal(IDS[0], "won", end="2026-03-01"), True),
        (Deal(IDS[0], "lost", end="2026-02-28"), False),
    ],
)
def test_a_deal_counts_while_it_was_open(deal: Deal, *, open_then: bool) -> None:
    """From its first day to its last; one without a last day until it is closed."""
    assert was_open(WORDS, deal, NOON) is open_then


def test_addresses_domains_and_names_are_compared_in_one_form() -> None:
    """Aliases, web addresses, domains above, private mailboxes, punctuation."""
    assert mailbox_of(" Ann+News@Firm.Example ") == "ann@firm.example"
    assert mailbox_of("+odd@firm.example") == "+odd@firm.example"
    assert domain_of("https://www.Firm.example:443/about?x=1") == "firm.example"
    assert domain_of("firm") == ""
    assert domains_of("mail.eu.firm.example") == ("mail.eu.firm.example", "eu.firm.example", "firm.example")
    assert domains_of("gmail.com") == ()
    assert name_of("Other & Sons,  Ltd.") == "other sons ltd"
