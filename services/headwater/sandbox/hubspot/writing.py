"""Owns how a HubSpot record comes to be and changes: stamps, derived values, echoes. One item at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.hubspot import rules
from headwater.sandbox.hubspot.errors import ItemError
from headwater.sandbox.hubspot.kinds import SOURCE, Kind, iso
from headwater.sandbox.store.records import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.store.records import Fields, Record

MERGED_INTO = "#merged_into"
"""Look-up by which the id of a record that was merged leads to the record made of it; no property is called so."""
MERGES_FOLLOWED_MAX = 300
"""More than one record can have been merged from."""
_FIRST_ID = 73_183_578_000
"""Ids begin where a real portal of 2024 had them, so that they never fit in 32 bits."""


def create(desk: Desk, kind: Kind, properties: Mapping[str, Any]) -> Record | ItemError:
    """Make a record of these (known) properties."""
    values = rules.normalise(desk.account, kind, properties)
    if isinstance(values, ItemError):
        return values
    taken = rules.conflict(desk.account, kind, values, None)
    if taken is not None:
        return taken
    record_id = next_id(desk)
    given = {name: value for name, value in values.items() if value != ""}
    fields = {**_derived(kind, record_id, given, iso(desk.call.now_ms)), **given}
    return desk.insert(kind.name, record_id, fields, rules.unique_names(desk.account, kind))


def update(desk: Desk, kind: Kind, record: Record, properties: Mapping[str, Any]) -> Record | ItemError:
    """Set these (known) properties; an empty value clears."""
    values = rules.normalise(desk.account, kind, properties)
    if isinstance(values, ItemError):
        return values
    taken = rules.conflict(desk.account, kind, values, record.record_id)
    if taken is not None:
        return taken
    fields = {name: value for name, value in {**record.fields, **values}.items() if value != ""}
    if "email" in values:
        fields.pop("hs_email_domain", None)
        fields |= _domain(fields)
    stamps = {kind.modified: iso(desk.call.now_ms)}
    return desk.update(record, fields, rules.unique_names(desk.account, kind), stamps=stamps)


def locate(desk: Desk, kind: Kind, key: str, id_property: str) -> Record | None:
    """The live record with this id, also one from before a merge, or with this value of a unique property."""
    records = desk.account.records
    if id_property in {"", "hs_object_id"}:
        return _merged(desk, kind, key)
    found = records.ids_with(kind.name, id_property, key.strip())
    return records.live(kind.name, found[0]) if found else None


def _merged(desk: Desk, kind: Kind, record_id: str) -> Record | None:
    records = desk.account.records
    for _ in range(MERGES_FOLLOWED_MAX):
        found = records.live(kind.name, record_id)
        following = [] if found else records.ids_with(kind.name, MERGED_INTO, record_id)
        if not following:
            return found
        record_id = following[0]
    return None


def next_id(desk: Desk) -> str:
    """The id of the next record."""
    return str(_FIRST_ID + desk.account.records.take_number())


def put_away(desk: Desk, kind: Kind, record: Record) -> None:
    """Archive a record; its unique values are free again, second addresses among them."""
    forget_addresses(desk, kind, record)
    desk.archive(record, rules.unique_names(desk.account, kind))


def second_addresses(record: Record) -> list[str]:
    """The addresses that a contact has from merges, besides its own."""
    return [part for part in record.fields.get("hs_additional_emails", "").split(";") if part]


def keep_addresses(desk: Desk, kind: Kind, record: Record) -> None:
    """Let second addresses be found, and be nobody else's."""
    for address in second_addresses(record):
        desk.account.database.run(
            "insert_lookup", desk.account.key, kind.name, "email", fold(address), record.record_id
        )


def forget_addresses(desk: Desk, kind: Kind, record: Record) -> None:
    """Let second addresses be free."""
    for address in second_addresses(record):
        desk.account.database.run(
            "delete_lookup", desk.account.key, kind.name, "email", fold(address), record.record_id
        )


def _derived(kind: Kind, record_id: str, given: Mapping[str, str], now: str) -> Fields:
    fields: Fields = {kind.created: now, kind.modified: now, "hs_object_id": record_id, **SOURCE}
    if kind.name == "contacts":
        fields |= _contact(record_id, given, now)
    elif kind.name == "companies":
        fields |= {"hs_pipeline": "companies-lifecycle-pipeline", "lifecyclestage": "lead"}
        if "domain" in given:
            fields["website"] = given["domain"]
    return fields


def _contact(record_id: str, given: Mapping[str, str], now: str) -> Fields:
    fields: Fields = {
        "hs_all_contact_vids": record_id,
        "hs_currently_enrolled_in_prospecting_agent": "false",
        "hs_is_contact": "true",
        "hs_is_unworked": "true",
        "hs_membership_has_accessed_private_content": "0",
        "hs_pipeline": "contacts-lifecycle-pipeline",
        "hs_registered_member": "0",
        "lifecyclestage": "lead",
    }
    if given.get("lifecyclestage", "lead") == "lead":
        fields["hs_lifecyclestage_lead_date"] = now
    return fields | _domain(given)


def _domain(given: Mapping[str, str]) -> Fields:
    return {"hs_email_domain": given["email"].rpartition("@")[2]} if given.get("email") else {}


def shown(record: Record, kind: Kind, names: Iterable[str]) -> dict[str, Any]:
    """A record as an answer to a read: the named properties, or the usual ones; absent ones as null."""
    wanted = {*names, kind.created, kind.modified, "hs_object_id"} if names else set(kind.default_properties)
    return _view(record, {name: record.fields.get(name) for name in sorted(wanted)})


def echoed(record: Record, kind: Kind, written: Mapping[str, Any] | None) -> dict[str, Any]:
    """A record as an answer to a write: everything after a create, else what was written and what is always told."""
    if written is None:
        return _view(record, dict(sorted(record.fields.items())))
    always = {kind.created, kind.modified, "hs_object_id", *SOURCE, *kind.echoed}
    told = {name: record.fields.get(name, "") for name in sorted({*written, *always})}
    return _view(record, {name: value for name, value in told.items() if value != "" or name in written})


def _view(record: Record, properties: dict[str, Any]) -> dict[str, Any]:
    told = {
        "id": record.record_id,
        "properties": properties,
        "createdAt": iso(record.created_ms),
        "updatedAt": iso(record.updated_ms),
        "archived": record.archived,
    }
    return {**told, "archivedAt": iso(record.updated_ms)} if record.archived else told
