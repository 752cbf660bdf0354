"""Which records HubSpot's webhook batches name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base.webhooks import Notice, Noticing, SchemeSettings
from headwater.connectors.hubspot.notices import notices_of
from headwater.connectors.hubspot.signature import HubSpotSignatureV3

AT_MS = 1_760_000_000_123
AT_US = AT_MS * 1000


def item(kind: str, **fields: Any) -> dict[str, Any]:
    """Return one item as HubSpot sends it."""
    common = {"eventId": 1, "subscriptionId": 2, "portalId": 3, "appId": 4, "attemptNumber": 0}
    return {**common, "occurredAt": AT_MS, "subscriptionType": kind, **fields}


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (item("contact.creation", objectId=7), [("contacts", "7")]),
        (item("contact.propertyChange", objectId=7, propertyName="email"), [("contacts", "7")]),
        (item("company.deletion", objectId=8), [("companies", "8")]),
        (item("contact.privacyDeletion", objectId=7), [("contacts", "7")]),
        (item("deal.restore", objectId=9), [("deals", "9")]),
        (item("object.propertyChange", objectId=7, objectTypeId="0-136"), [("leads", "7")]),
        (item("object.creation", objectId=7, objectTypeId="2-55"), []),
        (
            item("contact.merge", objectId=1, primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=4),
            [("contacts", "4"), ("contacts", "1"), ("contacts", "2"), ("contacts", "3")],
        ),
        (item("contact.merge", objectId=1), [("contacts", "1")]),
        (
            item("contact.associationChange", fromObjectId=1, toObjectId=8, associationType="CONTACT_TO_COMPANY"),
            [("contacts", "1"), ("companies", "8")],
        ),
        (
            item("object.associationChange", fromObjectId=9, toObjectId=8, fromObjectTypeId="0-3", toObjectTypeId="0-2"),
            [("deals", "9"), ("companies", "8")],
        ),
        (item("conversation.newMessage", objectId=5, messageId="m"), []),
        (item("contact.creation"), [("contacts", "")]),
        ({}, []),
    ],
)  # fmt: skip
def test_each_kind_names_its_records(told: dict[str, Any], named: list[tuple[str, str]]) -> None:
    """Of a merge what came out and what went in; of an association both ends; of what is no record none."""
    assert [(one.crm_object, one.crm_id) for one in notices_of([told])] == named
    assert all(one.time_us == AT_US for one in notices_of([told]))


def test_changes_of_one_record_at_one_time_are_one_notice() -> None:
    """A save in HubSpot sends an item for each property; another time is another notice."""
    batch = [item("contact.propertyChange", objectId=7, propertyName=name) for name in ("email", "phone")]
    later = item("contact.propertyChange", objectId=7, occurredAt=AT_MS + 1)
    again = [{**one, "attemptNumber": 1} for one in batch]
    assert notices_of([*batch, later]) == (
        Notice("contacts", "7", AT_US),
        Notice("contacts", "7", AT_US + 1000),
    )
    assert notices_of(again) == notices_of(batch)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["subscriptionType", "objectId", "occurredAt", "mergedObjectIds", "objectTypeId", "x"]),
        inner | st.sampled_from(["contact.merge", "object.creation", "deal.associationChange"]),
        max_size=5,
    ),
    max_leaves=10,
)  # fmt: skip


@given(_JSON)
def test_no_body_breaks_it(body: Any) -> None:
    """Whatever is sent by who holds the secret."""
    scheme = HubSpotSignatureV3(SchemeSettings())
    assert isinstance(scheme, Noticing)
    assert all(isinstance(one.crm_id, str) for one in scheme.notices(body))
