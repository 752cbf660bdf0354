"""Dataverse's webhooks: who may call, and which records a call names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headwater.connectors.base.webhooks import Delivery, Notice, Noticing, Rejected, SchemeSettings, Verified
from headwater.connectors.dynamics.webhook import WebhookKey, notices_of
from headwater.kernel.errors import InvalidInput

ANN, BOB = "8c3a2f4e-5b1d-4c6a-9e7f-0a1b2c3d4e5f", "1d2e3f40-5b1d-4c6a-9e7f-0a1b2c3d4e5f"
NOBODY = "00000000-0000-0000-0000-000000000000"
AT_MS = 1_760_000_000_000
AT_US = AT_MS * 1000


def context(message: str, entity_id: str = ANN, **parameters: Any) -> dict[str, Any]:
    """Return a RemoteExecutionContext, as far as it matters."""
    return {
        "MessageName": message, "PrimaryEntityName": "contact", "PrimaryEntityId": entity_id, "Depth": 1,
        "OperationCreatedOn": f"/Date({AT_MS}+0000)/",
        "InputParameters": [{"key": name, "value": value} for name, value in parameters.items()],
    }  # fmt: skip


def call(target: str = "/v1/webhooks/crm?tenant=acme", *headers: tuple[str, str]) -> Delivery:
    """Return a call."""
    return Delivery("POST", target, headers, json.dumps(context("Update")).encode())


def test_the_key_is_in_the_header_that_the_policy_names() -> None:
    """Any of the secrets; a header that is missing, repeated or wrong is refused."""
    scheme = WebhookKey(SchemeSettings(options={"header": "X-Key"}))
    secrets = ["old", "new"]
    assert isinstance(scheme.verify(call("/", ("x-key", "new")), secrets, 0), Verified)
    assert scheme.verify(call("/", ("x-key", "other")), secrets, 0) == Rejected("key_mismatch")
    assert scheme.verify(call("/?code=new"), secrets, 0) == Rejected("header_missing")
    twice = call("/", ("x-key", "new"), ("x-key", "new"))
    assert scheme.verify(twice, secrets, 0) == Rejected("header_repeated")


def test_without_a_header_the_key_is_in_the_query() -> None:
    """Under the name that a WebhookKey has there, or another; once."""
    scheme = WebhookKey(SchemeSettings())
    assert isinstance(scheme.verify(call("/v1?tenant=acme&code=a%20b"), ["a b"], 0), Verified)
    assert isinstance(
        WebhookKey(SchemeSettings(options={"query": "k"})).verify(call("/?k=s"), ["s"], 0), Verified
    )
    for target in ("/v1?tenant=acme", "/?code=", "/?code=s&code=s"):
        assert scheme.verify(call(target), ["s"], 0) == Rejected("key_missing")
    with pytest.raises(InvalidInput):
        WebhookKey(SchemeSettings(options={"cookie": "k"}))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (context("Create"), [ANN]),
        (context("Update", ANN.upper()), [ANN]),
        (context("Delete"), [ANN]),
        (context("Merge", SubordinateId=BOB), [ANN, BOB]),
        (context("UpdateMultiple", NOBODY, Targets={"Entities": [{"Id": ANN}, {"Id": BOB}, {"Id": ANN}]}), [ANN, BOB]),
        (context("RetrieveMultiple", NOBODY), []),
        (context("Update", NOBODY), [""]),
        ([], []),
        ({"MessageName": {}, "InputParameters": {}}, []),
    ],
)  # fmt: skip
def test_each_message_names_its_records(body: Any, named: list[str]) -> None:
    """By the table's logical name, which is a policy's target, and the operation's own time, which a retry repeats."""
    scheme = WebhookKey(SchemeSettings())
    assert isinstance(scheme, Noticing)
    assert scheme.notices(body) == tuple(Notice("contact", one, AT_US) for one in named)


def test_a_body_without_its_parameters_still_names_its_record() -> None:
    """Dataverse leaves them out above 256 KB."""
    body = context("Update")
    del body["InputParameters"]
    assert [one.crm_id for one in notices_of(body)] == [ANN]
    body["OperationCreatedOn"] = "2026-01-01"
    assert [one.time_us for one in notices_of(body)] == [None]
