"""A webhook of Pipedrive's becomes an event by the policy that the scheme's description gives."""

from __future__ import annotations

import json
from typing import Any

import yaml

from headwater.connectors.base.webhooks import Notice, Noticing, SchemeSettings
from headwater.connectors.pipedrive import webhook as scheme
from headwater.connectors.pipedrive.webhook import notices_of
from headwater.ingest.domain.webhook import read_message
from headwater.policy.systems import Webhook

RECEIVED_US = 1_770_000_000_000_000
PERSON = {"id": 42, "name": "Zoë", "emails": [{"value": "zoe@example.com", "primary": True}]}


def _policy() -> Webhook:
    """Return the part of the policy that the module shows."""
    text = (scheme.__doc__ or "").partition("    webhook:\n")[2].partition("\n\n")[0]
    return Webhook.model_validate(yaml.safe_load(text))


def _message(action: str, entity: str = "person", data: Any = None) -> bytes:
    meta = {
        "action": action,
        "entity": entity,
        "entity_id": "42",
        "id": "m-1",
        "timestamp": "2026-01-31T10:00:00.000Z",
        "attempt": 1,
        "version": "2.0",
    }
    return json.dumps({"data": data, "previous": {}, "meta": meta}).encode()


def test_a_change_is_read_as_the_description_says() -> None:
    """The record's id, its time and its fields; the message's id makes a retry the same event."""
    read = read_message(_policy(), "pipedrive", _message("change", data=PERSON), "m-1", RECEIVED_US)
    [arrival] = read.arrivals
    assert (arrival.object, arrival.external_id, arrival.request_id) == ("contact", "42", "m-1")
    assert json.loads(arrival.payload)["name"] == "Zoë"
    assert not read.undated


def test_a_deletion_is_one_and_other_entities_are_not_ours() -> None:
    """`delete` is told apart by the action; deals are passed over."""
    [gone] = read_message(_policy(), "pipedrive", _message("delete"), "m-2", RECEIVED_US).arrivals
    [kept] = read_message(
        _policy(), "pipedrive", _message("create", data=PERSON), "m-3", RECEIVED_US
    ).arrivals
    assert gone.operation != kept.operation
    assert read_message(_policy(), "pipedrive", _message("change", "deal"), "m-4", RECEIVED_US).arrivals == ()


def test_the_record_of_a_message_is_named_whatever_it_holds() -> None:
    """Created, changed or deleted, by a time that a retry repeats; what accounts cannot read names none."""
    at_us = 1_769_853_600_000_000
    for action in ("create", "change", "delete"):
        assert notices_of(json.loads(_message(action))) == (Notice("persons", "42", at_us),)
    assert [one.crm_object for one in notices_of(json.loads(_message("change", "deal")))] == ["deals"]
    assert notices_of(json.loads(_message("change", "note"))) == ()
    odds: tuple[Any, ...] = (None, [], {"meta": []}, {"meta": {"entity": {}}})
    for odd in odds:
        assert notices_of(odd) == ()
    assert notices_of({"meta": {"entity": "person", "timestamp": "soon"}}) == (Notice("persons", "", None),)


def test_the_scheme_knows_its_notices() -> None:
    """So that a policy may ask for them."""
    assert isinstance(scheme.BasicAuth(SchemeSettings()), Noticing)
