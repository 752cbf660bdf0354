"""Consent: who agrees to a purpose, what is not written otherwise, and that a merge loses no refusal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, key

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.consenting import refusal, restricting
from headwater.policy.objects import ObjectPolicy
from headwater.policy.outbound import wanted_fields
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.ruling import compile_rules
from headwater.policy.survivorship import FieldFact, MemberRecord, survive
from headwater.policy.writing import Consent

MAIL = Consent.model_validate(
    {
        "object": "contact",
        "opted_out": {"opted_out": ["true"], "status": ["closed_lost"]},
        "granted": {"consent": ["yes", "double"]},
    }
)
OUT_ONLY = Consent.model_validate({"object": "contact", "opted_out": {"opted_out": ["true"]}})


@pytest.mark.parametrize(
    ("consent", "values", "why"),
    [
        (OUT_ONLY, {}, ""),
        (OUT_ONLY, {"opted_out": False}, ""),
        (OUT_ONLY, {"opted_out": True}, "opted_out is true"),
        (MAIL, {"consent": "yes"}, ""),
        (MAIL, {"consent": "no"}, "consent grants nothing"),
        (MAIL, {}, "consent grants nothing"),
        (MAIL, {"consent": "double", "opted_out": True}, "opted_out is true"),
        (MAIL, {"consent": "double", "status": "closed_lost"}, "status is closed_lost"),
    ],
)
def test_a_refusal_counts_whatever_was_agreed_to(
    consent: Consent, values: Mapping[str, Any], why: str
) -> None:
    """Opt-out needs a word against it; opt-in a word for it, and none against it."""
    assert refusal(consent, values) == why


def target(**withhold: Any) -> OutboundObject:
    """Return a mapping that withholds for the purpose `mail`."""
    return OutboundObject.model_validate(
        {
            "target": "contacts", "external_id": "key", "consent": {"mail": withhold},
            "fields": {"email": {"field": "email"}, "phone": {"field": "phone"}},
            "end_marks": {"state": "state"},
        }
    )  # fmt: skip


AGREES = {"email": "a@x.io", "phone": "+1"}
REFUSES = {**AGREES, "opted_out": True}
CONSENTS = {"mail": OUT_ONLY}


def test_of_who_agrees_everything_is_written_and_the_flag_is_cleared() -> None:
    """As without consent, with the flag empty."""
    found = wanted_fields(target(flags={"optout": "true"}), AGREES, CONSENTS)
    assert found.fields == {"email": "a@x.io", "phone": "+1", "state": None, "optout": None}
    assert (found.withheld, found.note) == ("", "")


def test_of_who_refuses_the_flag_alone_is_written() -> None:
    """The record is withheld, and the reason names purpose and field."""
    found = wanted_fields(target(flags={"optout": "true"}), REFUSES, CONSENTS)
    assert (found.fields, found.withheld) == ({"optout": "true"}, "mail: opted_out is true")


def test_of_who_refuses_named_fields_are_not_written() -> None:
    """The others are, and what the CRM holds of the named ones is not touched."""
    found = wanted_fields(target(withhold="fields", fields=["email"]), REFUSES, CONSENTS)
    assert found.fields == {"phone": "+1", "state": None}
    assert found.note == "mail: opted_out is true: email is not written"


def test_a_purpose_that_nobody_explains_is_refused() -> None:
    """Silence of the policy is no permission."""
    assert wanted_fields(target(), AGREES, {}).withheld


VALUES = st.sampled_from([None, True, False])


def record(number: int, value: Any, *, deleted: bool = False, source: str = "crm") -> MemberRecord:
    """Return a record that says one value of `opted_out`."""
    fact = FieldFact(value, NOON + dt.timedelta(seconds=number), key(number))
    return MemberRecord(source, str(number), {"opted_out": fact}, deleted)


RULES = compile_rules(
    ObjectPolicy.model_validate(
        {"fields": {"opted_out": {"type": "boolean", "owners": ["crm", "site"], "rule": "most_restrictive"}}}
    ),
    {},
    "contact",
    restricting=restricting(CONSENTS, "contact"),
)


@given(left=st.lists(VALUES, max_size=4), right=st.lists(VALUES, max_size=4), seed=st.randoms())
def test_a_merge_loses_no_refusal_and_a_split_gives_back_what_was(
    left: list[Any], right: list[Any], seed: Any
) -> None:
    """Of records together the refusal of any counts, in every order; apart each side has its own again."""
    sides = [record(n, value, source="crm" if n % 2 else "site") for n, value in enumerate(left + right)]

    def refuses(members: list[MemberRecord]) -> bool:
        chosen = survive(RULES, members).get("opted_out")
        return bool(refusal(OUT_ONLY, {"opted_out": chosen.value if chosen else None}))

    apart = [sides[: len(left)], sides[len(left) :]]
    shuffled = list(sides)
    seed.shuffle(shuffled)
    assert refuses(shuffled) is (True in left or True in right)
    assert [refuses(side) for side in apart] == [True in left, True in right]


def test_a_person_who_corrects_it_has_the_last_word() -> None:
    """By the authority to override, as of every field."""
    pinned = record(9, value=False, source=OPERATOR_SOURCE)
    assert survive(RULES, [record(1, value=True), pinned])["opted_out"].value is False
