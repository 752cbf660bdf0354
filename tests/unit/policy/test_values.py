"""Values by type: canonical, or the rule they break."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.objects import FieldPolicy
from headwater.policy.systems import InboundField
from headwater.policy.values import Broken, read_value
from headwater.policy.words import FieldType

TYPES: list[FieldType] = [
    "text", "email", "phone", "url", "date", "datetime", "number", "integer", "boolean", "picklist",
    "participants",
]  # fmt: skip
READING = InboundField(field="x")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def read(field_type: str, raw: Any, reading: InboundField = READING, **more: Any) -> Any:
    """Read a value; a broken rule as its name."""
    policy = FieldPolicy.model_validate({"type": field_type, "owners": ["s"], "rule": "most_recent", **more})
    value = read_value(policy, reading, raw)
    return f"!{value.rule}" if isinstance(value, Broken) else value


@pytest.mark.parametrize(
    ("field_type", "raw", "wanted"),
    [
        ("text", "  Ada ", "Ada"),
        ("text", 5, "5"),
        ("text", 1234567.0, "1234567"),
        ("text", 3.14159265, "3.14159265"),
        ("text", True, "!type.text"),
        ("text", {}, "!type.text"),
        ("text", "   ", None),
        ("email", "Ada@X.io", "ada@x.io"),
        ("email", "ada@x", "!format.email"),
        ("email", 5, "!format.email"),
        ("phone", "+49 (30) 1234", "+49 (30) 1234"),
        ("phone", "123", "!format.phone"),
        ("url", "x.io", "x.io"),
        ("url", "x io.", "!format.url"),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "2026-01-31T10:00:00Z", "2026-01-31"),
        ("date", "31.01.2026", "!format.date"),
        ("datetime", "2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        ("datetime", "2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("datetime", "0001-01-01T00:00:00+05:00", "!format.datetime"),
        ("number", "5.5", 5.5),
        ("number", "nan", "!type.number"),
        ("number", True, "!type.number"),
        ("number", 10**400, "!type.number"),
        ("integer", "5.0", 5),
        ("integer", 5.5, "!type.integer"),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", "maybe", "!type.boolean"),
        (
            "participants",
            [{"address": "a@x.io", "extra": 1}],
            [{"role": "", "address": "a@x.io", "name": ""}],
        ),
        ("participants", [{"name": "x"}], "!type.participants"),
        ("participants", "a@x.io", "!type.participants"),
    ],
)
def test_a_value_is_read_by_its_type(field_type: str, raw: Any, wanted: Any) -> None:
    """Each type has its canonical form and its rule."""
    assert read(field_type, raw) == wanted


def test_a_date_is_read_in_the_sources_format() -> None:
    """The reading says how the source writes dates."""
    assert read("date", "31.01.2026", InboundField(field="x", date_format="%d.%m.%Y")) == "2026-01-31"


def test_values_are_translated_before_they_are_checked() -> None:
    """The source's word becomes the canonical one; others pass and are judged."""
    reading = InboundField(field="x", values={"P": "pro"})
    assert read("picklist", " P ", reading, allowed=["pro", "free"]) == "pro"
    assert read("picklist", "gold", reading, allowed=["pro", "free"]) == "!allowed"


def test_a_text_has_a_longest_length() -> None:
    """One character more breaks the rule."""
    assert read("text", "abc", chars_max=3) == "abc"
    assert read("text", "abcd", chars_max=3) == "!chars_max"


@given(st.sampled_from(TYPES), JSON)
def test_reading_a_canonical_value_changes_nothing(field_type: str, raw: Any) -> None:
    """Nothing raises, and what was read once reads as itself."""
    value = read(field_type, raw, chars_max=32_768)
    if value is not None and not (isinstance(value, str) and value.startswith("!")):
        assert read(field_type, value, chars_max=32_768) == value
