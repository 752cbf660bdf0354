"""HubSpot's requests built and answers taken apart. Pure: values in, values out.

Source: HubSpot CRM API v3 (objects, properties) and v4 (associations); the models of its own client.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from headwater.connectors.base.errors import ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.moments import utc_text
from headwater.connectors.base.port import Failed, Found, Outcome, Target, Write, Written
from headwater.connectors.hubspot.errors import error_of_entry

BATCH_RECORDS_MAX: Final = 100
"""Inputs per batch call of the v3 object API."""
ASSOCIATIONS_MAX: Final = 100
"""Pairs per association call; HubSpot takes more, but a refused call is then costlier to take apart."""
NAMING_VALUE_CHARS_MIN: Final = 5
"""A value shorter than this is not taken as a record's name in a message: it may stand there by chance."""

_OBJECTS: Final = "/crm/v3/objects"
_ASSOCIATIONS: Final = "/crm/v4/associations"
_PROPERTIES: Final = "/crm/v3/properties"
_TRUE: Final = "true"

_GROUPS: Final[Mapping[str, str]] = {
    "contacts": "contactinformation",
    "companies": "companyinformation",
    "deals": "dealinformation",
}
"""Property group of custom fields per object; other objects take the group of their first property."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One association to bring about."""

    external_id: str
    from_id: str
    to_id: str


def upsert_request(target: Target, writes: Sequence[Write]) -> Request:
    """Return the upsert by external id; HubSpot sets the id property itself."""
    inputs = [
        {
            "idProperty": target.external_id_field,
            "id": write.external_id,
            "objectWriteTraceId": write.external_id,
            "properties": render_all(write.fields),
        }
        for write in writes
    ]
    return _batch(target, "upsert", {"inputs": inputs}, "write")


def update_request(target: Target, writes: Sequence[Write]) -> Request:
    """Return the update by CRM id; it claims the records by setting the external id."""
    inputs = [
        {
            "id": write.crm_id,
            "objectWriteTraceId": write.external_id,
            "properties": {**render_all(write.fields), target.external_id_field: write.external_id},
        }
        for write in writes
    ]
    return _batch(target, "update", {"inputs": inputs}, "write")


def read_request(target: Target, external_ids: Sequence[str]) -> Request:
    """Return the read by external id."""
    body = {
        "idProperty": target.external_id_field,
        "properties": [target.external_id_field, *target.fields],
        "propertiesWithHistory": [],
        "inputs": [{"id": external_id} for external_id in external_ids],
    }
    return _batch(target, "read", body, "read")


def owners_request(target: Target, crm_ids: Sequence[str]) -> Request:
    """Return the read by HubSpot's own id, of the external id alone."""
    body = {
        "properties": [target.external_id_field],
        "propertiesWithHistory": [],
        "inputs": [{"id": crm_id} for crm_id in crm_ids],
    }
    return _batch(target, "read", body, "read")


def associate_request(target: Target, to_object: str, pairs: Sequence[Pair]) -> Request:
    """Return the call that associates every pair by the default type."""
    path = f"{_ASSOCIATIONS}/{quote(target.crm_object, safe='')}/{quote(to_object, safe='')}/batch/associate/default"
    template = f"{_ASSOCIATIONS}/{{fromObjectType}}/{{toObjectType}}/batch/associate/default"
    inputs = [{"from": {"id": pair.from_id}, "to": {"id": pair.to_id}} for pair in pairs]
    return Request("POST", path, template, "write", body={"inputs": inputs})


def properties_request(crm_object: str) -> Request:
    """Return the call for every property of an object."""
    return Request("GET", _properties_path(crm_object), f"{_PROPERTIES}/{{objectType}}", "read")


def create_property_request(
    crm_object: str, name: str, known: Mapping[str, Mapping[str, Any]], *, unique: bool
) -> Request:
    """Return the call that creates a custom text property."""
    body = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": "string",
        "fieldType": "text",
        "groupName": _GROUPS.get(crm_object) or _first_group(known),
        "description": "Kept by Headwater; do not edit.",
        "hasUniqueValue": unique,
    }
    return Request("POST", _properties_path(crm_object), f"{_PROPERTIES}/{{objectType}}", "write", body=body)


