"""What a change of the policy would do, counted without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, POLICY, TENANT, event, key, moment, policy

from headwater.policy.loading import load_policy
from headwater.policy.survivorship import FieldFact
from headwater.sync.domain.foreseeing import EntityPage, PolicyImpact, stride_of, wilson
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.renewing import CHANGES_SHOWN, change_notes, renew
from headwater.sync.domain.states import EntityState, RecordState

LONGEST = "title: {type: text, owners: [crm, site], rule: longest}"
SHORTER = POLICY.replace(LONGEST, "title: {type: text, owners: [crm, site], rule: source_priority}")


def contact(number: int) -> tuple[EntityState, list[RecordState]]:
    """Return a contact that site gives the longer title, with its records, not computed yet."""
    records = [
        RecordState(
            RecordKey(TENANT, "contact", source, str(number)),
            key(number),
            {"title": FieldFact(title, moment(number), key(900 + number))},
        )
        for source, title in (("crm", "CTO"), ("site", "Chief Technology Officer"))
    ]
    return EntityState(TENANT, key(number), "contact", version=1), records


def held(*numbers: int) -> EntityPage:
    """Return a page of contacts as the old policy has them, which no account holds."""
    workspace = Workspace({TENANT: policy()})
    for number in numbers:
        entity, records = contact(number)
        workspace.load([entity], records)
    renew(workspace, event(1))
    standings = dict.fromkeys(("salesforce", "hubspot"), ())
    return EntityPage(list(workspace.entities.values()), list(workspace.records.values()), standings)


def test_a_renewal_changes_what_the_policy_changes_and_nothing_twice() -> None:
    """Values, marks behind live traffic, audit by who applied it; renewed again, nothing."""
    page = held(1, 2)
    workspace = Workspace({TENANT: load_policy(SHORTER)})
    workspace.load(page.entities, page.members)
    tally = renew(workspace, event(5, source="headwater"))
    assert (tally.scanned, tally.changed, tally.fields) == (2, 2, {"contact.title": 2})
    assert {item.fields["title"].value for item in workspace.entities.values()} == {"CTO"}
    assert {mark.lane for mark in workspace.marks.values()} == {Lane.BACKFILL}
    again = Workspace({TENANT: load_policy(SHORTER)})
    again.load(workspace.entities.values(), workspace.records.values())
    assert renew(again, event(6, source="headwater")).changed == 0


def test_an_object_that_the_policy_dropped_stays_as_it_is() -> None:
    """Its entities are looked at and left alone."""
    page = held(1)
    document = policy()
    without = document.model_copy(
        update={"objects": {name: item for name, item in document.objects.items() if name != "contact"}}
    )
    workspace = Workspace({TENANT: without})
    workspace.load(page.entities, page.members)
    tally = renew(workspace, event(5))
    assert (tally.scanned, tally.changed) == (1, 0)


def test_an_exact_impact_is_not_scaled() -> None:
    """Everything was computed: the counts are the counts."""
    impact = PolicyImpact(TENANT, policy(), load_policy(SHORTER), total=2)
    impact.add(held(1, 2), NOON)
    assert (impact.exact, impact.changed, impact.changed_range()) == (True, 2, (2, 2))


def test_a_sample_is_scaled_and_stands_in_its_interval() -> None:
    """Two of two computed, of a thousand: the estimate is all of them, and at least what was seen."""
    impact = PolicyImpact(TENANT, policy(), load_policy(SHORTER), total=1_000)
    impact.add(held(1, 2), NOON)
    low, high = impact.changed_range()
    assert (impact.exact, impact.scaled(impact.changed)) == (False, 1_000)
    assert 2 <= low < 1_000 == high


@given(tries=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_within_one(tries: int, share: float) -> None:
    """Whatever was seen."""
    hits = round(tries * share)
    low, high = wilson(hits, tries)
    assert 0.0 <= low <= hits / tries + 1e-9
    assert hits / tries - 1e-9 <= high <= 1.0


def test_the_interval_is_wilsons() -> None:
    """10 of 50, by the published formula: 11.2 % to 33.0 %."""
    assert wilson(10, 50) == pytest.approx((0.1124, 0.3304), abs=1e-4)


@given(total=st.integers(0, 10**9), bound=st.integers(1, 10**6))
def test_a_stride_keeps_within_the_bound(total: int, bound: int) -> None:
    """No more than the bound are computed, and all where they fit."""
    stride = stride_of(total, bound)
    assert total / stride <= bound
    assert (stride == 1) == (total <= bound)


def test_the_audit_names_both_versions_and_each_path() -> None:
    """Values as JSON values; a first policy has nothing before it."""
    before, after = policy(), load_policy(SHORTER.replace('version: "7"', 'version: "8"'))
    told = {item["field"]: (item["before"], item["after"]) for item in change_notes(before, "a", after, "b")}
    assert told == {
        "version": ("7", "8"),
        "digest": ("a", "b"),
        "objects.contact.fields.title.rule": ("longest", "source_priority"),
    }
    first = change_notes(None, "", after, "b")
    assert [(item["field"], item["before"]) for item in first] == [("version", None), ("digest", None)]


def test_a_very_large_difference_is_cut_and_says_so() -> None:
    """The audit names a bounded number of paths, and how many more there are."""
    before = policy()
    fields = {f"f{number}": before.objects["lead"].fields["email"] for number in range(CHANGES_SHOWN + 7)}
    grown = before.objects["lead"].model_copy(update={"fields": fields})
    after = before.model_copy(update={"objects": {**before.objects, "lead": grown}})
    found = change_notes(before, "a", after, "b")
    assert found[-1]["field"] == "more"
    assert found[-1]["after"] == 8  # seven, and the one that went
