"""The oracles of the kill tests pass a sound history and each fails on the fault it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.system.chaos.history import (
    Arrival,
    Audit,
    CrmRecord,
    Delivery,
    History,
    Logged,
    Projection,
)
from tests.system.chaos.journal import Answer, Journal, Place, Sent
from tests.system.chaos.oracles import judge

from headwater.policy.outbound_mapping import OutboundObject

ADA, FIRM = Place("erp", "contact", "c1"), Place("erp", "account", "a1")
VENDOR = "salesforce"
CONTACT = OutboundObject.model_validate(
    {
        "target": "Contact",
        "external_id": "Headwater_Id__c",
        "fields": {"Title": {"field": "title"}},
        "references": {"AccountId": "account"},
    }
)
ACCOUNT = OutboundObject.model_validate(
    {"target": "Account", "external_id": "Headwater_Id__c", "fields": {"Name": {"field": "name"}}}
)
DEAD_HOLDER = "host:1:a"


def sent(place: Place, version: int) -> Sent:
    """Return a change."""
    return Sent(f"{place.external_id}-v{version}", place, version, version, f"v{version}".encode())


CHANGES = [sent(FIRM, 1), sent(ADA, 1), sent(ADA, 2)]


def journal() -> Journal:
    """Return a journal of three changes, one of which was asked for twice."""
    kept = Journal()
    for item in CHANGES:
        kept.asked(item)
        kept.answered(item.request_id, Answer("ACCEPTED", f"key-{item.request_id}"))
    kept.lost([CHANGES[2]], "UNAVAILABLE")
    kept.answered("c1-v2", Answer("DUPLICATE", "key-c1-v2"))
    return kept


def contact_write(sequence: int, effect: str, **changes: list[Any]) -> Arrival:
    """Return a write of the contact."""
    return Arrival(sequence, VENDOR, "Contact", "ada", "003", effect, changes)


def history() -> History:
    """Return what is left when all went well."""
    return History(
        log=[
            Logged(item.request_id, f"key-{item.request_id}", item.place, item.event_time_us, item.payload)
            for item in CHANGES
        ],
        projections=[Projection(f"key-{item.request_id}") for item in CHANGES],
        deliveries=[
            Delivery(VENDOR, "contact", "ada", 2, 2, "Contact", "003"),
            Delivery(VENDOR, "account", "firm", 2, 1, "Account", "001"),
        ],
        audit=[
            Audit(1, "firm"),
            Audit(2, "firm", VENDOR, {"Name": "Works v1"}),
            Audit(3, "ada"),
            Audit(4, "ada", VENDOR, {"Title": "Role v1"}),
            Audit(5, "ada"),
            Audit(6, "ada", VENDOR, {"Title": "Role v2"}),
        ],
        arrivals=[
            Arrival(1, VENDOR, "Account", "firm", "001", "created", {"Name": [None, "Works v1"]}),
            contact_write(2, "created", Title=[None, "Role v1"]),
            contact_write(3, "updated", Title=["Role v1", "Role v2"]),
            contact_write(4, "unchanged"),
        ],
        records=[
            CrmRecord(VENDOR, "Contact", "003", "ada", {"Title": "Role v2", "AccountId": "001"}),
            CrmRecord(VENDOR, "Account", "001", "firm", {"Name": "Works v1"}),
        ],
        entities_of={ADA: "ada", FIRM: "firm"},
        versions={"ada": 2, "firm": 1},
        values={"ada": {"title": "Role v2", "account": "firm"}, "firm": {"name": "Works v1"}},
        references={("ada", "account"): ["firm"]},
        targets={VENDOR: {"contact": CONTACT, "account": ACCOUNT}},
        version_fields={(VENDOR, "Contact"): "Title", (VENDOR, "Account"): "Name"},
        leases={"shard/0": "host:2:b"},
        holders_alive=frozenset({"host:2:b"}),
    )


def test_a_sound_history_has_no_violation() -> None:
    """Duplicates acknowledged and writes without effect are sound."""
    assert judge(journal(), history()) == []


def _with(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[History], History]:
    def spoil(sound: History) -> History:
        changed: dict[str, Any] = {name: change(list(getattr(sound, name)))}
        return replace(sound, **changed)

    return spoil


def _replaced(index: int, **changed: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [*rows[:index], replace(rows[index], **changed), *rows[index + 1 :]]


def _added(*more: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [*rows, *more]


def _without(index: int) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: rows[:index] + rows[index + 1 :]


SPOILT: dict[str, tuple[str, Callable[[History], History]]] = {
    "acknowledged event lost": ("I1 log", _with("log", _without(2))),
    "event recorded twice": ("I1 log", _with("log", lambda rows: [*rows, rows[0]])),
    "other content": ("I1 log", _with("log", _replaced(1, payload=b"v9"))),
    "other key": ("I1 log", _with("log", _replaced(1, event_key="key-other"))),
    "never sent": ("I1 log", _with("log", _added(Logged("x", "key-x", ADA, 1, b"")))),
    "never projected": ("I1 projection", _with("projections", _without(0))),
    "projected twice": ("I1 projection", _with("projections", lambda rows: [*rows, rows[0]])),
    "poisoned": ("I1 projection", _with("projections", _replaced(0, rule="poisoned", poisoned=True))),
    "projection of nothing": ("I1 projection", _with("projections", _added(Projection("key-none")))),
    "created twice": (
        "I2 records",
        _with(
            "arrivals",
            _added(Arrival(9, VENDOR, "Contact", "ada", "004", "created", {"Title": [None, "Role v2"]})),
        ),
    ),
    "two records of one entity": (
        "I2 records",
        _with(
            "records",
            _added(CrmRecord(VENDOR, "Contact", "004", "ada", {"Title": "Role v2", "AccountId": "001"})),
        ),
    ),
    "record of nobody": (
        "I2 records",
        _with("records", _added(CrmRecord(VENDOR, "Account", "009", "", {}))),
    ),
    "delivered and gone": ("I2 records", _with("records", _without(0))),
    "same effect twice": (
        "I2 effects",
        _with("arrivals", _added(contact_write(9, "updated", Title=["Role v2", "Role v2"]))),
    ),
    "backwards": (
        "I3 order",
        _with("arrivals", _added(contact_write(9, "updated", Title=["Role v2", "Role v1"]))),
    ),
    "newest missing": ("I3 order", _with("arrivals", _without(2))),
    "audit id twice": ("I6 audit", _with("audit", _replaced(0, audit_id=2))),
    "version without audit": ("I6 audit", _with("audit", _without(4))),
    "write without audit": ("I6 audit", _with("audit", _without(5))),
    "pending": ("I9 convergence", _with("deliveries", _replaced(0, state=1))),
    "dead": ("I9 convergence", _with("deliveries", _replaced(0, state=5))),
    "call under way": ("I9 convergence", _with("deliveries", _replaced(0, inflight=True))),
    "older version delivered": ("I9 convergence", _with("deliveries", _replaced(0, delivered_version=1))),
    "lease of the dead": ("I9 convergence", lambda sound: replace(sound, leases={"shard/0": DEAD_HOLDER})),
    "change unsent": ("I9 convergence", lambda sound: replace(sound, changes_unsent=1)),
    "other value": (
        "CRM state",
        _with("records", _replaced(0, fields={"Title": "Role v1", "AccountId": "001"})),
    ),
    "other reference": (
        "CRM state",
        _with("records", _replaced(0, fields={"Title": "Role v2", "AccountId": "002"})),
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_each_fault_in_what_is_left_is_found(fault: str) -> None:
    """A history with one fault is told by the oracle that is there for it."""
    oracle, spoil = SPOILT[fault]
    assert any(told.startswith(f"{oracle}:") for told in judge(journal(), spoil(history())))


@pytest.mark.parametrize(
    ("told", "violations"), [("2026-01-05T09:00:00Z", 0), (1_767_603_600_000, 0), ("2026-01-05T09:00:01Z", 1)]
)
def test_a_moment_may_be_audited_in_any_form(told: Any, violations: int) -> None:
    """As written or as a look-up reads it, but it is the same moment."""
    sound = history()
    audit = [*sound.audit[:-1], replace(sound.audit[-1], after={"Title": told})]
    shown = replace(sound.records[0], fields={**sound.records[0].fields, "Title": "2026-01-05T09:00:00.000Z"})
    found = judge(journal(), replace(sound, audit=audit, records=[shown, *sound.records[1:]]))
    assert sum(item.startswith("I6 audit:") for item in found) == violations


def test_a_key_that_was_never_answered_is_found() -> None:
    """Unknown is no end."""
    open_ended = journal()
    open_ended.asked(sent(ADA, 3))
    open_ended.lost([sent(ADA, 3)], "UNAVAILABLE")
    assert any("never settled" in told for told in judge(open_ended, history()))


def test_a_key_that_was_accepted_twice_is_found() -> None:
    """The ledger accepts a key once; afterwards it is a duplicate."""
    doubled = journal()
    doubled.answered("c1-v1", Answer("ACCEPTED", "key-c1-v1"))
    assert any("accepted more than once" in told for told in judge(doubled, history()))


def test_a_sound_event_that_was_refused_is_found() -> None:
    """The writer sends nothing that may be refused or quarantined."""
    refused = journal()
    refused.answered("c1-v1", Answer("QUARANTINED", "key-c1-v1"))
    assert any("was answered" in told for told in judge(refused, history()))
