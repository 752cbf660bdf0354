"""Owns HubSpot's merge of two records: a new record with a new id, old ids that answer for it, second addresses.

Source: CRM API v3 (merge), Contacts API v1 (secondary email), HubSpot's article on merging records of January 2025:
the primary's values win and the secondary's fill what is empty, associations of both are kept, nothing is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.hubspot import rules, writing
from headwater.sandbox.hubspot.errors import ItemError, invalid, not_there, refusal
from headwater.sandbox.hubspot.kinds import KINDS, PORTAL_ID, iso
from headwater.sandbox.hubspot.requests import body_of, kind_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.hubspot.kinds import Kind
    from headwater.sandbox.store.records import Fields, Record

MERGEABLE = ("contacts", "companies", "deals")
MERGED_MAX = 250
"""Records that one may have been merged from (HubSpot's documented limit)."""

_OWN = ("hs_object_id", "hs_merged_object_ids", "hs_additional_emails", "hs_all_contact_vids")


def _merge(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, body = kind_in(desk, params), body_of(desk)
    if kind.name not in MERGEABLE:
        raise invalid(desk, f"Merging is not supported for object type {kind.type_id}")
    primary = _asked(desk, kind, body, "primaryObjectId")
    other = _asked(desk, kind, body, "objectIdToMerge")
    if primary.record_id == other.record_id:
        raise invalid(desk, "Cannot merge an object with itself")
    merged = [*_ids(primary), primary.record_id, *_ids(other), other.record_id]
    if len(merged) > MERGED_MAX:
        raise invalid(desk, f"An object cannot be merged from more than {MERGED_MAX} objects")
    fields = _fields(kind, primary, other, merged)
    for one in (primary, other):
        writing.put_away(desk, kind, one)
    made = _insert(desk, kind, fields, min(primary.created_ms, other.created_ms))
    for one in (primary, other):
        desk.account.database.run(
            "insert_lookup", desk.account.key, kind.name, writing.MERGED_INTO, one.record_id, made.record_id
        )
        _move_associations(desk, kind, one.record_id, made.record_id)
    return Answer(200, writing.echoed(made, kind, None))


def _asked(desk: Desk, kind: Kind, body: Mapping[str, object], name: str) -> Record:
    text = str(body.get(name) or "")
    if not text:
        raise invalid(desk, f"Invalid input JSON: Some required fields were not set: [{name}]")
    record = writing.locate(desk, kind, text, "")
    if record is None:
        raise refusal(desk, ItemError(404, "OBJECT_NOT_FOUND", f"No {kind.word} with ID {text} exists"))
    return record


def _ids(record: Record) -> list[str]:
    return [part for part in record.fields.get("hs_merged_object_ids", "").split(";") if part]


def _fields(kind: Kind, primary: Record, other: Record, merged: list[str]) -> Fields:
    fields: Fields = {**other.fields, **primary.fields}
    for name in _OWN:
        fields.pop(name, None)
    fields["hs_merged_object_ids"] = ";".join(merged)
    if kind.name == "contacts":
        fields["hs_all_contact_vids"] = ";".join(merged)
        second = [*writing.second_addresses(primary), *writing.second_addresses(other)]
        if primary.fields.get("email") and other.fields.get("email"):
            second.append(other.fields["email"])
        if second:
            fields["hs_additional_emails"] = ";".join(dict.fromkeys(second))
    return fields


def _insert(desk: Desk, kind: Kind, fields: Fields, created_ms: int) -> Record:
    own_id = writing.next_id(desk)
    stamps = {kind.created: iso(created_ms), kind.modified: iso(desk.call.now_ms)}
    whole = {**fields, **stamps, "hs_object_id": own_id}
    record = desk.insert(kind.name, own_id, whole, rules.unique_names(desk.account, kind))
    writing.keep_addresses(desk, kind, record)
    return record


def _move_associations(desk: Desk, kind: Kind, old_id: str, new_id: str) -> None:
    """Give the record's associations to another one, both ways; what it was tied to twice stays tied once."""
    account = desk.account
    parameters = (new_id, account.key, kind.name, old_id)
    account.database.run("move_associations_from", *parameters)
    account.database.run("move_associations_to", *parameters)
    account.database.run("clear_associations_of", account.key, kind.name, old_id, kind.name, old_id)


def _delete_address(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    kind, address = KINDS["contacts"], params["email"].strip().lower()
    record = writing.locate(desk, kind, params["vid"], "")
    if record is None:
        raise not_there(f"no contact {params['vid']}")
    left = [one for one in writing.second_addresses(record) if one != address]
    fields = {name: value for name, value in record.fields.items() if name != "hs_additional_emails"}
    if left:
        fields["hs_additional_emails"] = ";".join(left)
    writing.forget_addresses(desk, kind, record)
    changed = desk.update(record, fields, rules.unique_names(desk.account, kind))
    writing.keep_addresses(desk, kind, changed)
    return Answer(200, {"portalId": PORTAL_ID, "vid": int(changed.record_id), "secondaryEmails": left})


ROUTES = (
    route("POST", "/crm/v3/objects/{kind}/merge", "merge", _merge),
    route("DELETE", "/contacts/v1/secondary-email/{vid}/email/{email}", "secondary_email", _delete_address),
)
