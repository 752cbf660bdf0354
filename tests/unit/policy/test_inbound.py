"""From payloads to canonical fields, with every broken rule."""

from __future__ import annotations

from typing import Any

from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import CanonicalRecord, canonicalise

DOCUMENT = PolicyDocument.model_validate(
    {
        "format": "headwater/v1",
        "version": "1",
        "systems": {
            "site": {
                "layer": "record", "owner": "o", "backup": "b", "runbook": "r",
                "inbound": {"contact": {"fields": {
                    "mail": "email", "alt.mail": "email", "nach": "last_name", "person.phone": "phone",
                    "pin": "secret",
                }}},
            }
        },
        "objects": {"contact": {"require_any": [["email", "phone"]], "fields": {
            "email": {"type": "email", "owners": ["site"], "rule": "most_recent"},
            "phone": {"type": "phone", "owners": ["site"], "rule": "most_recent"},
            "last_name": {
                "type": "text", "owners": ["site"], "rule": "most_recent", "required": True, "chars_max": 5,
            },
            "secret": {"type": "integer", "owners": ["site"], "rule": "most_recent", "class": "secret"},
        }}},
    }
)  # fmt: skip


def read(payload: dict[str, Any], source: str = "site") -> CanonicalRecord:
    """Read a contact."""
    return canonicalise(DOCUMENT, source, "contact", payload)


def rules(record: CanonicalRecord) -> list[tuple[str, str]]:
    """Return field and rule of each violation."""
    return [(item.field, item.rule) for item in record.violations]


def test_nested_paths_and_literal_dots_are_both_reached() -> None:
    """A dot reaches inside unless the payload has the very name."""
    nested = read({"nach": "L", "person": {"phone": "12345"}})
    literal = read({"nach": "L", "person.phone": "12345"})
    assert nested.fields == literal.fields == {"last_name": "L", "phone": "12345"}


def test_absent_is_unchanged_and_empty_clears() -> None:
    """Only what the payload holds is said."""
    assert read({"nach": "L", "mail": "a@x.io", "person": {"phone": ""}}).fields == {
        "email": "a@x.io",
        "last_name": "L",
        "phone": None,
    }


def test_the_first_value_of_two_paths_counts() -> None:
    """A later path fills what an earlier one left empty."""
    assert read({"nach": "L", "mail": "", "alt": {"mail": "b@x.io"}}).fields["email"] == "b@x.io"
    both = read({"nach": "L", "mail": "a@x.io", "alt": {"mail": "b@x.io"}})
    assert both.fields["email"] == "a@x.io"


def test_every_broken_rule_is_told() -> None:
    """Fields concerned are left out, the others stay."""
    record = read({"mail": "x", "person": {"phone": "12345"}})
    assert record.fields == {"phone": "12345"}
    assert rules(record) == [("event.payload.mail", "format.email"), ("event.payload.last_name", "required")]


def test_a_required_field_that_is_broken_is_told_once() -> None:
    """Broken is not missing, whatever the source calls the field."""
    assert rules(read({"mail": "a@x.io", "nach": "too long"})) == [("event.payload.nach", "chars_max")]


def test_one_of_a_group_is_needed() -> None:
    """Without any of them nobody could be found again."""
    assert rules(read({"nach": "L"})) == [("event.payload", "require_any")]


def test_a_secret_is_never_shown() -> None:
    """The violation of a secret field hides the value."""
    (violation,) = read({"nach": "L", "mail": "a@x.io", "pin": "hunter2"}).violations
    assert (violation.rule, violation.value) == ("type.integer", "")


def test_unknown_sources_and_objects_are_refused() -> None:
    """What the policy does not name is not read."""
    assert rules(read({}, "unheard")) == [("event.source", "known_source")]
    assert rules(canonicalise(DOCUMENT, "site", "deal", {})) == [("event.object", "mapped_object")]
