"""Salesforce's requests and answers about merging, in REST and in SOAP. Pure. Source: see `merging`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Content, Request, failure_of_status, readable
from headwater.connectors.base.merging import Step
from headwater.connectors.salesforce.errors import BY_CODE
from headwater.connectors.salesforce.wire import BATCH_RECORDS_MAX, soql_text

_SOAP_HEADERS: Final = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', "Accept": "text/xml"}
_OK: Final = 200
_ID: Final = re.compile(r"<id>(\w{15,18})</id>")
_SUCCESS: Final = re.compile(r"<success>(true|false)</success>")
_STATUS: Final = re.compile(r"<statusCode>(\w+)</statusCode>")
_MESSAGE: Final = re.compile(r"<message>(.*?)</message>", re.DOTALL)
_FAULT: Final = re.compile(
    r"<faultcode>(?:\w+:)?(\w+)</faultcode>.*?<faultstring>(.*?)</faultstring>", re.DOTALL
)
_INVISIBLE: Final = frozenset({"INVALID_TYPE", "INVALID_FIELD"})
_GONE: Final = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
_CUSTOM: Final = "__c"


def merge(version: str, step: Step) -> Request:
    """Return the merge of one record into another, which exists in SOAP alone."""
    body = (
        f"<merge><request><masterRecord><o:type>{escape(step.crm_object)}</o:type><o:Id>{escape(step.crm_id)}</o:Id>"
        f"</masterRecord><recordToMergeIds>{escape(step.other_id)}</recordToMergeIds></request></merge>"
    )
    return soap_request(version, body)


def undelete(version: str, step: Step) -> Request:
    """Return the call that takes a record out of the bin, which exists in SOAP alone."""
    return soap_request(version, f"<undelete><ids>{escape(step.crm_id)}</ids></undelete>")


def create(version: str, step: Step) -> Request:
    """Return the creation of a record."""
    path = f"{_data(version)}/sobjects/{quote(step.crm_object, safe='')}"
    return Request(
        "POST", path, f"{_data('{version}')}/sobjects/{{sobject}}", "write", body=dict(step.fields)
    )


def change(version: str, step: Step) -> Request:
    """Return the change of a record."""
    return Request(
        "PATCH", _row(version, step.crm_object, step.crm_id), _ROW, "write", body=dict(step.fields)
    )


def row(version: str, crm_object: str, crm_id: str) -> Request:
    """Return the read of a whole record."""
    return Request("GET", _row(version, crm_object, crm_id), _ROW, "read")


def parent(version: str, step: Step) -> Iterator[Request]:
    """Yield the calls that make records refer to the step's record; each one's field says by what."""
    records = []
    for link in step.links:
        child, _, name = link.name.partition(".")
        records.append({"attributes": {"type": child}, "Id": link.other_id, name: step.crm_id})
    template = f"{_data('{version}')}/composite/sobjects"
    for start in range(0, len(records), BATCH_RECORDS_MAX):
        body = {"allOrNone": False, "records": records[start : start + BATCH_RECORDS_MAX]}
        yield Request("PATCH", f"{_data(version)}/composite/sobjects", template, "write", body=body)


def check_parented(body: Any) -> None:
    """Make sure that every record refers as it was told; ones that are gone have nothing to refer with.

    Raises: CallFailed.
    """
    for item in body if isinstance(body, list) else ():
        for error in item.get("errors") or () if not item.get("success") else ():
            code = str(error.get("statusCode"))
            if code not in _GONE:
                raise CallFailed(_refusal(code, str(error.get("message"))))


def bin_query(crm_object: str, crm_id: str) -> str:
    """Return the query for a deleted record and the one that it was merged into."""
    return f"SELECT Id, MasterRecordId FROM {crm_object} WHERE Id = {soql_text(crm_id)} AND IsDeleted = true"  # noqa: S608 - SOQL, escaped


def by_key(crm_object: str, key: str, value: str) -> str:
    """Return the query for a record by its external id."""
    return f"SELECT Id FROM {crm_object} WHERE {key} = {soql_text(value)}"  # noqa: S608 - SOQL, escaped


def child_query(child: str, name: str, crm_ids: Sequence[str]) -> str:
    """Return the query for what refers to records by a field."""
    ids = ", ".join(soql_text(one) for one in crm_ids)
    return f"SELECT Id, {name} FROM {child} WHERE {name} IN ({ids})"  # noqa: S608 - SOQL, escaped


def children(shape: Any, known: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return what refers to an object, by its describe: the *known* ways and every custom look-up."""
    told = shape.get("childRelationships") if isinstance(shape, dict) else None
    found = [(str(one.get("childSObject")), str(one.get("field"))) for one in told or ()]
    return tuple(sorted({pair for pair in found if pair in known or pair[1].endswith(_CUSTOM)}))


