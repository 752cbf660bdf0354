"""HubSpot's requests and answers: matched by id whatever the order, refusals attributed to their records."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connectors.scripted import CONTACTS

from headwater.connectors.base import ErrorClass, Failed, VendorError, Write, Written
from headwater.connectors.hubspot import wire

ITEM = st.sampled_from(["created", "updated", "refused by id", "refused by trace", "silent"])


def answer_to(writes: list[Write], fates: list[str], seed: int) -> dict[str, Any]:
    """Return a 207 of HubSpot's shape in a random order."""
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for number, (write, fate) in enumerate(zip(writes, fates, strict=True)):
        if fate in {"created", "updated"}:
            properties = {} if write.crm_id else {"headwater_id": write.external_id}
            results.append(
                {"id": write.crm_id or f"9{number}", "properties": properties, "new": fate == "created"}
            )
        elif fate != "silent":
            key = (
                {"ids": [write.crm_id or write.external_id]}
                if fate == "refused by id"
                else {"objectWriteTraceId": [write.external_id]}
            )
            errors.append(
                {"status": "error", "category": "VALIDATION_ERROR", "message": "no", "context": key}
            )
    chance = random.Random(seed)
    chance.shuffle(results)
    chance.shuffle(errors)
    return {"status": "COMPLETE", "results": results, "errors": errors, "numErrors": len(errors)}


@given(st.lists(ITEM, min_size=1, max_size=30), st.booleans(), st.integers(0, 999))
def test_read_outcomes_matches_by_id_in_any_order(fates: list[str], by_crm_id: bool, seed: int) -> None:  # noqa: FBT001
    """Any subset may fail or be left out, in any order: each outcome belongs to its own record."""
    writes = [
        Write(f"ext-{number}", f"5{number:03}" if by_crm_id else "", {}) for number in range(len(fates))
    ]
    outcomes = wire.read_outcomes(answer_to(writes, fates, seed), CONTACTS, writes)
    for number, (write, fate) in enumerate(zip(writes, fates, strict=True)):
        outcome = outcomes.get(write.external_id)
        if fate == "silent":
            assert outcome is None
        elif fate in {"created", "updated"}:
            assert outcome == Written(write.crm_id or f"9{number}", created=fate == "created")
        else:
            assert isinstance(outcome, Failed)
            assert outcome.error.error_class is ErrorClass.VALIDATION


def test_read_outcomes_gives_the_only_nameless_error_to_the_only_silent_record() -> None:
    """One record without result and one error without name can only belong together."""
    writes = [Write("a", "", {}), Write("b", "", {})]
    body = {
        "results": [{"id": "1", "properties": {"headwater_id": "a"}, "new": True}],
        "errors": [
            {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 77", "context": {}}
        ],
    }
    lost = wire.read_outcomes(body, CONTACTS, writes)["b"]
    assert isinstance(lost, Failed)
    assert (lost.error.error_class, lost.error.existing_crm_id) == (ErrorClass.CONFLICT, "77")


def test_read_outcomes_leaves_nameless_errors_open_when_several_records_are_silent() -> None:
    """Nothing is guessed: the caller asks again with fewer records."""
    writes = [Write("a", "", {}), Write("b", "", {})]
    body = {"results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "no"}]}
    assert wire.read_outcomes(body, CONTACTS, writes) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5000.0, "5000"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (["a", "b"], "a;b"),
        ("ä", "ä"),
    ],
)
def test_render_gives_text_as_hubspot_wants(value: Any, expected: str) -> None:
    """Every value goes out as text; None clears."""
    assert wire.render(value) == expected


@given(st.one_of(st.none(), st.booleans(), st.integers(-(10**15), 10**15), st.floats(-1e12, 1e12)))
def test_typed_undoes_render(value: Any) -> None:
    """What is read back equals what was written, so that a comparison finds no false drift."""
    kind = "bool" if isinstance(value, bool) else "number"
    assert wire.typed(wire.render(value), kind) == value


def test_upsert_request_names_id_property_and_trace() -> None:
    """The external id is the upsert's key and the trace of its outcome; values are text."""
    request = wire.upsert_request(
        CONTACTS, [Write("e-1", "", {"email": "a@b.example", "age": 3, "fax": None})]
    )
    assert request.path == "/crm/v3/objects/contacts/batch/upsert"
    assert request.body == {
        "inputs": [
            {
                "idProperty": "headwater_id",
                "id": "e-1",
                "objectWriteTraceId": "e-1",
                "properties": {"email": "a@b.example", "age": "3", "fax": ""},
            }
        ]
    }


def test_update_request_claims_the_record() -> None:
    """An adopted record gets the external id with its first update."""
    body = wire.update_request(CONTACTS, [Write("e-1", "77", {"firstname": "A"})]).body
    assert body["inputs"][0]["id"] == "77"
    assert body["inputs"][0]["properties"] == {"firstname": "A", "headwater_id": "e-1"}


def test_concerned_names_the_holders_of_an_unknown_property() -> None:
    """A record that does not write the property is not to blame."""
    writes = [Write("a", "", {"foo": "1"}), Write("b", "", {"email": "x@y.example"})]
    error = VendorError(ErrorClass.FORMAT, "PROPERTY_DOESNT_EXIST", "no", field="foo")
    assert wire.concerned(error, {}, writes) == ["a"]


def test_concerned_believes_a_quoted_value_only_when_one_record_holds_it() -> None:
    """A message that quotes one record's value names it; an ambiguous one names nobody."""
    error = VendorError(
        ErrorClass.VALIDATION, "INVALID_EMAIL", "Email address broken@ is invalid", field="email"
    )
    one = [Write("a", "", {"email": "broken@"}), Write("b", "", {"email": "fine@y.example"})]
    two = [*one, Write("c", "", {"email": "broken@"})]
    assert wire.concerned(error, {}, one) == ["a"]
    assert wire.concerned(error, {}, two) == ()


def test_read_associated_fails_the_pair_whose_end_is_named() -> None:
    """An error names an end; the other pairs are confirmed by the results, either way round."""
    pairs = [wire.Pair("a", "1", "10"), wire.Pair("b", "2", "20"), wire.Pair("c", "3", "30")]
    body = {
        "results": [{"from": {"id": "1"}, "to": {"id": "10"}}, {"from": {"id": "30"}, "to": {"id": "3"}}],
        "errors": [
            {"category": "OBJECT_NOT_FOUND", "message": "No COMPANY", "context": {"toObjectId": ["20"]}}
        ],
    }
    outcomes = wire.read_associated(body, pairs)
    assert [isinstance(outcomes[pair], Written) for pair in pairs] == [True, False, True]
    lost = outcomes[pairs[1]]
    assert isinstance(lost, Failed)
    assert lost.error.error_class is ErrorClass.REFERENCE
