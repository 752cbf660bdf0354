"""Operators' corrections at the door: only by who may, groups whole, a lock with the value that it holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.policy.two_crms import two_crms

from headwater.kernel.ids import OPERATOR_SOURCE
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise

DOCUMENT = two_crms()


def broken(
    payload: dict[str, Any], actor: str = "dana", document: PolicyDocument = DOCUMENT
) -> set[tuple[str, str]]:
    """Return field and rule of everything that a correction is refused for."""
    found = canonicalise(document, OPERATOR_SOURCE, "contact", payload, actor)
    return {(item.field.removeprefix("event.payload."), item.rule) for item in found.violations}


@pytest.mark.parametrize(
    ("payload", "refused"),
    [
        ({"company": "Acme"}, set()),
        ({"hubspot_lead_score": 9}, {("hubspot_lead_score", "override")}),
        ({"company": "Acme", "hubspot_lead_score": None}, {("hubspot_lead_score", "override")}),
        ({"street": "Main St 5"}, {("street", "group_whole")}),
        ({"street": "Main St 5", "city": None}, set()),
        ({"street": None, "city": None}, set()),
        ({"phone_verified": True}, {("phone_verified", "lock_states_value")}),
        ({"phone_verified": True, "phone": None}, {("phone_verified", "lock_states_value")}),
        ({"phone_verified": True, "phone": "+49 30 1234567"}, set()),
        ({"phone_verified": False}, set()),
    ],
)
def test_a_correction_is_refused_by_its_rule(payload: dict[str, Any], refused: set[tuple[str, str]]) -> None:
    """What nobody may correct, half a group, a lock that would hold nothing; everything else counts."""
    assert broken(payload) == refused


def test_what_is_refused_is_not_read_and_the_rest_is() -> None:
    """The projector leaves out the same fields as the door."""
    payload = {"company": "Acme", "hubspot_lead_score": 9, "street": "x"}
    found = canonicalise(DOCUMENT, OPERATOR_SOURCE, "contact", payload, "dana")
    assert found.fields == {"company": "Acme"}


def test_only_those_named_may_correct() -> None:
    """By name under the document's override, or the field's own."""
    data = DOCUMENT.as_json()
    data["override"] = ["dana"]
    data["objects"]["contact"]["fields"]["company"]["override"] = ["robin"]
    document = PolicyDocument.model_validate(data)
    assert broken({"title": "x"}, "dana", document) == set()
    assert broken({"title": "x"}, "robin", document) == {("title", "override")}
    assert broken({"company": "x"}, "dana", document) == {("company", "override")}
    assert broken({"company": "x"}, "robin", document) == set()
