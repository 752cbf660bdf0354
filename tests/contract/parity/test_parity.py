"""The same operation through the vendor's own client and through ours: byte for byte, after putting both in one form.

What the clients send was recorded by `make parity`, which also tells when a client sends something else today.
Ours is sent here and now, through the caller that the product uses, to the same capture server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.contract.parity import ours_dynamics, ours_hubspot, ours_pipedrive, ours_salesforce
from tests.contract.parity.capture import Canonical, Capture, as_bytes, capturing
from tests.contract.parity.ours import Operation
from tests.contract.parity.record import RECORDED

from headwater.connectors.base import Account
from headwater.connectors.base.http import HttpCaller, read_retry_after
from headwater.connectors.base.testing import RecordingGate

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket]

OURS = {
    "pipedrive": ours_pipedrive.OPERATIONS,
    "dynamics": ours_dynamics.OPERATIONS,
    "hubspot": ours_hubspot.OPERATIONS,
    "salesforce": ours_salesforce.OPERATIONS,
}
INDEPENDENT = {"salesforce"}
"""Whose client is somebody else's: it agrees with ours, and is no contract of the vendor's."""
OPERATIONS_MIN = 12
CASES = [
    pytest.param(
        vendor,
        operation,
        id=f"{vendor}-{operation.name}",
        marks=()
        if vendor in INDEPENDENT
        else pytest.mark.evidence(vendor, operation.proves, "vendor contract"),
    )
    for vendor, operations in OURS.items()
    for operation in operations
]


@cache
def recorded(vendor: str) -> dict[str, Any]:
    """Return what the vendor's own client sent, by operation."""
    kept: dict[str, Any] = json.loads((RECORDED / f"{vendor}.json").read_text(encoding="utf-8"))
    return kept


@pytest.fixture
def capture() -> Iterator[Capture]:
    """A capture server."""
    with capturing({"": {}}) as server:
        yield server


@pytest.mark.parametrize(("vendor", "operation"), CASES)
async def test_our_request_equals_the_clients(vendor: str, operation: Operation, capture: Capture) -> None:
    """Same method, path, query and body; what we add on purpose is there, and is named."""
    account = Account("parity", capture.url, {})
    headers = dict(operation.headers)
    async with HttpCaller(account, RecordingGate(), read_retry_after, headers=headers) as http:
        await http.send(operation.request, token=operation.token)
    sent = without(json.loads(as_bytes(capture.seen.pop())), operation)
    assert as_bytes(sent) == as_bytes(recorded(vendor)[operation.name])


@pytest.mark.parametrize("vendor", sorted(OURS))
def test_every_recorded_operation_is_compared(vendor: str) -> None:
    """None of the client's requests is left out, and there are enough of them."""
    assert {operation.name for operation in OURS[vendor]} == set(recorded(vendor))
    assert len(recorded(vendor)) >= OPERATIONS_MIN


def without(form: Canonical, operation: Operation) -> Canonical:
    """Return a request without what ours adds; it must be there in every part."""
    if not operation.adds:
        return form
    for part in form["body"]:
        assert [list(pair) for pair in operation.adds["query"]] == part.pop("query")
        for name, value in operation.adds["headers"].items():
            assert part["headers"].pop(name) == value
        if not part["headers"]:
            del part["headers"]
    assert form["headers"].pop("prefer") == "odata.continue-on-error"
    form["headers"] |= {"prefer": "odata.continue-on-error"}
    return form
