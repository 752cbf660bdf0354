"""The compiled contract says yes only where the full reading finds nothing, and says it of usual records."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.policy.contract import compile_contract
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_policy

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
SAMPLE = load_policy((ROOT / "services/headwater/samples/policy.yaml").read_text())
TYPES = [
    "text", "email", "phone", "url", "date", "datetime", "number", "integer", "boolean", "picklist",
    "participants",
]  # fmt: skip
NAMES = ["a", "b", "c", "d"]
PATHS = ["a", "b", "c", "d", "n.a", "n.b", "n.m.c", "x.y"]
USUAL: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, "", " ", "red", "blue", " red", "Ada Lovelace", "ada@x.io", "ada@x-y.io", "ada@-x.io", "ada@x",
        "+4930123456", "0301 234-56", "123", "x.io", "x io.", "2026-02-28", "2026-02-30", "2026-02-29T1",
        "20260228", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123+02:00", "2026-01-31T25:00:00Z", "5", "5.5",
        "1e3", "-0", "nan", 0, 7, 10**20, -3.5, 1e300, True, False, "true", "YES", "n/a", [], {}, "x" * 9,
        [{"address": "a"}], [{"address": 5}], ["a"], "12345678901234567", "1", "no", "\u00b2\u00b2345", "\n",
    ]
)  # fmt: skip
PAYLOADS = st.dictionaries(
    st.sampled_from([*NAMES, "n.a", "x.y"]), USUAL | st.text(max_size=6), max_size=6
) | st.builds(
    lambda flat, inner, deep: {**flat, "n": {**inner, "m": deep}},
    st.dictionaries(st.sampled_from(NAMES), USUAL, max_size=4),
    st.dictionaries(st.sampled_from(["a", "b"]), USUAL, max_size=2),
    USUAL | st.dictionaries(st.just("c"), USUAL),
)


@st.composite
def _policies(draw: st.DrawFn) -> PolicyDocument:
    fields: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        kind = draw(st.sampled_from(TYPES))
        item: dict[str, Any] = {"type": kind, "owners": ["s"], "rule": "first"}
        item["required"] = draw(st.booleans())
        item["chars_max"] = draw(st.sampled_from([1, 8, 10, 20, 1024]))
        if kind == "picklist" or draw(st.integers(0, 5)) == 0:
            item["allowed"] = draw(st.lists(st.sampled_from(["red", "blue", "ada@x.io", "5"]), min_size=1))
        if kind in {"number", "integer", "date", "datetime"} and draw(st.booleans()):
            item["min"] = draw(st.sampled_from([-1, 3, 2026]))
        fields[name] = item
    readings: dict[str, Any] = {}
    for path in draw(st.lists(st.sampled_from(PATHS), unique=True, min_size=1)):
        reading: dict[str, Any] = {"field": draw(st.sampled_from(list(fields)))}
        if draw(st.integers(0, 3)) == 0:
            reading["values"] = draw(
                st.sampled_from([{"n/a": ""}, {"red": "blue"}, {"blue": "zzz", "5": "x"}])
            )
        readings[path] = reading
    groups = draw(st.lists(st.lists(st.sampled_from(list(fields)), min_size=1, max_size=3), max_size=2))
    system = {
        "layer": "record", "owner": "o", "backup": "b", "runbook": "r",
        "inbound": {"contact": {"fields": readings}},
    }  # fmt: skip
    return PolicyDocument.model_validate(
        {
            "format": "headwater/v1", "version": "1", "systems": {"s": system},
            "objects": {"contact": {"fields": fields, "require_any": groups}},
        }
    )  # fmt: skip


@given(_policies(), st.lists(PAYLOADS, min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_what_the_compiled_contract_passes_has_no_violation(
    policy: PolicyDocument, payloads: list[dict[str, Any]]
) -> None:
    """Over policies and payloads of every kind."""
    keeps = compile_contract(policy, "s", "contact")
    for payload in payloads:
        if keeps is not None and keeps(payload):
            assert canonicalise(policy, "s", "contact", payload).violations == ()


EDGES: list[Any] = [
    None, "", " ", "ada@x.io", "ada@-x.io", "a" * 65 + "@x.io", "+4930123456", "1234", "1" * 18, "x.io", ".", "x",
    "2026-02-28", "2026-02-29", "2026-02-30", "2026-04-31", "2026-13-01", "2026-00-10", "2024-02-29", "1899-12-31",
    "2026-02-30T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z", "2026-01-31T12:00:00.1234567Z",
    "2026-01-31T12:00:00+12:59", "1000-01-01T00:00:00+12:00", "9999-12-31T00:00:00Z", "5", "-5.5", "5.", ".5", "1e3",
    "inf", 0, 10**16, 10**400, 1.5, True, "yes", "No", 1, [], {}, [{"address": "a"}], [{}], "red", "Red", "x" * 11,
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "more", [{}, {"required": True}, {"chars_max": 10}, {"allowed": ["red", "5", "ada@x.io"]}]
)
def test_at_the_edges_of_each_type_it_never_passes_a_violation(kind: str, more: dict[str, Any]) -> None:
    """Days that no month has, hours past midnight, one character too many."""
    field = {"type": kind, "owners": ["s"], "rule": "first", **more}
    policy = _document({"a": field})
    keeps = compile_contract(policy, "s", "contact")
    assert keeps is not None
    passed = [raw for raw in EDGES if keeps({"a": raw})]
    broken = [raw for raw in passed if canonicalise(policy, "s", "contact", {"a": raw}).violations]
    assert broken == []


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.lists(
            st.sampled_from(["ada@x-y.io", "+49 30 901", "x.io", "2026-02-28", "", " ", "\n"]), max_size=4
        ).map("".join)
        | st.none(),
    )
)
@example({"a": "ada@x.io\n+4930123456", "c": "x.io"})
@example({"a": "ada@x.io", "b": "+4930123456\nx.io"})
def test_texts_matched_together_do_not_stand_in_for_one_another(payload: dict[str, Any]) -> None:
    """Line ends inside a text, blanks and nulls: what one field lacks no other one makes up for."""
    kinds = {"a": "email", "b": "phone", "c": "url", "d": "date"}
    fields = {
        name: {"type": kind, "owners": ["s"], "rule": "first", "required": name == "a"}
        for name, kind in kinds.items()
    }
    policy = _document(fields)
    keeps = compile_contract(policy, "s", "contact")
    assert keeps is not None
    if keeps(payload):
        assert canonicalise(policy, "s", "contact", payload).violations == ()


CONTACT = {
    "email": "ada@x.io",
    "first_name": "Ada",
    "last_name": "L",
    "phone": "+4930123456",
    "website": "x.io",
}


@given(
    st.dictionaries(st.sampled_from(list(SAMPLE.objects["contact"].fields)), USUAL | st.text(), max_size=8)
)
@example(CONTACT)
@settings(deadline=None)
def test_of_the_sample_policy_it_never_passes_a_violation(payload: dict[str, Any]) -> None:
    """The policy that ships."""
    keeps = compile_contract(SAMPLE, "hubspot", "contact")
    assert keeps is not None
    if keeps(payload):
        assert not canonicalise(SAMPLE, "hubspot", "contact", payload).violations


def test_usual_records_need_no_closer_look() -> None:
    """Every valid record of the sample data passes at once, else the short way would be no way."""
    judged = [
        (keeps(row), not canonicalise(SAMPLE, "crm_sales", name, row).violations)
        for name, keeps, row in _sample_rows()
    ]
    assert len(judged) > 8_000
    assert all(passed == valid for passed, valid in judged)
    keeps = compile_contract(SAMPLE, "hubspot", "contact")
    assert keeps is not None
    assert keeps(CONTACT)


def _sample_rows() -> Iterator[tuple[Any, Any, dict[str, str]]]:
    data = next(p / "shared/data/crm_sales" for p in ROOT.parents if (p / "shared/data/crm_sales").exists())
    for name, file in (("account", "accounts.csv"), ("deal", "sales_pipeline.csv")):
        keeps = compile_contract(SAMPLE, "crm_sales", name)  # type: ignore[arg-type] # both are objects
        with (data / file).open(newline="") as lines:
            for row in csv.DictReader(lines):
                yield name, keeps, dict(row)


@pytest.mark.parametrize(
    ("field", "raw", "rule"),
    [
        ({"type": "number", "min": 1, "max": 10}, 11, "max"),
        ({"type": "number", "min": 1, "max": 10}, "0.5", "min"),
        ({"type": "date", "min": 1990}, "1989-12-31", "min"),
        ({"type": "phone", "format": "e164"}, "030 1234567", "format.e164"),
        ({"type": "text", "format": "postal"}, "!", "format.postal"),
        ({"type": "email", "refuse_personal_mail": True}, "ada@gmail.com", "personal_mail"),
        ({"type": "text", "format": "country"}, "Wonderland", "format.country"),
    ],
)
def test_a_narrower_field_names_its_rule(field: dict[str, Any], raw: Any, rule: str) -> None:
    """Range, format and private mail, each by name, in both ways of reading."""
    policy = _document({"a": {**field, "owners": ["s"], "rule": "first"}})
    keeps = compile_contract(policy, "s", "contact")
    assert [item.rule for item in canonicalise(policy, "s", "contact", {"a": raw}).violations] == [rule]
    assert keeps is not None
    assert not keeps({"a": raw})


@pytest.mark.parametrize(
    ("record", "rules"),
    [
        ({"state": "New York", "country": "United States", "zip": "10001"}, []),
        ({"state": "NY", "country": "US"}, []),
        ({"state": "Bavaria", "country": "US"}, ["consistent.state"]),
        ({"state": "Bavaria", "country": "US", "zip": "SW1A 1AA"}, ["consistent.state", "consistent.postal"]),
        ({"zip": "10115", "country": "de"}, []),
        ({"state": "Bavaria"}, []),
    ],
)
def test_fields_that_contradict_each_other_are_named(record: dict[str, str], rules: list[str]) -> None:
    """A state or a postal code that its country does not have."""
    text = {"type": "text", "owners": ["s"], "rule": "first"}
    fields = {"state": {**text, "format": "state"}, "zip": {**text, "format": "postal"},
              "country": {**text, "format": "country"}}  # fmt: skip
    policy = _document(fields, consistent=[["state", "country"], ["zip", "country"]])
    keeps = compile_contract(policy, "s", "contact")
    assert [item.rule for item in canonicalise(policy, "s", "contact", record).violations] == rules
    assert keeps is not None
    assert keeps(record) == (not rules)


def _document(fields: dict[str, Any], **more: Any) -> PolicyDocument:
    system = {
        "layer": "record", "owner": "o", "backup": "b", "runbook": "r",
        "inbound": {"contact": {"fields": {name: name for name in fields}}},
    }  # fmt: skip
    return PolicyDocument.model_validate(
        {
            "format": "headwater/v1", "version": "1", "systems": {"s": system},
            "objects": {"contact": {"fields": fields, **more}},
        }
    )  # fmt: skip
