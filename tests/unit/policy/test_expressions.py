"""Expressions of the policy: a value in, a value out; what they cannot do is told, and nothing of it runs for long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.policy.contract import compile_contract
from headwater.policy.document import PolicyDocument
from headwater.policy.expressions import (
    TEXT_CHARS_MAX,
    ExpressionFailed,
    evaluate,
    expression_fault,
)
from headwater.policy.inbound import canonicalise
from headwater.policy.outbound import Unwritable, _render
from headwater.policy.outbound_mapping import OutboundField

PEOPLE = {"owner": "a", "backup": "b", "runbook": "docs/c"}


@pytest.mark.parametrize(
    ("source", "value", "wanted"),
    [
        ("value.trim()", " x ", "x"),
        ("value.split(',')[0].trim().upperAscii()", " ada , b", "ADA"),
        ("value == 'n/a' ? null : value", "n/a", None),
        ("double(value) * 1000.0", "2.5", 2500.0),
        ("value.startsWith('+') ? value : '+49 ' + value", "30 123", "+49 30 123"),
        ("value.matches('^[0-9]+$') ? int(value) : 0", "12", 12),
        ("value in ['a', 'b']", "b", True),
        ("value.split(';')", "a;b", ["a", "b"]),
        ("value.replace('-', ' ').substring(0, 3)", "a-bcd", "a b"),
    ],
)
def test_an_expression_makes_a_value_of_a_value(source: str, value: Any, wanted: Any) -> None:
    """With the operators of CEL and the functions of texts."""
    assert expression_fault(source) == ""
    assert evaluate(source, value) == wanted


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "does not parse"),
        ("value +", "1:8"),
        ("email.trim()", "'email'"),
        ("value.trm()", "'trm'"),
        ("value.split(',').map(x, x)", "comprehension"),
        ("[1, 2].exists(value, value > 1)", "comprehension"),
        ("value + '" + "x" * 600 + "'", "more than 512"),
        ("(" * 250 + "value" + ")" * 250, "does not parse"),
    ],
)
def test_what_is_no_usable_expression_is_told(source: str, told: str) -> None:
    """Where it ends to make sense, what it names, or that it would not end soon."""
    assert told in expression_fault(source)


def test_words_in_a_text_are_no_comprehension() -> None:
    """What stands in quotes is a text."""
    assert expression_fault("value + '.map(x)'") == ""


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("value + 1", "x"),
        ("1 / value", 0),
        ("{'a': 'b'}[value]", "z"),
        ("value.split(',')[3]", "a"),
        ("timestamp(value)", "2026-01-01T00:00:00Z"),
        ("value.replace('', 'xxxxxxxxxxxxxxxx').replace('', 'xxxxxxxxxxxxxxxx')", "a" * 1000),
        ("value.split('').join(value)", "a" * 1000),
    ],
)
def test_an_expression_that_makes_nothing_says_so(source: str, value: Any) -> None:
    """Types that do not fit, places that are not there, texts beyond bounds: one error, always of one kind."""
    assert expression_fault(source) == ""
    with pytest.raises(ExpressionFailed):
        evaluate(source, value)


@given(
    st.one_of(
        st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.dictionaries(st.text(), st.text())
    )
)
def test_no_value_brings_an_expression_down(value: Any) -> None:
    """Whatever a payload holds: a value of the canonical kinds, or the one error."""
    for source in ("value.trim()", "value + 'x'", "size(value) > 3", "value"):
        try:
            found = evaluate(source, value)
        except ExpressionFailed:
            continue
        assert found is None or isinstance(found, (str, int, float, bool, list))
        assert not isinstance(found, str) or len(found) <= TEXT_CHARS_MAX + 1


def document(expr: str) -> PolicyDocument:
    """Return a policy that reads one field by an expression."""
    field = {"type": "phone", "owners": ["crm"], "rule": "most_recent"}
    inbound = {"contact": {"fields": {"tel": {"field": "phone", "expr": expr}}}}
    return PolicyDocument.model_validate(
        {
            "format": "headwater/v1", "version": "1",
            "systems": {"crm": {**PEOPLE, "layer": "record", "inbound": inbound}},
            "objects": {"contact": {"fields": {"phone": field}}},
        }
    )  # fmt: skip


def test_a_source_is_read_by_its_expression() -> None:
    """Before the type's own rules; what it makes nothing of is a violation with field, value and rule."""
    policy = document("value.split('/')[1].trim()")
    assert canonicalise(policy, "crm", "contact", {"tel": "work / +49 30 1234567"}).fields == {
        "phone": "+49 30 1234567"
    }
    assert canonicalise(policy, "crm", "contact", {"tel": None}).fields == {"phone": None}
    (broken,) = canonicalise(policy, "crm", "contact", {"tel": "home"}).violations
    assert (broken.field, broken.value, broken.rule) == ("event.payload.tel", "home", "expression")


def test_the_compiled_contract_goes_by_the_expression_too() -> None:
    """What it lets through is what the projector can read."""
    keeps = compile_contract(document("value.split('/')[1].trim()"), "crm", "contact")
    assert keeps is not None
    assert keeps({"tel": "work / +49 30 1234567"})
    assert not keeps({"tel": "+49 30 1234567"})


def test_a_crm_is_written_by_its_expression() -> None:
    """In place of a transform; what it makes nothing of is told with field, value and rule."""
    item = OutboundField(field="title", expr="value.substring(0, 3).upperAscii()")
    assert _render(item, {"title": "manager"}) == "MAN"
    assert _render(item, {}) is None
    with pytest.raises(Unwritable, match=r"title: expression .* makes nothing of 'x'"):
        _render(OutboundField(field="title", expr="int(value)"), {"title": "x"})
