"""Owns the calls that Salesforce offers in SOAP alone: `merge`, `undelete`, `emptyRecycleBin` and `convertLead` of the partner API.

Source: SOAP API Developer Guide, merge() and undelete(); the partner WSDL. A merge deletes the others into the bin with
`MasterRecordId` and re-parents what refers to them; an undelete brings a row back, and re-parents nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from headwater.sandbox.call import Answer, Call, Refusal, route
from headwater.sandbox.salesforce import converting, rows
from headwater.sandbox.salesforce.describe import sobject, sobjects
from headwater.sandbox.salesforce.errors import RowError
from headwater.sandbox.salesforce.ids import full
from headwater.sandbox.salesforce.values import stamp
from headwater.sandbox.store.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headwater.sandbox.desk import Desk
    from headwater.sandbox.salesforce.describe import Sobject

PATH = "/services/Soap/u/"
XML_TYPE = "text/xml;charset=UTF-8"
MERGEABLE = ("Account", "Contact", "Lead")
OTHERS_MAX = 2
"""Records that one merge puts into the master."""
BIN_MS = 15 * 86_400_000
"""How long a deleted row can be brought back."""

_ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
_API = "{urn:partner.soap.sforce.com}"
_SESSION = re.compile(rb"<(?:\w+:)?sessionId>([^<]*)<")


def session_of(call: Call) -> str:
    """The session that a SOAP call carries in its body; empty when it has none."""
    found = _SESSION.search(call.body)
    return found[1].decode() if found else ""


def fault(code: str, message: str) -> Answer:
    """A SOAP fault."""
    told = f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring></soapenv:Fault>"
    return _answer(500, told)


def _call(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    try:
        root = ET.fromstring(call.body)  # noqa: S314 - loopback only, and expat bounds what entities make
    except ET.ParseError as error:
        raise _refusal("MALFORMED", str(error)) from error
    asked = root.find(f"{_ENVELOPE}Body")
    operation = None if asked is None or not len(asked) else asked[0]
    if operation is not None and operation.tag == f"{_API}merge":
        told = [_merge(desk, one) for one in operation.findall(f"{_API}request")]
        return _result("merge", told)
    if operation is not None and operation.tag == f"{_API}undelete":
        told = [_undelete(desk, one.text or "") for one in operation.findall(f"{_API}ids")]
        return _result("undelete", told)
    if operation is not None and operation.tag == f"{_API}emptyRecycleBin":
        told = [_empty(desk, one.text or "") for one in operation.findall(f"{_API}ids")]
        return _result("emptyRecycleBin", told)
    if operation is not None and operation.tag == f"{_API}convertLead":
        told = [_convert(desk, one) for one in operation.findall(f"{_API}leadConverts")]
        return _result("convertLead", told)
    raise _refusal("INVALID_OPERATION", "No operation available for this request")


def _merge(desk: Desk, request: ET.Element) -> str:
    master = request.find(f"{_API}masterRecord")
    given = {} if master is None else {one.tag.rpartition("}")[2]: one.text for one in master}
    kind = sobject(str(given.pop("type", "")))
    others = [one.text or "" for one in request.findall(f"{_API}recordToMergeIds")]
    if kind is None or kind.name not in MERGEABLE:
        return _failed(RowError("INVALID_TYPE", "this type of object cannot be merged"))
    if not 0 < len(others) <= OTHERS_MAX:
        return _failed(RowError("NUMBER_OUTSIDE_VALID_RANGE", "one or two records can be merged"))
    found = [rows.find(desk, kind, one) for one in (str(given.pop("Id", "")), *others)]
    error = next((one for one in found if isinstance(one, RowError)), None)
    if error is not None:
        return _failed(error)
    records = [one for one in found if isinstance(one, Record)]
    if len({one.record_id for one in records}) != len(records):
        return _failed(RowError("DUPLICATE_VALUE", "a record cannot be merged with itself"))
    moved: list[str] = []
    for other in records[1:]:
        moved += _put_into(desk, kind, records[0], other)
    if given:
        changed = rows.update(desk, kind, records[0], dict(given))
        if isinstance(changed, RowError):
            raise _refusal(changed.code, changed.message)
    return _done(
        records[0].record_id,
        {"mergedRecordIds": [one.record_id for one in records[1:]], "updatedRelatedIds": moved},
    )


def _put_into(desk: Desk, kind: Sobject, master: Record, other: Record) -> list[str]:
    """Re-parent what refers to a row, and delete it; return the rows that were re-parented."""
    moved: list[str] = []
    for child in sobjects().values():
        fields = [
            one.name for one in child.fields.values() if kind.name in one.reference_to and one.updateable
        ]
        for row in desk.account.records.scan(child.name):
            tied = {name: master.record_id for name in fields if row.fields.get(name) == other.record_id}
            if tied and row.record_id not in {master.record_id, other.record_id}:
                desk.update(row, {**row.fields, **tied}, child.lookups, stamps=_stamps(desk))
                moved.append(row.record_id)
    desk.archive(other, kind.lookups, stamps={**_stamps(desk), "MasterRecordId": master.record_id})
    return moved


def _convert(desk: Desk, request: ET.Element) -> str:
    given = {one.tag.rpartition("}")[2]: one.text or "" for one in request}
    lead = converting.convert(desk, given)
    if isinstance(lead, RowError):
        return _failed(lead)
    names = {"accountId": "ConvertedAccountId", "contactId": "ConvertedContactId"}
    told = "".join(f"<{name}>{lead.fields[field]}</{name}>" for name, field in names.items())
    return f"{told}<leadId>{lead.record_id}</leadId><success>true</success>"


def _undelete(desk: Desk, text: str) -> str:
    whole = full(text)
    kind = None if whole is None else rows.kind_by_id(whole)
    record = None if whole is None or kind is None else desk.account.records.find(kind.name, whole)
    if kind is None or record is None:
        return _failed(RowError("INVALID_ID_FIELD", f"bad id {text}"))
    if not record.archived or desk.call.now_ms - record.updated_ms > BIN_MS:
        return _failed(RowError("UNDELETE_FAILED", "Entity is not in the recycle bin"))
    fields = {name: value for name, value in record.fields.items() if name != "MasterRecordId"}
    taken = rows.taken(desk, kind, fields)
    if taken is not None:
        return _failed(taken)
    desk.restore(record, {**fields, **_stamps(desk)}, kind.lookups)
    return _done(record.record_id, {})


def _empty(desk: Desk, text: str) -> str:
    whole = full(text)
    kind = None if whole is None else rows.kind_by_id(whole)
    record = None if whole is None or kind is None else desk.account.records.find(kind.name, whole)
    if kind is None or record is None:
        return _failed(RowError("INVALID_ID_FIELD", f"bad id {text}"))
    if not record.archived:
        return _failed(RowError("DELETE_FAILED", "Entity is not in the recycle bin"))
    desk.account.records.erase(record)
    return _done(record.record_id, {})


def _stamps(desk: Desk) -> dict[str, Any]:
    now = stamp(desk.call.now_ms)
    return {"LastModifiedDate": now, "SystemModstamp": now}


def _done(record_id: str, lists: Mapping[str, Sequence[str]]) -> str:
    ids = "".join(f"<{name}>{one}</{name}>" for name, several in lists.items() for one in several)
    return f"<id>{record_id}</id>{ids}<success>true</success>"


def _failed(error: RowError) -> str:
    told = f"<message>{escape(error.message)}</message><statusCode>{error.code}</statusCode>"
    return f"<errors>{told}</errors><success>false</success>"


def _result(operation: str, told: Iterable[str]) -> Answer:
    results = "".join(f"<result>{one}</result>" for one in told)
    return _answer(200, f"<{operation}Response>{results}</{operation}Response>")


def _answer(status: int, body: str) -> Answer:
    head = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>'
    )
    return Answer(status, f"{head}{body}</soapenv:Body></soapenv:Envelope>", content_type=XML_TYPE)


def _refusal(code: str, message: str) -> Refusal:
    return Refusal(fault(code, message), f"{code}: {message}")


ROUTES = (route("POST", f"{PATH}{{version}}", "soap", _call),)
