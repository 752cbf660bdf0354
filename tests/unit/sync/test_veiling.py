"""Vendors' words without the record's values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.sync.domain.veiling import veiled

RECORD = {
    "email": "Ada@person.example",
    "first_name": "Ada",
    "phone": "+441632960961",
    "title": "",
    "size": 12,
}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Email address ada@PERSON.example is invalid", "Email address <email> is invalid"),
        ("first_name: data value too large: Ada (max length=2)", "first_name: data value too large: <first_name> (max length=2)"),
        ("Adagio is no option", "Adagio is no option"),
        ("exists as other@north.example, call +49 (30) 5500-1234", "exists as <email>, call <phone>"),
        ("call +441632960961.", "call <phone>."),
        ("12 of 12 refused", "12 of 12 refused"),
        ("", ""),
    ],
)  # fmt: skip
def test_values_give_way_to_their_fields(said: str, left: str) -> None:
    """Whatever their case; words and counts that a person needs stay."""
    assert veiled(said, RECORD) == left


def test_values_inside_values_and_of_the_crm_count_too() -> None:
    """Nested values bear the name of their field; what the CRM holds is hidden as what the record says is."""
    told: dict[str, Any] = {"participants": [{"name": "Ada Lovelace"}]}
    assert (
        veiled("ada lovelace, before: King", told, {"last_name": "King"})
        == "<participants>, before: <last_name>"
    )


TEXT = st.text(st.characters(codec="utf-8"), min_size=3, max_size=12).map(str.strip)


@given(TEXT.filter(lambda text: len(text) > 2))
def test_no_value_survives_as_a_word(value: str) -> None:
    """Whatever the value is, between blanks nothing is left of it."""
    assert veiled(f"refused: {value} .", {"f1": value}) == "refused: <f1> ."
