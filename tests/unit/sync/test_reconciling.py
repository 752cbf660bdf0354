"""What counts as drift, record by record, and what is done about it."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.integration.sync.drifting import POLICY

from headwater.connectors.base import Seen
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.policy.reconciling import Reconcile
from headwater.sync.domain.delivering import REFERENCES_KEY
from headwater.sync.domain.drift_healing import HEAL_S, Kept, action_of
from headwater.sync.domain.parity_references import as_known
from headwater.sync.domain.reconciling import (
    Bound,
    Drift,
    DriftKind,
    Excluded,
    FieldDrift,
    Look,
    Ours,
    Told,
    Verdict,
    judge_absent,
    judge_present,
)
from headwater.sync.domain.settling import State
from headwater.sync.domain.sweep_plans import SweepPlan, sweep_plans

NOW: Final = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
EARLIER: Final = NOW - dt.timedelta(hours=1)
WHO: Final = uuid.UUID(int=7)
VALUES: Final = {"email": "a@example.com", "first_name": "Ann", "last_name": "Lee", "phone": "+493012345678"}


def document() -> PolicyDocument:
    """Return the policy of two accounts: HubSpot is read and written, Salesforce written."""
    words = {"URL": "http://127.0.0.1:1", "FULL": "7", "SHARE": "1", "CALLS": "100"}
    text = POLICY
    for word, value in words.items():
        text = text.replace(word, value)
    return load_policy(text)


DOCUMENT: Final = document()


def plan(vendor: str) -> SweepPlan:
    """Return what is compared of an account."""
    [only] = sweep_plans(DOCUMENT, vendor).values()
    return only


NAMES: Final = {
    "hubspot": ("email", "firstname", "lastname", "phone", "headwater_id"),
    "salesforce": ("Email", "FirstName", "LastName", "Phone", "Headwater_Id__c"),
}


def seen(vendor: str, modify_time: dt.datetime = EARLIER, **changes: Any) -> Seen:
    """Return the record as the CRM shows it; *changes* by canonical name."""
    values = [*{**VALUES, **changes}.values(), str(WHO)]
    return Seen("1", modify_time, dict(zip(NAMES[vendor], values, strict=True)))


def bound(vendor: str, **changes: Any) -> Bound:
    """Return the record as its delivery holds it: at rest, since long."""
    known = dict(zip(NAMES[vendor], VALUES.values(), strict=False))
    held = Bound(WHO, "contact", State.DELIVERED, known, VALUES, "active", "", 3, EARLIER)
    return replace(held, **changes)


def judged(vendor: str, shown: Seen, ours: Ours, lag_s: float = 0.0) -> Verdict:
    """Compare one record."""
    return judge_present(DOCUMENT, plan(vendor), shown, ours, Look(NOW, lag_s))


def kind_of(verdict: Verdict) -> str:
    """Return the kind of drift, why nothing was compared, or nothing."""
    if verdict.drift is not None:
        return verdict.drift.kind.value
    return verdict.excluded.value if verdict.excluded else ""


@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_a_record_that_holds_what_it_should_agrees(vendor: str) -> None:
    """Also where the CRM writes a phone or an address in a form of its own."""
    ours = Ours({"1": bound(vendor)})
    assert kind_of(judged(vendor, seen(vendor), ours)) == ""
    assert kind_of(judged(vendor, seen(vendor, phone="+49 30 12345678", email="A@Example.com"), ours)) == ""


def test_a_field_that_only_we_write_is_drift_wherever_it_differs() -> None:
    """It is told with what it should be and what it is; a value that is gone differs, too."""
    verdict = judged(
        "salesforce", seen("salesforce", last_name="Other", phone=None), Ours({"1": bound("salesforce")})
    )
    assert verdict.drift is not None
    assert verdict.drift.kind is DriftKind.FIELD
    assert [(one.field, one.expected, one.found) for one in verdict.drift.fields] == [
        ("LastName", "Lee", "Other"),
        ("Phone", "+493012345678", None),
    ]
    assert verdict.compared == ("Email", "FirstName", "LastName", "Phone")


REFERRING: Final = (
    sweep_plans(DOCUMENT, "salesforce")["Contact"]
    .written["contact"]
    .model_copy(update={"references": {"AccountId": "phone"}})
)
"""The mapping with a reference: that the field is none does not matter to who compares."""


def refers(given: list[str], shown: str | None, **changes: Any) -> Verdict:
    """Compare a record that was given references with what it shows."""
    whole = replace(plan("salesforce"), written={"contact": REFERRING}, **changes)
    held = bound("salesforce")
    known = {**held.known, REFERENCES_KEY: {"AccountId": given}}
    there = seen("salesforce")
    there = replace(there, fields={**there.fields, "AccountId": shown})
    return judge_present(DOCUMENT, whole, there, Ours({"1": replace(held, known=known)}), Look(NOW, 0.0))


def test_a_reference_that_only_we_write_is_to_point_where_we_pointed_it() -> None:
    """One that points elsewhere or nowhere is drift; one that the CRM tells us of, or that we never wrote, is not ours."""
    assert kind_of(refers(["001A"], "001A")) == ""
    for shown in ("001B", None):
        verdict = refers(["001A"], shown)
        assert verdict.drift is not None
        assert verdict.drift.kind is DriftKind.FIELD
        assert verdict.drift.fields == (FieldDrift("AccountId", "001A", shown),)
    assert kind_of(refers([], "001B")) == ""
    assert kind_of(refers(["001A"], "001B", polled_fields=("AccountId",))) == ""
    assert kind_of(refers(["001A"], "001B", critical={"contact": frozenset({"email"})})) == ""
    ended = replace(
        bound("salesforce"), entity_state="deleted", known={REFERENCES_KEY: {"AccountId": ["001A"]}}
    )
    whole = replace(plan("salesforce"), written={"contact": REFERRING})
    there = replace(seen("salesforce"), fields={**seen("salesforce").fields, "AccountId": "001B"})
    assert kind_of(judge_present(DOCUMENT, whole, there, Ours({"1": ended}), Look(NOW, 0.0))) == ""


def test_what_a_reference_was_seen_to_be_is_what_is_known_of_it() -> None:
    """So that bringing it about again is no repetition; one that points nowhere is known to be none."""
    assert as_known((), {"Phone": "1"}) == {"Phone": "1"}
    assert as_known(("AccountId",), {"Phone": "1", "AccountId": "001B"}) == {
        "Phone": "1", REFERENCES_KEY: {"AccountId": ["001B"]},
    }  # fmt: skip
    assert as_known(("AccountId", "OwnerId"), {"AccountId": None}) == {REFERENCES_KEY: {"AccountId": []}}


def test_what_a_crm_shows_and_never_told_is_stale_and_what_it_told_is_not() -> None:
    """A person's change that a poll has brought agrees with what was told, not with what was written."""
    changed = seen("hubspot", last_name="Other")
    assert kind_of(judged("hubspot", changed, Ours({"1": bound("hubspot")}))) == "stale"
    told = Told(WHO, {"last_name": "Other"}, deleted=False, newest_time=EARLIER)
    ours = Ours({"1": bound("hubspot", values={**VALUES, "last_name": "Other"})}, {"1": told})
    assert kind_of(judged("hubspot", changed, ours)) == ""


