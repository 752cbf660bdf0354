"""Stored weights are used only when they are whole: what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.identity.people import parts

from headwater.identity.domain.scoring.comparing import JOB_TITLE, TEXT
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import explain_score
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.domain.scoring.versions import SHIPPED, name_of, number_of
from headwater.identity.domain.scoring.weights import dump
from headwater.kernel.errors import PreconditionFailed

Spoil = Callable[[dict[str, Any]], Any]


def _spoilt(spoil: Spoil) -> bytes:
    document = json.loads(dump(shipped("contact")))
    spoil(document)
    return json.dumps(document).encode()


def test_what_ships_is_sound() -> None:
    """For every object."""
    for name in ("contact", "lead", "account"):
        assert read_weights(dump(shipped(name)), name, SHIPPED) == shipped(name)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda d: d.update(object="account"), "they are for 'account'"),
        (lambda d: d.update(version="learned-9"), "learned-9"),
        (lambda d: d.update(prior_bits=500), "prior of 500"),
        (lambda d: d["fields"].pop("mail"), "field mail is missing"),
        (lambda d: d["fields"]["mail"]["m"].pop(), "has 5 and 6 levels where 6"),
        (lambda d: d["fields"]["phone"]["u"].__setitem__(0, 1.5), "1.5, which is no share"),
        (lambda d: d["fields"]["phone"]["u"].__setitem__(0, -0.1), "-0.1, which is no share"),
        (lambda d: d["fields"]["place"]["common"].update(paris=0.0), "a common value that no record has"),
        (lambda d: d.pop("fields"), "fields"),
        (lambda d: d.update(more=1), "more"),
    ],
)
def test_an_unsound_body_is_refused_in_words(spoil: Spoil, why: str) -> None:
    """The error names the version, the object, and the fault."""
    with pytest.raises(PreconditionFailed, match="contact cannot be used") as refused:
        read_weights(_spoilt(spoil), "contact", SHIPPED)
    assert why in refused.value.message
    assert refused.value.reason == "WEIGHTS_UNSOUND"


def test_weights_of_an_earlier_release_are_sound_without_the_fields_that_came_later() -> None:
    """A tenant's own weights outlive a release: job titles then weigh as any other text."""
    weights = read_weights(_spoilt(lambda d: d["fields"].pop(JOB_TITLE)), "contact", SHIPPED)
    buyer = parts(title="Buyer")
    (_, title) = explain_score(buyer, buyer, weights).parts
    assert (title.field, title.bits) == (JOB_TITLE, weights.fields[TEXT].bits[0])


def test_what_is_no_json_is_refused() -> None:
    """Bytes that mean nothing are an error in words, too."""
    with pytest.raises(PreconditionFailed, match="cannot be used"):
        read_weights(b"\x00nothing", "contact", 4)


def test_names_and_numbers_go_both_ways() -> None:
    """A name that no table holds is that of the shipped weights."""
    assert [number_of(name_of(number)) for number in (0, 1, 27)] == [0, 1, 27]
    assert number_of("learned-x") == SHIPPED


@given(st.integers(0, 2**32 - 1))
@example(1_000_000_000)
@example(1_000_000_020)
@example(1_000_000_021)
@example(2**32 - 1)
def test_any_number_that_a_caller_may_ask_for_has_a_name_and_the_name_that_number(number: int) -> None:
    """Also numbers beyond those of the largest tenant: no power of two is made of them."""
    name = name_of(number)
    assert len(name) < 30
    assert number_of(name) == number