def probe_request(crm_object: str) -> Request:
    """Return the cheapest call that proves token and read permission."""
    path = f"{_OBJECTS}/{quote(crm_object, safe='')}"
    return Request("GET", path, f"{_OBJECTS}/{{objectType}}", "read", query={"limit": "1"})


def render(value: Any) -> str:
    """Return *value* as HubSpot takes it: always text, "" to clear."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _TRUE if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    if isinstance(value, list | tuple):
        return ";".join(render(item) for item in value)
    return str(value)


def render_all(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return every field as HubSpot takes it."""
    return {name: render(value) for name, value in fields.items()}


def typed(value: str | None, property_type: str) -> Any:
    """Return a property's text in the type that was written; text that does not parse stays text."""
    if value is None or value == "":
        return None
    if property_type == "bool":
        return value == _TRUE if value in {_TRUE, "false"} else value
    if property_type == "number":
        try:
            number = Decimal(value)
        except ArithmeticError:
            return value
        return int(number) if number == number.to_integral_value() else float(number)
    return utc_text(value) if property_type == "datetime" else value


def read_outcomes(body: Any, target: Target, writes: Sequence[Write]) -> dict[str, Outcome]:
    """Return the outcome of every write that the answer speaks of, by external id; the order is HubSpot's own."""
    owners = _owners(writes)
    outcomes: dict[str, Outcome] = {}
    for result in _items(body, "results"):
        owner = _owner(result, target, owners)
        if owner and result.get("id"):
            outcomes[owner] = Written(crm_id=str(result["id"]), created=result.get("new") is True)
    strays: list[VendorError] = []
    for entry in _items(body, "errors"):
        error = error_of_entry(entry, _status_of(entry))
        named = named_in(entry, owners)
        strays.extend([] if named else [error])
        outcomes = {**{owner: Failed(error) for owner in named}, **outcomes}
    silent = [write.external_id for write in writes if write.external_id not in outcomes]
    if len(silent) == 1 and strays:
        outcomes[silent[0]] = Failed(strays[0])
    return outcomes


def concerned(error: VendorError, entry: Any, writes: Sequence[Write]) -> Collection[str]:
    """Return the external ids a refused call is about, as far as its body names them; empty when it does not."""
    if error.code == "PROPERTY_DOESNT_EXIST":
        return [write.external_id for write in writes if error.field in write.fields]
    named = named_in(entry, _owners(writes)) if isinstance(entry, dict) else set()
    if named:
        return named
    holders = [write.external_id for write in writes if _holds(write, error)]
    return holders if len(holders) == 1 else ()


def named_in(entry: Mapping[str, Any], owners: Mapping[str, str]) -> set[str]:
    """Return the external ids whose ids stand in the entry's contexts or its `id`."""
    contexts = [entry.get("context"), *[item.get("context") for item in _items(entry, "errors")]]
    texts = {str(entry.get("id") or "")}
    for context in contexts:
        for values in context.values() if isinstance(context, dict) else ():
            texts |= {str(value) for value in (values if isinstance(values, list) else [values])}
    return {owners[text] for text in texts if text in owners}


def read_found(body: Any, target: Target, types: Mapping[str, str]) -> dict[str, Found]:
    """Return the records of a read by their external id."""
    found: dict[str, Found] = {}
    for result in _items(body, "results"):
        values = result.get("properties")
        properties: Mapping[str, Any] = values if isinstance(values, dict) else {}
        external_id = str(properties.get(target.external_id_field) or "")
        if external_id and result.get("archived") is not True:
            fields = {name: typed(properties.get(name), types.get(name, "string")) for name in target.fields}
            found[external_id] = Found(external_id, str(result["id"]), fields)
    return found


def read_owners(body: Any, target: Target) -> dict[str, str]:
    """Return CRM id to external id of the records of a read; empty where a record has none."""
    return {
        str(result["id"]): str((result.get("properties") or {}).get(target.external_id_field) or "")
        for result in _items(body, "results")
    }