def test_two_who_insist_are_told_apart_from_what_was_never_written() -> None:
    """A told value that the policy overrules: known to be there it is written over, at rest it is contested."""
    told = {"1": Told(WHO, {"first_name": "Anna"}, deleted=False, newest_time=EARLIER)}
    changed = seen("hubspot", first_name="Anna")
    at_rest = Ours({"1": bound("hubspot")}, told)
    assert kind_of(judged("hubspot", changed, at_rest)) == "contested"
    known = {**bound("hubspot").known, "firstname": "Anna"}
    assert kind_of(judged("hubspot", changed, Ours({"1": bound("hubspot", known=known)}, told))) == "field"


def test_a_record_that_carries_another_id_or_has_lost_ours_is_for_a_person() -> None:
    """One that is read, too, may never have got it: that nothing is there says nothing."""
    for vendor, lost in (("hubspot", ""), ("salesforce", "contested")):
        field = NAMES[vendor][-1]
        ours, shown = Ours({"1": bound(vendor)}), seen(vendor)
        other = replace(shown, fields={**shown.fields, field: str(uuid.UUID(int=8))})
        assert kind_of(judged(vendor, other, ours)) == "contested"
        assert kind_of(judged(vendor, replace(shown, fields={**shown.fields, field: None}), ours)) == lost


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [
        ({"state": State.PENDING}, Excluded.UNDER_WAY),
        ({"state": State.IN_DOUBT}, Excluded.UNDER_WAY),
        ({"settle_time": NOW - dt.timedelta(seconds=1)}, Excluded.UNDER_WAY),
        ({"state": State.DEAD}, Excluded.STOPPED),
        ({"state": State.HELD}, Excluded.STOPPED),
    ],
)
def test_what_is_on_its_way_or_stopped_is_no_drift(changes: dict[str, Any], excluded: Excluded) -> None:
    """Whatever the CRM shows, or does not."""
    ours = Ours({"1": bound("salesforce", **changes)})
    assert judged("salesforce", seen("salesforce", last_name="Other"), ours).excluded is excluded
    assert judge_absent(DOCUMENT, plan("salesforce"), "1", ours, Look(NOW)).excluded is excluded


