"""Whatever policy, mappings and records are: nothing outside the scopes leaves, nothing unreadable is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import event

from headwater.connectors.base import Found
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.delivering import (
    Send,
    Settled,
    adopt_found,
    known_after,
    plan_delivery,
    seen_empty,
    to_read,
    to_target,
)
from headwater.sync.domain.doubting import looked_up
from headwater.sync.domain.polling import poll_plans
from headwater.sync.domain.reading import RecordReading, read_event

NAMES: Final = ("f0", "f1", "f2", "f3", "f4")
CLASSES: Final = ("public", "internal", "personal", "secret")
ACCESS: Final = st.sampled_from(
    [["read"], ["write"], ["write_if_empty"], ["never"], ["read", "write"], ["read", "write_if_empty"]]
)
SCOPES: Final = st.fixed_dictionaries(
    {
        "classes": st.dictionaries(st.sampled_from(CLASSES), ACCESS, max_size=3),
        "objects": st.fixed_dictionaries(
            {
                "contact": st.fixed_dictionaries(
                    {
                        "access": st.none() | ACCESS,
                        "classes": st.dictionaries(st.sampled_from(CLASSES), ACCESS, max_size=2),
                        "fields": st.dictionaries(st.sampled_from(NAMES), ACCESS, max_size=3),
                    }
                )
            }
        ),
    }
)


def allowed(scopes: Mapping[str, Any], field: str, field_class: str) -> frozenset[str]:
    """Return the words that count for a field, worked out from the documented order, word by word."""
    part = scopes["objects"]["contact"]
    if field in part["fields"]:
        return frozenset(part["fields"][field])
    named = [lines[field_class] for lines in (scopes["classes"], part["classes"]) if field_class in lines]
    lines = [*named, *([part["access"]] if part["access"] is not None else [])]
    may_read = all("read" in line for line in lines)
    may_fill = all("write" in line or "write_if_empty" in line for line in lines)
    may_write = all("write" in line for line in lines)
    if field_class == "secret" and not named:
        may_fill = may_write = False
    words = {
        *(["read"] if may_read else []),
        *(["write"] if may_write else ["write_if_empty"] if may_fill else []),
    }
    return frozenset(words)


def document(
    classes: list[str], scopes: Mapping[str, Any], written: Mapping[str, str], read: Mapping[str, str]
) -> PolicyDocument:
    """Return a policy of one CRM, read and written, however its scopes contradict its mappings."""
    who = {"owner": "ops", "backup": "it", "runbook": "docs"}
    fields = {
        name: {"type": "text", "owners": ["crm"], "rule": "most_recent", "class": one}
        for name, one in zip(NAMES, classes, strict=True)
    }
    target = {
        "target": "contacts", "external_id": "key", "direction": "two_way", "conflict": "policy",
        "fields": {crm: {"field": name} for crm, name in written.items()},
        "end_marks": {"state": "state"},
    }  # fmt: skip
    return PolicyDocument.model_validate(
        {
            "format": "headwater/v1", "version": "1",
            "systems": {"crm": {"layer": "record", **who, "inbound": {"contact": {"fields": dict(read)}}}},
            "objects": {"contact": {"fields": fields}},
            "connectors": {
                "crm": {
                    "vendor": "hubspot", "system": "crm", "base_url": "https://crm.example.com",
                    "credentials": "env:CRM", **who, "limits": {"window": {"calls": 1, "window_s": 1}},
                    "scopes": scopes, "objects": {"contact": [target]},
                }
            },
        }
    )  # fmt: skip


MAPPED = st.dictionaries(st.sampled_from(["A", "B", "C", "D", "E", "F"]), st.sampled_from(NAMES), max_size=6)
VALUES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["v1", "v2", "", None]), max_size=5)
HELD = st.dictionaries(
    st.sampled_from(["A", "B", "C", "D", "E", "F"]), st.sampled_from(["v1", "x", ""]), max_size=6
)
POLICIES = st.tuples(st.lists(st.sampled_from(CLASSES), min_size=5, max_size=5), SCOPES, MAPPED, MAPPED)


@given(POLICIES, VALUES, HELD, st.none() | HELD, st.sampled_from(["", "7"]))
def test_nothing_leaves_that_no_scope_lets_be_written(
    policy: tuple[Any, Any, Any, Any],
    values: dict[str, Any],
    known: dict[str, Any],
    shown: dict[str, Any] | None,
    crm_id: str,
) -> None:
    """What is written is allowed; what is only filled goes where the CRM was just seen to hold nothing."""
    classes, scopes, written, _read = policy
    found = document(*policy)
    connector = found.connectors["crm"]
    outbound = connector.objects["contact"][0]
    item = claimed(connector="crm", values=values, known=known, crm_id=crm_id, crm_object="contacts")
    if shown is not None:
        item = seen_empty(item, shown, outbound)
    plan = plan_delivery(connector, item, 0.0)
    assert isinstance(plan, Send | Settled)
    if not isinstance(plan, Send):
        return
    class_of = dict(zip(NAMES, classes, strict=True))
    for crm in plan.write.fields.keys() - {"state"}:
        field = written[crm]
        words = allowed(scopes, field, class_of[field])
        assert words & {"write", "write_if_empty"}, (crm, field, words)
        if "write_if_empty" in words:
            seen = shown is not None and crm in shown
            assert known.get(crm) in (None, "") or (seen and shown[crm] in (None, ""))  # type: ignore[index]
            assert crm in plan.unsure or (seen and shown[crm] == "")  # type: ignore[index]


@given(
    POLICIES,
    st.dictionaries(st.sampled_from(["A", "B", "C", "D", "E", "F"]), st.none(), min_size=1, max_size=6),
)
def test_nothing_unreadable_is_asked_for_or_kept(
    policy: tuple[Any, Any, Any, Any], said: dict[str, None]
) -> None:
    """Not by polls, nor from events, nor from look-ups, nor from looks whether a field is empty."""
    classes, scopes, written, read = policy
    found = document(*policy)
    class_of = dict(zip(NAMES, classes, strict=True))

    def barred(field: str) -> bool:
        return "read" not in allowed(scopes, field, class_of[field])

    polled = poll_plans(found, "crm")["contacts"].polled.fields
    assert {name for name in polled if name != "key"} == {
        crm for crm, field in read.items() if not barred(field)
    }
    canaries = {crm: f"canary-{crm}" for crm in said}
    reading = read_event(found, event(1, "crm", payload=msgspec.json.encode(canaries)))
    assert isinstance(reading, RecordReading)
    allowed_values = {canaries[crm] for crm, field in read.items() if crm in canaries and not barred(field)}
    stored = repr((reading.fields, reading.raw, reading.subject.attributes))
    assert all(text not in stored for text in set(canaries.values()) - allowed_values)
    outbound = found.connectors["crm"].objects["contact"][0]
    asked = to_read(to_target("contact", outbound), outbound).fields
    assert all(name == "state" or not barred(written[name]) for name in asked)
    item = claimed(connector="crm", crm_object="contacts", crm_id="7", known={})
    shown = Found(str(item.entity_id), "7", {name: f"canary-{name}" for name in asked})
    kept = [
        adopt_found(item, shown, outbound.unread).known,
        looked_up(item, shown, outbound.unread).known,
        seen_empty(item, {name: f"canary-{name}" for name in outbound.if_empty}, outbound).known,
    ]
    for known in kept:
        assert all(name == "state" or not barred(written[name]) for name in known)


def test_a_fill_is_written_once_and_never_over_what_is_held() -> None:
    """The whole life of one field: unknown, looked at, filled, changed here, and not written again."""
    found = document(
        ["public"] * 5,
        {"objects": {"contact": {"fields": {"f0": ["read", "write_if_empty"]}}}},
        {"A": "f0"},
        {},
    )
    connector = found.connectors["crm"]
    outbound = connector.objects["contact"][0]
    item = claimed(connector="crm", values={"f0": "ours"}, crm_id="7", crm_object="contacts")
    asked = plan_delivery(connector, item, 0.0)
    assert isinstance(asked, Send)
    assert asked.unsure == {"A"}
    held = plan_delivery(connector, seen_empty(item, {"A": "theirs"}, outbound), 0.0)
    assert isinstance(held, Settled)
    assert held.rule == "scope: A is written only into an empty field, and holds a value"
    assert held.claimed.known == {"A": "theirs"}
    unknown = plan_delivery(connector, seen_empty(item, None, outbound), 0.0)
    assert isinstance(unknown, Settled)
    assert "cannot be read" in unknown.rule
    fill = plan_delivery(connector, seen_empty(item, {"A": None}, outbound), 0.0)
    assert isinstance(fill, Send)
    assert (dict(fill.write.fields), fill.unsure, fill.note) == ({"A": "ours"}, frozenset(), "")
    later = claimed(
        connector="crm",
        values={"f0": "new"},
        crm_id="7",
        crm_object="contacts",
        known=known_after(item, fill.write),
    )
    assert isinstance(plan_delivery(connector, later, 0.0), Settled)
