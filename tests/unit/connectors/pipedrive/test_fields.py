"""Custom fields by name, and values in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.connectors.base import Reference, Target, Write
from headwater.connectors.pipedrive import wire
from headwater.connectors.pipedrive.fields import Catalogue, catalogue_of, read, rendered
from headwater.connectors.pipedrive.kinds import KINDS

KEY = "946947d1b02fd3ef20798d6112ec5d895a686a21"
DEFINITIONS = (
    {"field_name": "Name", "field_code": "name", "field_type": "varchar", "is_custom_field": False},
    {"field_name": "headwater_id", "field_code": KEY, "field_type": "varchar", "is_custom_field": True},
    {"field_name": "Score", "field_code": "a" * 40, "field_type": "double", "is_custom_field": True},
    {
        "field_name": "Lead source",
        "field_code": "b" * 40,
        "field_type": "enum",
        "is_custom_field": True,
        "options": [{"id": 7, "label": "Inbound"}, {"id": 8, "label": "Outbound"}],
    },
    {
        "field_name": "Topics",
        "field_code": "c" * 40,
        "field_type": "set",
        "is_custom_field": True,
        "options": [{"id": 1, "label": "Heat"}, {"id": 2, "label": "Water"}],
    },
    {"field_name": "Office", "field_code": "d" * 40, "field_type": "address", "is_custom_field": True},
    {"field_name": "Budget", "field_code": "e" * 40, "field_type": "monetary", "is_custom_field": True},
    {"field_name": "Twin", "field_code": "f" * 40, "field_type": "varchar", "is_custom_field": True},
    {"field_name": "Twin", "field_code": "9" * 40, "field_type": "varchar", "is_custom_field": True},
)
PERSONS = Target("contact", "persons", "headwater_id", ("name", "email", "Score"), ("org_id",))


@pytest.fixture
def catalogue() -> Catalogue:
    """The fields of persons in one account."""
    return catalogue_of(KINDS["persons"], DEFINITIONS)


def test_a_write_names_custom_fields_by_their_keys(catalogue: Catalogue) -> None:
    """Standard fields stand beside them, the external id among them, a reference is a number."""
    write = Write("e-1", "", {"name": "Ann", "Score": "12"}, (Reference("org_id", ("42",)),))
    assert wire.body_of(PERSONS, write, catalogue, {}) == {
        "name": "Ann",
        "org_id": 42,
        "custom_fields": {"a" * 40: 12, KEY: "e-1"},
    }


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("Lead source", "Outbound", 8),
        ("Lead source", "New", "New"),
        ("Topics", ["Heat", "Water"], [1, 2]),
        ("Office", "1 Wharf Street", {"value": "1 Wharf Street"}),
        ("Score", 12.5, 12.5),
        ("Score", "much", "much"),
        ("owner_id", "17", 17),
        ("name", True, "true"),
        ("name", "", None),
        ("Office", None, None),
        ("label_ids", None, []),
    ],
)
def test_values_are_sent_as_their_field_takes_them(
    catalogue: Catalogue, name: str, value: Any, sent: Any
) -> None:
    """Options by id, numbers as numbers, empty as null; what does not fit is left for Pipedrive to refuse."""
    item = catalogue.get(name)
    assert item is not None
    assert rendered(item, value, {}) == sent


@pytest.mark.parametrize("name", ["Lead source", "Topics", "Office", "Score", "name"])
def test_what_is_written_is_read_back(catalogue: Catalogue, name: str) -> None:
    """Labels for options, text for addresses."""
    value = {"Lead source": "Inbound", "Topics": ["Water"], "Office": "Leeds", "Score": 3, "name": "Ann"}[
        name
    ]
    item = catalogue.get(name)
    assert item is not None
    sent = rendered(item, value, {})
    record = {item.code: sent} if item.place == "top" else {"custom_fields": {item.code: sent}}
    assert read(item, record) == value


def test_the_primary_address_changes_and_the_others_stay(catalogue: Catalogue) -> None:
    """Pipedrive replaces a list whole: what colleagues added is sent again."""
    email = catalogue.get("email")
    assert email is not None
    held = {
        "emails": [
            {"value": "home@x.example", "primary": False, "label": "home"},
            {"value": "old@x.example", "primary": True, "label": "office"},
        ]
    }
    changed = rendered(email, "new@x.example", held)
    assert changed == [
        {"value": "new@x.example", "primary": True, "label": "office"},
        {"value": "home@x.example", "primary": False, "label": "home"},
    ]
    assert read(email, {"emails": changed}) == "new@x.example"
    assert rendered(email, None, held) == [{"value": "home@x.example", "primary": True, "label": "home"}]
    assert rendered(email, "home@x.example", held)[0]["value"] == "home@x.example"
    assert len(rendered(email, "home@x.example", held)) == 1


def test_what_cannot_be_meant_is_not_guessed(catalogue: Catalogue) -> None:
    """A name that two fields bear, a type of two values, a name that is not there."""
    assert catalogue.get("Twin") is None
    assert "Twin" in catalogue.ambiguous
    assert catalogue.get("f" * 40) is not None
    assert catalogue.unmapped["Budget"] == "monetary"
    assert wire.body_of(PERSONS, Write("e-1", "", {"Nowhere": 1}), catalogue, {}) == "Nowhere"