def test_what_may_still_be_told_is_too_young_to_be_drift() -> None:
    """A change of a record that is read waits for the poll; one of a field that only we write waits for nobody."""
    young = NOW - dt.timedelta(seconds=30)
    ours = Ours({"1": bound("hubspot")})
    assert kind_of(judged("hubspot", seen("hubspot", young, last_name="Other"), ours, 60)) == "young"
    assert kind_of(judged("hubspot", seen("hubspot", young, last_name="Other"), ours, 20)) == "stale"
    assert kind_of(judged("hubspot", seen("hubspot", young), Ours(), 60)) == "young"
    of_ours = Ours({"1": bound("salesforce")})
    assert kind_of(judged("salesforce", seen("salesforce", young, last_name="Other"), of_ours, 60)) == "field"


def test_a_record_that_nobody_knows_is_unrecorded_double_or_somebody_elses() -> None:
    """By whether it is read, and whose id it carries."""
    assert kind_of(judged("hubspot", seen("hubspot"), Ours())) == "unrecorded"
    assert kind_of(judged("hubspot", seen("hubspot"), Ours(refused=("1",)))) == "refused"
    assert kind_of(judged("hubspot", seen("hubspot"), Ours(former=("1",)))) == "foreign"
    assert kind_of(judged("salesforce", seen("salesforce"), Ours())) == "foreign"
    assert kind_of(judged("salesforce", seen("salesforce"), Ours(holders={WHO: "2"}))) == "double"
    assert kind_of(judged("salesforce", seen("salesforce"), Ours(holders={WHO: ""}))) == "under way"


@pytest.mark.parametrize(
    ("vendor", "ours", "kind"),
    [
        ("salesforce", Ours({"1": bound("salesforce")}), "missing"),
        ("salesforce", Ours({"1": bound("salesforce", entity_state="deleted")}), ""),
        ("hubspot", Ours({"1": bound("hubspot")}), "ended"),
        ("hubspot", Ours({}, {"1": Told(WHO, {}, deleted=False, newest_time=None)}), "ended"),
        ("hubspot", Ours({}, {"1": Told(WHO, {}, deleted=True, newest_time=None)}), ""),
        (
            "hubspot",
            Ours({"1": bound("hubspot")}, {"1": Told(WHO, {}, deleted=True, newest_time=None)}),
            "missing",
        ),
        ("hubspot", Ours(), ""),
    ],
)
def test_a_record_that_is_gone(vendor: str, ours: Ours, kind: str) -> None:
    """Missing where it is only written or its end was told, ended where it is read, nothing where nothing is wanted."""
    assert kind_of(judge_absent(DOCUMENT, plan(vendor), "1", ours, Look(NOW))) == kind


def test_the_time_of_drift_is_told_only_where_the_crm_stamped_it() -> None:
    """A stamp that is older than what we know says nothing: the change has none of its own."""
    late = NOW - dt.timedelta(minutes=5)
    ours = Ours({"1": bound("salesforce")})
    stamped = judged("salesforce", seen("salesforce", late, last_name="Other"), ours).drift
    silent = judged("salesforce", seen("salesforce", EARLIER, last_name="Other"), ours).drift
    assert (stamped and stamped.drift_time, silent and silent.drift_time) == (late, None)


