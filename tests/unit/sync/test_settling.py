"""Which settlements touch their own rows alone, and so may be written beside another slot's turn."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import NOON

from headwater.sync.domain.settling import Settlement, State, is_plain


def settled(taken: dict[str, Any], **changed: Any) -> Settlement:
    """Return how a try of a record that the CRM holds ended: well, unless told otherwise."""
    item = claimed(**{"crm_object": "Contact", "crm_id": "0031", "delivered_version": 2, **taken})
    fields: dict[str, Any] = {
        "claimed": item, "state": State.DELIVERED, "version": item.version, "crm_object": "Contact",
        "crm_id": "0031", "known": {}, "failure_count": 0, "try_count": 0, "start_time": NOON,
        "outcome": "updated", "lane": item.lane,
    }  # fmt: skip
    return Settlement(**{**fields, **changed})


def test_a_change_of_a_held_record_is_plain() -> None:
    """The most frequent end of a try, by far."""
    assert is_plain(settled({}))


@pytest.mark.parametrize(
    ("taken", "changed"),
    [
        ({}, {"state": State.RETRYING}),
        ({}, {"state": State.DEAD}),
        ({}, {"created": True}),
        ({}, {"crm_id": "0032"}),
        ({"crm_id": ""}, {}),
        ({"delivered_version": 0}, {}),
        ({"in_doubt": True}, {}),
        ({"verdict": "applied"}, {}),
        ({"erred": True}, {}),
    ],
)
def test_what_others_wait_for_or_an_error_tells_is_not_plain(
    taken: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Failures, new records, doubts and recoveries write to rows of others: they wait for the slot's turn."""
    assert not is_plain(settled(taken, **changed))
