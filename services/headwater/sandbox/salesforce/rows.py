"""Owns how a Salesforce row comes to be, changes and goes: field rules, references, uniqueness. One row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.sandbox.salesforce.describe import Sobject, sobject, sobjects
from headwater.sandbox.salesforce.errors import RowError
from headwater.sandbox.salesforce.ids import USER_ID, full, record_id
from headwater.sandbox.salesforce.values import stamp, value_of
from headwater.sandbox.store.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.salesforce.describe import Field
    from headwater.sandbox.store.records import Fields

Body = dict[str, Any]
LOCKED = RowError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
_DELETED = RowError("ENTITY_IS_DELETED", "entity is deleted", status=404)
_CROSS = "INVALID_CROSS_REFERENCE_KEY"


@dataclass(frozen=True, slots=True)
class Written:
    """A row that was written, and whether it is new."""

    record: Record
    created: bool


def insert(desk: Desk, kind: Sobject, body: Body) -> Record | RowError:
    """Make a row of this body."""
    if any(name.lower() == "id" and value is not None for name, value in body.items()):
        return RowError("INVALID_FIELD", "cannot specify Id in an insert call", ("Id",))
    given = _given(desk, kind, body, creating=True)
    if isinstance(given, RowError):
        return given
    absent = tuple(name for name in kind.required if given.get(name) is None)
    if absent:
        return _missing(absent)
    error = _taken(desk, kind, given, None) or _duplicate(desk, kind, given)
    if error is not None:
        return error
    own_id = record_id(kind.prefix, desk.account.records.take_number())
    return desk.insert(kind.name, own_id, _born(kind, own_id, given, stamp(desk.call.now_ms)), kind.lookups)


def update(desk: Desk, kind: Sobject, record: Record, body: Body) -> Record | RowError:
    """Set the fields of this body; null clears."""
    if record.fields.get("IsConverted"):
        return RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    given = _given(desk, kind, body, creating=False)
    if isinstance(given, RowError):
        return given
    cleared = tuple(name for name, value in given.items() if value is None and not kind.fields[name].nillable)
    if cleared:
        return _missing(cleared)
    error = _taken(desk, kind, given, record.record_id)
    if error is not None:
        return error
    fields = {name: value for name, value in {**record.fields, **given}.items() if value is not None}
    fields = _named(kind, fields)
    now = stamp(desk.call.now_ms)
    stamps = {"LastModifiedDate": now, "SystemModstamp": now}
    return desk.update(record, fields, kind.lookups, stamps=stamps)


def upsert(desk: Desk, kind: Sobject, field: Field, value: Any, body: Body) -> Written | RowError | list[str]:
    """Update the row whose field has this value or make one; several ids mean that nothing was done."""
    found = ids_with(desk, kind, field, value)
    if len(found) > 1:
        return found
    if found:
        record = desk.account.records.live(kind.name, found[0])
        if record is None:
            return _DELETED
        changed = update(desk, kind, record, body)
        return changed if isinstance(changed, RowError) else Written(changed, created=False)
    if field.type == "id":
        return RowError(_CROSS, "invalid cross reference id", ("Id",), 404)
    made = insert(desk, kind, {**body, field.name: value})
    return made if isinstance(made, RowError) else Written(made, created=True)


def ids_with(desk: Desk, kind: Sobject, field: Field, value: Any) -> list[str]:
    """Ids of live rows whose field has this value."""
    if field.type == "id":
        whole = full(str(value))
        record = None if whole is None else desk.account.records.live(kind.name, whole)
        return [] if record is None else [record.record_id]
    return desk.account.records.ids_with(kind.name, field.name, value)


def find(desk: Desk, kind: Sobject, text: str) -> Record | RowError:
    """The live row with this id."""
    whole = full(text)
    if whole is None or not whole.startswith(kind.prefix):
        return RowError(
            "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + text, (), 404
        )
    record = desk.account.records.find(kind.name, whole)
    if record is None:
        return RowError("NOT_FOUND", "The requested resource does not exist", (), 404)
    return _DELETED if record.archived else record


def delete(desk: Desk, kind: Sobject, text: str) -> Record | RowError:
    """Put the row with this id into the bin."""
    record = find(desk, kind, text)
    if isinstance(record, Record):
        put_away(desk, kind, record)
    return record


def put_away(desk: Desk, kind: Sobject, record: Record) -> None:
    """Put a live row into the bin; its stamps tell when."""
    now = stamp(desk.call.now_ms)
    desk.archive(record, kind.lookups, stamps={"LastModifiedDate": now, "SystemModstamp": now})


def taken(desk: Desk, kind: Sobject, fields: Fields) -> RowError | None:
    """Why a row of these fields cannot be there besides the others; None when it can."""
    return _taken(desk, kind, fields, None)


def kind_by_id(text: str) -> Sobject | None:
    """The sObject that an id belongs to, by its first three characters."""
    return next((one for one in sobjects().values() if text.startswith(one.prefix)), None)


def shown(record: Record, kind: Sobject, version: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """A row as an answer tells it: the named fields, or all of them."""
    url = f"/services/data/{version}/sobjects/{kind.name}/{record.record_id}"
    told: dict[str, Any] = {"attributes": {"type": kind.name, "url": url}}
    for name in names or kind.fields:
        told[name] = read(record, name)
    return told


def read(record: Record, name: str) -> Any:
    """One field of a row."""
    if name == "IsDeleted":
        return record.archived
    return record.fields.get(name)


def _given(desk: Desk, kind: Sobject, body: Body, *, creating: bool) -> Fields | RowError:
    fields: Fields = {}
    for name, value in body.items():
        if name == "attributes" or name.lower() == "id":
            continue
        one = kind.relationships.get(name) if isinstance(value, dict) else kind.field(name)
        if one is None:
            return RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        if not (one.createable if creating else one.updateable):
            return _read_only(one)
        result = _related(desk, one, value) if isinstance(value, dict) else value_of(one, value)
        if isinstance(result, RowError):
            return result
        if one.type == "reference" and isinstance(result, str) and not _exists(desk, one, result):
            return RowError(_CROSS, "invalid cross reference id", (one.name,))
        fields[one.name] = result
    return fields


def _related(desk: Desk, field: Field, value: Mapping[str, Any]) -> str | RowError:
    told = (value.get("attributes") or {}).get("type")
    target = sobject(str(told or field.reference_to[0]))
    keys = [name for name in value if name != "attributes"]
    if target is None or len(keys) != 1:
        return RowError(
            "INVALID_FIELD", f"Cannot reference {field.relationship} by {', '.join(keys) or 'nothing'}"
        )
    by = target.field(keys[0])
    if by is None or not by.lookup:
        message = f"The external foreign key reference does not reference a valid entity: {keys[0]}"
        return RowError("INVALID_FIELD", message)
    wanted = value[keys[0]]
    found = desk.account.records.ids_with(target.name, by.name, wanted)
    if len(found) == 1:
        return found[0]
    return RowError(
        "INVALID_FIELD",
        f"Foreign key external ID: {wanted} not found for field {by.name} in entity {target.name}",
    )


def _exists(desk: Desk, field: Field, whole: str) -> bool:
    targets = (sobject(name) for name in field.reference_to)
    known = [one for one in targets if one is not None]
    if not known:
        return True
    return any(whole.startswith(one.prefix) and desk.account.records.live(one.name, whole) for one in known)


def _taken(desk: Desk, kind: Sobject, given: Fields, own_id: str | None) -> RowError | None:
    for name in kind.unique:
        value = given.get(name)
        if value is None:
            continue
        for other in desk.account.records.ids_with(kind.name, name, value):
            if other != own_id:
                message = f"duplicate value found: {name} duplicates value on record with id: {other}"
                return RowError("DUPLICATE_VALUE", message)
    return None


def _duplicate(desk: Desk, kind: Sobject, given: Fields) -> RowError | None:
    allowed = "allowsave=true" in desk.call.headers.get("sforce-duplicate-rule-header", "").lower().replace(
        " ", ""
    )
    email = given.get("Email")
    if not desk.account.options.duplicate_rule or kind.name != "Contact" or email is None or allowed:
        return None
    found = desk.account.records.ids_with(kind.name, "Email", email)
    if not found:
        return None
    matches = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {"attributes": {"type": kind.name}, "Id": other},
        }
        for other in found
    ]
    result = {
        "allowSave": True,
        "duplicateRule": "Standard_Contact_Duplicate_Rule",
        "duplicateRuleEntityType": kind.name,
        "errorMessage": "Use one of these records?",
        "matchResults": [
            {
                "entityType": kind.name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": matches,
                "rule": "Standard_Contact_Match_Rule_v1_1",
                "size": len(matches),
                "success": True,
            }
        ],
    }
    return RowError("DUPLICATES_DETECTED", "Use one of these records?", more={"duplicateResult": result})


def _born(kind: Sobject, own_id: str, given: Fields, now: str) -> Fields:
    fields: Fields = dict(kind.born)
    fields |= {name: value for name, value in given.items() if value is not None}
    fields |= {"Id": own_id, "CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
    fields |= {"CreatedById": USER_ID, "LastModifiedById": USER_ID, "OwnerId": fields.get("OwnerId", USER_ID)}
    fields.pop("IsDeleted", None)
    return _named(kind, fields)


def _named(kind: Sobject, fields: Fields) -> Fields:
    if "LastName" not in kind.fields:
        return fields
    return {
        **fields,
        "Name": " ".join(fields[part] for part in ("FirstName", "LastName") if fields.get(part)),
    }


def _missing(names: tuple[str, ...]) -> RowError:
    return RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)


def _read_only(field: Field) -> RowError:
    message = (
        f"Unable to create/update fields: {field.name}. Please check the security settings of this field and verify "
        "that it is read/write for your profile or permission set."
    )
    return RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, (field.name,))
