"""What a policy says of polling: on by direction or by name, only what can be read."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.policy.checks import check
from headwater.policy.document import ConnectorPolicy, PolicyDocument

PERSON: dict[str, str] = {"owner": "ops", "backup": "ops", "runbook": "docs"}


def document(direction: str = "out", *, inbound: bool = True, **poll: Any) -> PolicyDocument:
    """Return a policy with one account whose contacts have *direction*."""
    reads = {"contact": {"fields": {"email": "email"}}} if inbound else {}
    target = {
        "target": "contacts",
        "external_id": "key",
        "direction": direction,
        "fields": {"email": {"field": "email"}},
        **({"conflict": "policy"} if direction == "two_way" else {}),
    }
    account = {
        **PERSON,
        "vendor": "hubspot",
        "system": "crm",
        "base_url": "http://127.0.0.1:1",
        "credentials": "env:CRM",
        "limits": {"window": {"calls": 10, "window_s": 1}},
        "objects": {"contact": [target]},
        "poll": poll,
    }
    contact = {"fields": {"email": {"type": "email", "owners": ["crm"], "rule": "most_recent"}}}
    return PolicyDocument.model_validate(
        {
            "format": "headwater/v1",
            "version": "1",
            "systems": {"crm": {**PERSON, "layer": "record", "inbound": reads}},
            "objects": {"contact": contact},
            "connectors": {"crm": account},
        }
    )


def account(direction: str, **poll: Any) -> ConnectorPolicy:
    """Return the account alone."""
    return document(direction, **poll).connectors["crm"]


@pytest.mark.parametrize(("direction", "polled", "written"), [("out", 0, 1), ("in", 1, 0), ("two_way", 1, 1)])
def test_a_direction_says_what_is_read_and_what_is_written(direction: str, polled: int, written: int) -> None:
    """Off by default: accounts that are only written are not polled."""
    assert len(account(direction).polled()) == polled
    assert len(account(direction).written.get("contact", ())) == written


def test_an_object_may_be_polled_by_name() -> None:
    """So that an account that is only written can be looked at."""
    assert account("out", objects=("contact",)).polled() == (("contact", "contacts"),)


def test_what_cannot_be_read_is_a_fault() -> None:
    """A polled object needs an inbound mapping of its system, and to be the account's."""
    assert [fault.rule for fault in check(document("two_way", inbound=False))] == ["polled_object"]
    assert [fault.rule for fault in check(document("out", objects=("deal",)))] == ["known_object"]
    assert check(document("two_way")) == ()