def read_associated(body: Any, pairs: Sequence[Pair]) -> dict[Pair, Outcome]:
    """Return the outcome of every pair; one neither confirmed nor refused is missing where errors were told."""
    outcomes: dict[Pair, Outcome] = {}
    entries = list(_items(body, "errors"))
    for entry in entries:
        error = as_reference(error_of_entry(entry, _status_of(entry)))
        for pair in pairs:
            if named_in(entry, {pair.to_id: pair.external_id}):
                outcomes[pair] = Failed(error)
    confirmed = {(_end(item, "from"), _end(item, "to")) for item in _items(body, "results")}
    for pair in pairs:
        told = (pair.from_id, pair.to_id) in confirmed or (pair.to_id, pair.from_id) in confirmed
        if pair not in outcomes and (told or not entries):
            outcomes[pair] = Written(pair.from_id, created=False)
    return outcomes


def as_reference(error: VendorError) -> VendorError:
    """Return the failure of an association in a class that makes the record be tried again.

    A doubt becomes NETWORK: associating is idempotent, and looking the record up would not show its associations.
    """
    about_ends = {ErrorClass.VALIDATION, ErrorClass.NOT_FOUND, ErrorClass.CONFLICT}
    if error.error_class in about_ends:
        return replace(error, error_class=ErrorClass.REFERENCE)
    if error.error_class in {ErrorClass.IN_DOUBT, ErrorClass.PARTIAL}:
        return replace(error, error_class=ErrorClass.NETWORK)
    return error


def read_properties(body: Any) -> dict[str, Mapping[str, Any]]:
    """Return the definitions of an object's properties by name."""
    return {str(item["name"]): item for item in _items(body, "results") if item.get("name")}


def read_only(definition: Mapping[str, Any]) -> bool:
    """Tell whether values of a property cannot be written."""
    metadata = definition.get("modificationMetadata")
    stated = isinstance(metadata, dict) and metadata.get("readOnlyValue") is True
    return stated or definition.get("calculated") is True


def _batch(target: Target, verb: str, body: Any, endpoint_class: Any) -> Request:
    path = f"{_OBJECTS}/{quote(target.crm_object, safe='')}/batch/{verb}"
    return Request("POST", path, f"{_OBJECTS}/{{objectType}}/batch/{verb}", endpoint_class, body=body)


def _properties_path(crm_object: str) -> str:
    return f"{_PROPERTIES}/{quote(crm_object, safe='')}"


def _first_group(known: Mapping[str, Mapping[str, Any]]) -> str:
    return next(
        (str(item["groupName"]) for item in known.values() if item.get("groupName")), "contactinformation"
    )


def _owners(writes: Sequence[Write]) -> dict[str, str]:
    by_crm_id = {write.crm_id: write.external_id for write in writes if write.crm_id}
    return {**by_crm_id, **{write.external_id: write.external_id for write in writes}}


def _owner(result: Mapping[str, Any], target: Target, owners: Mapping[str, str]) -> str:
    properties = result.get("properties")
    held = properties.get(target.external_id_field) if isinstance(properties, dict) else None
    for text in (held, result.get("objectWriteTraceId"), result.get("id")):
        if text is not None and str(text) in owners:
            return owners[str(text)]
    return ""


def _holds(write: Write, error: VendorError) -> bool:
    value = render(write.fields.get(error.field)) if error.field in write.fields else ""
    return len(value) >= NAMING_VALUE_CHARS_MIN and value in error.message


def _status_of(entry: Mapping[str, Any]) -> int:
    text = str(entry.get("status") or "")
    return int(text) if text.isdigit() else 400


def _end(item: Mapping[str, Any], side: str) -> str:
    end = item.get(side)
    return str(end.get("id") or "") if isinstance(end, dict) else ""


def _items(body: Any, name: str) -> Iterator[Mapping[str, Any]]:
    values = body.get(name) if isinstance(body, dict) else None
    yield from (item for item in values if isinstance(item, dict)) if isinstance(values, list) else ()
