"""Every connector that is installed says what may follow a write whose answer was lost, and keeps to it."""

from __future__ import annotations

import pytest

from headwater.connectors.base import Target, Vendor, Write, WriteKind, load_vendor, vendor_names

VENDORS = [load_vendor(name) for name in vendor_names()]
TARGET = Target("contact", "contacts", "headwater_id", ("email",))
WRITES = (Write("e-1", "", {"email": "a@x.io"}), Write("e-1", "17", {"email": "a@x.io"}))


def named(vendor: Vendor) -> str:
    """Return a vendor's name, for the test's."""
    return vendor.name


def test_there_are_vendors_to_look_at() -> None:
    """The registry is not empty, so the tests below say something."""
    assert {"hubspot", "salesforce"} <= {vendor.name for vendor in VENDORS}


@pytest.mark.parametrize("vendor", VENDORS, ids=named)
def test_every_kind_of_write_has_its_promise_and_its_reason(vendor: Vendor) -> None:
    """No kind that the connector makes is left out, and each promise names what it rests on."""
    kinds = {vendor.write_kind(TARGET, write) for write in WRITES}
    assert kinds <= set(vendor.in_doubt)
    assert all(len(promise.reason.split()) >= 5 for promise in vendor.in_doubt.values())


@pytest.mark.parametrize("vendor", VENDORS, ids=named)
def test_a_create_is_never_promised_to_be_safe(vendor: Vendor) -> None:
    """Without a key every repeat makes another record, whatever a connector claims."""
    promise = vendor.in_doubt.get(WriteKind.CREATE)
    assert promise is None or not promise.repeat_safe


@pytest.mark.parametrize("vendor", VENDORS, ids=named)
def test_a_vendor_says_whether_its_endpoints_fail_alone(vendor: Vendor) -> None:
    """The scope of the breaker is a decision of each connector."""
    assert isinstance(vendor.fails_by_endpoint, bool)