def test_only_critical_fields_are_compared() -> None:
    """The others may differ, and are not counted as compared."""
    section = Reconcile.model_validate({"critical": {"contact": {"fields": ["email"]}}})
    narrow = DOCUMENT.model_copy(update={"reconcile": section})
    [only] = sweep_plans(narrow, "salesforce").values()
    verdict = judge_present(
        narrow, only, seen("salesforce", last_name="Other"), Ours({"1": bound("salesforce")}), Look(NOW)
    )
    assert (verdict.drift, verdict.compared) == (None, ("Email",))
    assert only.fingerprint() != plan("salesforce").fingerprint()


SECTION: Final = Reconcile.model_validate({"critical": {"contact": {}}, "repairs_max": 2})
MISSING: Final = Kept(DriftKind.MISSING, repairing=False, repair_count=0, repair_time=None)
STALE: Final = Kept(DriftKind.STALE, repairing=False, repair_count=0, repair_time=None)


def again(kind: DriftKind) -> Verdict:
    """Return a second look that shows drift of *kind*."""
    return Verdict(Drift(kind, "1"))


def test_repairs_follow_the_policy_and_orders_go_before_it() -> None:
    """What two insist on, or two records for one, is asked about whatever the policy says."""
    act = action_of(SECTION, STALE, again(DriftKind.STALE), NOW, too_many_gone=False)
    assert act[0] == "refetch"
    assert action_of(SECTION, MISSING, again(DriftKind.MISSING), NOW, too_many_gone=False)[0] == "ask"
    ordered = replace(MISSING, ordered="recreate")
    assert action_of(SECTION, ordered, again(DriftKind.MISSING), NOW, too_many_gone=True)[0] == "recreate"
    for kind in (DriftKind.CONTESTED, DriftKind.DOUBLE):
        kept = replace(STALE, kind=kind)
        assert action_of(SECTION, kept, again(kind), NOW, too_many_gone=False)[0] == "ask"


def test_too_many_gone_at_once_are_asked_about() -> None:
    """Rights that were taken away look like deletions: nothing is ended or made anew then."""
    kept = replace(STALE, kind=DriftKind.ENDED)
    assert action_of(SECTION, kept, again(DriftKind.ENDED), NOW, too_many_gone=False)[0] == "refetch"
    assert action_of(SECTION, kept, again(DriftKind.ENDED), NOW, too_many_gone=True)[0] == "ask"


def test_a_repair_has_time_to_show_is_tried_again_and_ends_with_a_question() -> None:
    """Wait, again, and after as many as the policy allows ask; gone drift has healed, another kind is told beside."""
    begun = replace(STALE, repairing=True, repair_count=1, repair_time=NOW)
    look = again(DriftKind.STALE)
    later = NOW + dt.timedelta(seconds=HEAL_S + 1)
    assert action_of(SECTION, begun, look, NOW, too_many_gone=False)[0] == "wait"
    assert action_of(SECTION, begun, look, later, too_many_gone=False)[0] == "refetch"
    assert action_of(SECTION, replace(begun, repair_count=2), look, later, too_many_gone=False)[0] == "ask"
    assert action_of(SECTION, begun, Verdict(), NOW, too_many_gone=False) == ("healed", None)
    other = again(DriftKind.FIELD)
    assert action_of(SECTION, begun, other, NOW, too_many_gone=False) == ("healed", other.drift)
    assert (
        action_of(SECTION, begun, Verdict(excluded=Excluded.UNDER_WAY), later, too_many_gone=False)[0]
        == "wait"
    )


def test_what_scopes_keep_from_us_is_no_drift() -> None:
    """A field that is only filled in is drift while it is empty; one that is never read is not asked for."""
    tree = DOCUMENT.model_dump(by_alias=True)
    lines = {"last_name": ["read", "write_if_empty"], "phone": ["write"]}
    tree["connectors"]["salesforce"]["scopes"] = {"objects": {"contact": {"fields": lines}}}
    scoped = PolicyDocument.model_validate(tree)
    [compared] = sweep_plans(scoped, "salesforce").values()
    assert "Phone" not in compared.swept.fields
    assert compared.fingerprint() != plan("salesforce").fingerprint()
    ours, look = Ours({"1": bound("salesforce")}), Look(NOW, 0.0)
    other = judge_present(scoped, compared, seen("salesforce", last_name="Other", phone="x"), ours, look)
    assert other.drift is None
    empty = judge_present(scoped, compared, seen("salesforce", last_name="", phone="x"), ours, look)
    assert empty.drift is not None
    assert [one.field for one in empty.drift.fields] == ["LastName"]
