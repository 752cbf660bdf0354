"""From values to CRM fields, and the smallest change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.outbound import desired_fields, end_marks, minimal_patch, same_value, select_target
from headwater.policy.outbound_mapping import OutboundObject

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False), st.text()
)


def target(**changed: Any) -> OutboundObject:
    """Return a mapping."""
    return OutboundObject.model_validate({"target": "T", "external_id": "E", "fields": {}, **changed})


@pytest.mark.parametrize(
    ("transform", "value", "wanted"),
    [
        ("text", 5, 5),
        ("iso_date", "2026-01-31T10:00:00Z", "2026-01-31"),
        ("iso_datetime", "2026-01-31", "2026-01-31T00:00:00Z"),
        ("epoch_ms", "1970-01-02", 86_400_000),
        ("epoch_ms", "1970-01-01T01:00:00+01:00", 0),
        ("upper", "a", "A"),
        ("lower", "A", "a"),
        ("integer", "5.7", 5),
        ("join", ["a", "b"], "a;b"),
    ],
)
def test_each_transform_writes_the_crms_form(transform: str, value: Any, wanted: Any) -> None:
    """One canonical value, one form per transform."""
    mapped = target(fields={"F": {"field": "x", "transform": transform}})
    assert desired_fields(mapped, {"x": value}) == {"F": wanted}


def test_words_are_translated_and_gaps_filled() -> None:
    """The CRM's word for ours; the default where we have none; None where nobody has."""
    fields = {
        "A": {"field": "a", "values": {"won": "Closed Won"}},
        "B": {"field": "b", "default": "?"},
        "C": {"field": "c"},
    }
    assert desired_fields(target(fields=fields), {"a": "won"}) == {"A": "Closed Won", "B": "?", "C": None}


def test_the_first_target_whose_conditions_hold_is_chosen() -> None:
    """Conditions are all to hold; none holding means nowhere."""
    call, rest = (
        target(target="Call", when={"kind": ["call"]}),
        target(target="Task", when={"kind": ["mail"]}),
    )
    assert select_target([call, rest], {"kind": "mail"}) is rest
    assert select_target([call, rest], {"kind": "visit"}) is None
    assert select_target([target()], {}) is not None


def test_end_marks_say_how_it_ended() -> None:
    """A deleted entity has no winner."""
    marks = target(end_marks={"S": "state", "W": "winner_entity_id"})
    assert end_marks(marks, "merged", "id") == {"S": "merged", "W": "id"}
    assert end_marks(marks, "deleted", "") == {"S": "deleted", "W": None}


@pytest.mark.parametrize(
    ("held", "wanted", "same"),
    [
        ("5", 5.0, True),
        (5, "5.0", True),
        ("true", True, True),
        ("", None, True),
        (None, "", True),
        (None, "x", False),
        (" x", "x ", True),
        ("123", "0123", False),
        ("+4930", "4930", False),
        ("1e3", "1000", False),
        ("nan", "nan", True),
        (0, None, False),
        (1, True, False),
        ("2026-01-05T09:00:00.000Z", 1_767_603_600_000, True),
        ("2026-01-05T09:00:00.001Z", 1_767_603_600_000, False),
        ("Monday", 1_767_603_600_000, False),
    ],
)
def test_values_are_compared_in_whichever_form_they_are_shown(held: Any, wanted: Any, *, same: bool) -> None:
    """Numbers by size, moments by time, texts by letters: a leading zero or plus matters."""
    assert same_value(held, wanted) is same


@given(SCALARS)
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    """Otherwise a delivery would never be unchanged."""
    assert same_value(value, value)


@given(st.dictionaries(st.sampled_from("abcd"), SCALARS), st.dictionaries(st.sampled_from("abcd"), SCALARS))
def test_a_patch_brings_about_what_is_desired_and_then_is_empty(
    desired: dict[str, Any], known: dict[str, Any]
) -> None:
    """Applied once there is nothing left, and nothing else was touched."""
    patch = minimal_patch(desired, known)
    after = {**known, **patch}
    assert minimal_patch(desired, after) == {}
    assert all(same_value(after.get(name), value) for name, value in desired.items())
    assert set(patch) <= set(desired)


def test_what_the_crm_was_never_given_is_left_alone() -> None:
    """An empty value clears only what we wrote."""
    assert minimal_patch({"a": None, "b": None}, {"a": "x"}) == {"a": None}