def writable(shape: Any) -> tuple[str, ...]:
    """Return the fields that a record can be made with and changed in."""
    fields = shape.get("fields") if isinstance(shape, dict) else None
    return tuple(
        sorted(str(one["name"]) for one in fields or () if one.get("createable") and one.get("updateable"))
    )


def required(shape: Any) -> tuple[str, ...]:
    """Return the fields that cannot be emptied."""
    fields = shape.get("fields") if isinstance(shape, dict) else None
    return tuple(sorted(str(one["name"]) for one in fields or () if one.get("nillable") is False))


def read_row(body: Any) -> dict[str, Any]:
    """Return the fields of a record that have a value."""
    return {name: value for name, value in body.items() if name != "attributes" and value is not None}


def made_id(body: Any) -> str:
    """Return the id of a record that was made. Raises: CallFailed."""
    found = body.get("id") if isinstance(body, dict) else None
    if not found:
        raise CallFailed(VendorError(ErrorClass.PARTIAL, "ANSWER_WITHOUT_ID", "the answer names no record"))
    return str(found)


def not_there(answer: Answer) -> bool:
    """Return whether a query was refused because object or field are not visible."""
    body = answer.json()
    entry = body[0] if isinstance(body, list) and body and isinstance(body[0], dict) else {}
    return answer.status != _OK and entry.get("errorCode") in _INVISIBLE


def session_refused(answer: Answer) -> bool:
    """Return whether a SOAP call was refused for its session."""
    return b"INVALID_SESSION_ID</faultcode>" in answer.body


def soap_id(answer: Answer) -> str:
    """Return the id that a SOAP call of one item answers with. Raises: CallFailed."""
    text = answer.body.decode("utf-8", "replace")
    fault = _FAULT.search(text)
    if fault:
        raise CallFailed(_refusal(fault[1], unescape(fault[2]), answer.status))
    success, found = _SUCCESS.search(text), _ID.search(text)
    if answer.status == _OK and success and success[1] == "true" and found:
        return found[1]
    if answer.status == _OK and success and success[1] == "false":
        status, message = _STATUS.search(text), _MESSAGE.search(text)
        raise CallFailed(
            _refusal(status[1] if status else "UNKNOWN", unescape(message[1]) if message else "")
        )
    if answer.status != _OK:
        raise CallFailed(failure_of_status(answer, writes=True))
    raise CallFailed(VendorError(ErrorClass.PARTIAL, "ANSWER_UNREADABLE", "the answer names no record"))


def _refusal(code: str, message: str, status: int = 0) -> VendorError:
    known: Mapping[str, ErrorClass] = {**BY_CODE, "UNDELETE_FAILED": ErrorClass.NOT_FOUND}
    return VendorError(known.get(code, ErrorClass.VALIDATION), code, readable(message), status)


def soap_request(version: str, operation: str) -> Request:
    """Return the call of an operation of the partner API."""
    number = version.removeprefix("v")

    def envelope(token: str) -> bytes:
        return (
            '<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns="urn:partner.soap.sforce.com" xmlns:o="urn:sobject.partner.soap.sforce.com"><e:Header>'
            f"<SessionHeader><sessionId>{escape(token)}</sessionId></SessionHeader></e:Header>"
            f"<e:Body>{operation}</e:Body></e:Envelope>"
        ).encode()

    content = Content(envelope, _SOAP_HEADERS)
    return Request(
        "POST", f"/services/Soap/u/{number}", "/services/Soap/u/{version}", "write", content=content
    )


def _data(version: str) -> str:
    return f"/services/data/{version}"


def _row(version: str, crm_object: str, crm_id: str) -> str:
    return f"{_data(version)}/sobjects/{quote(crm_object, safe='')}/{quote(crm_id, safe='')}"


_ROW: Final = f"{_data('{version}')}/sobjects/{{sobject}}/{{id}}"
