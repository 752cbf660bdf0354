"""What a bulk change would run into: findings, what they are acknowledged by, and fields that nothing fills."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import POLICY

from headwater.connectors.base import Automation, AutomationKind, WriteConditions
from headwater.policy.loading import load_policy
from headwater.sync.domain.inspecting import (
    UNCHECKED,
    Finding,
    Inspection,
    findings_of,
    objects_written,
    unacknowledged,
)

ACCOUNT: Final = load_policy(POLICY).connectors["salesforce"]


def labels(inspection: Inspection, object_name: str = "contact") -> list[str]:
    """Return what is found, in words."""
    return [item.label for item in findings_of(ACCOUNT, object_name, inspection)]


def test_only_objects_that_the_change_writes_are_asked_about() -> None:
    """A change of one canonical object reaches its CRM objects alone, each once."""
    every = objects_written(ACCOUNT, "")
    one = objects_written(ACCOUNT, "contact")
    assert "Contact" in one
    assert set(one) < set(every)
    assert len(every) == len(set(every))


def test_automations_of_other_objects_are_not_found() -> None:
    """What acts on something else does not act on what is written."""
    flow = WriteConditions((Automation(AutomationKind.FLOW, "Welcome"),))
    assert labels(Inspection({"Contact": flow})) == ["flow Contact: Welcome"]
    assert labels(Inspection({"Opportunity": flow})) == []


def test_required_fields_that_the_mapping_writes_are_no_finding() -> None:
    """The external id and any case of a name count as written."""
    written = ("LastName", "email", ACCOUNT.written["contact"][0].external_id)
    assert labels(Inspection({"Contact": WriteConditions((), (*written, "Region__c"))})) == [
        "required field Contact: Region__c"
    ]


def test_an_account_that_could_not_be_asked_is_one_finding() -> None:
    """It is acknowledged by a name that never changes."""
    (found,) = findings_of(ACCOUNT, "", Inspection(hindrance="no scope"))
    assert (found.name, found.detail) == (UNCHECKED, "no scope")


@given(st.lists(st.text(min_size=1)), st.sets(st.text(min_size=1)))
def test_exactly_the_names_given_are_acknowledged(names: list[str], known: set[str]) -> None:
    """Every other finding is left, in order."""
    found = [Finding("flow", "Contact", name, "") for name in names]
    assert [item.name for item in unacknowledged(found, known)] == [n for n in names if n not in known]
