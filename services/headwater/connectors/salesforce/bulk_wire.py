"""Requests of Bulk API 2.0 ingest jobs built and answers taken apart. Pure: values in, values out, and a rest now and then.

An empty value leaves a field as it is, `#N/A` clears it; so records that change different fields go in one upload.

Source: Bulk API 2.0 and Bulk API Developer Guide: ingest jobs, prepare CSV files, limits.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from headwater.connectors.base.bulk import BulkResults, JobState
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Content, Request
from headwater.connectors.base.port import Failed, Outcome, Target, Write, Written
from headwater.connectors.salesforce.errors import error_of_record

RECORDS_MIN: Final = 2_000
"""Salesforce advises Bulk API 2.0 above so many records."""
RECORDS_MAX: Final = 10_000
"""Records of one job of ours: what Salesforce works off as one batch of its 15,000 a day."""
UPLOAD_BYTES_MAX: Final = 10_000_000
"""Salesforce takes 150 MB; results repeat every row, and are read whole within `http.RESPONSE_BYTES_MAX`."""

STEP_ROWS: Final = 64
"""Rows that a thread works on at a stretch."""
STEP_REST_S: Final = 0.0005
"""How long it rests behind them."""

_NULL: Final = "#N/A"
_ID: Final = "Id"
_OWN_ID, _CREATED, _ERROR = "sf__Id", "sf__Created", "sf__Error"
_QUOTES: Final = 3
"""Bytes that a value adds to a row besides its own: two quotes and a comma."""
_STATES: Final[Mapping[str, JobState]] = {
    "Open": JobState.OPEN,
    "UploadComplete": JobState.RUNNING,
    "InProgress": JobState.RUNNING,
    "JobComplete": JobState.DONE,
    "Failed": JobState.DONE,
    "Aborted": JobState.DONE,
}
_UNREADABLE: Final = VendorError(
    ErrorClass.SERVER, "RESULTS_UNREADABLE", "the results of a job are no CSV of its rows"
)

Item = TypeVar("Item")


def open_request(version: str, target: Target, writes: Sequence[Write]) -> Request:
    """Return the call that opens a job: an upsert by external id, or an update where the CRM ids are known."""
    body = {"object": target.crm_object, "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
    if writes[0].crm_id:
        body["operation"] = "update"
    else:
        body |= {"operation": "upsert", "externalIdFieldName": target.external_id_field}
    return Request("POST", f"{_root(version)}", _root("{version}"), "write", body=body)


def upload_request(version: str, job_id: str, rows: bytes) -> Request:
    """Return the upload of a job's rows, a CSV."""
    content = Content(lambda _token: rows, {"Content-Type": "text/csv; charset=UTF-8"})
    template = f"{_root('{version}')}/{{job}}/batches"
    return Request("PUT", f"{_place(version, job_id)}/batches", template, "write", content=content)


def state_request(version: str, job_id: str, state: str) -> Request:
    """Return the call that closes (`UploadComplete`) or aborts (`Aborted`) a job."""
    return Request(
        "PATCH", _place(version, job_id), f"{_root('{version}')}/{{job}}", "write", body={"state": state}
    )


def look_request(version: str, job_id: str) -> Request:
    """Return the call for how a job stands."""
    return Request("GET", _place(version, job_id), f"{_root('{version}')}/{{job}}", "read")


def results_request(version: str, job_id: str, which: str) -> Request:
    """Return the call for one of a job's results: `successfulResults`, `failedResults` or `unprocessedrecords`."""
    template = f"{_root('{version}')}/{{job}}/{which}"
    return Request("GET", f"{_place(version, job_id)}/{which}", template, "read")


def csv_of(target: Target, writes: Sequence[Write]) -> bytes:
    """Return the upload of *writes*: a column for every field that one of them changes. For a thread of its own."""
    rows = [_row(target, write) for write in _in_steps(writes)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in _in_steps(rows))
    return out.getvalue().encode()


def bytes_of(target: Target, write: Write) -> int | None:
    """Return what a write adds to an upload at most; None where a text would be taken for what clears the field."""
    row = _row(target, write)
    if any(value == _NULL for value in write.fields.values()):
        return None
    columns = len(target.fields) + len(target.references) + 2
    return sum(len(value.encode()) + value.count('"') for value in row.values()) + _QUOTES * columns + 1


def read_state(body: Any) -> JobState:
    """Return how a job stands; a state nobody knows may still come to an end."""
    return _STATES.get(str(body.get("state")) if isinstance(body, dict) else "", JobState.RUNNING)


def job_id_of(body: Any) -> str:
    """Return the id of a job that was opened.

    Raises: CallFailed when the answer has none.
    """
    found = str(body.get("id") or "") if isinstance(body, dict) else ""
    if not found:
        raise CallFailed(VendorError(ErrorClass.SERVER, "NO_JOB_ID", "the answer names no job"))
    return found


def read_results(
    target: Target, writes: Sequence[Write], good: Answer, bad: Answer, left: Answer
) -> BulkResults:
    """Return what became of *writes*, matched by external id. For a thread of its own.

    Raises: CallFailed when a result is no CSV of the job's rows.
    """
    by_id = {write.external_id: write for write in writes}
    outcomes: dict[str, Outcome] = {}
    for row in _rows(good, target):
        if write := by_id.get(row[target.external_id_field]):
            outcomes[write.external_id] = Written(
                row[_OWN_ID] or write.crm_id, created=row[_CREATED] == "true"
            )
    for row in _rows(bad, target):
        if write := by_id.get(row[target.external_id_field]):
            outcomes[write.external_id] = Failed(error_of_record(_refusal(row[_ERROR]), write))
    untouched = {row[target.external_id_field] for row in _rows(left, target)}
    return BulkResults(outcomes, frozenset(untouched.intersection(by_id).difference(outcomes)))


def _refusal(text: str) -> dict[str, Any]:
    """Return `CODE:words:FIELD,FIELD --` as an item of a collection tells it."""
    code, _, rest = text.partition(":")
    words, _, fields = rest.rpartition(":")
    names = [name.strip() for name in fields.removesuffix("--").split(",") if name.strip()]
    return {"statusCode": code, "message": words or rest, "fields": names if words else []}


def _rows(answer: Answer, target: Target) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a result; an empty body has none."""
    try:
        text = answer.body.decode()
        for row in _in_steps(csv.DictReader(io.StringIO(text, newline=""), strict=True)):
            if None in row or None in row.values() or target.external_id_field not in row:
                raise CallFailed(_UNREADABLE)
            yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise CallFailed(_UNREADABLE) from error


def _in_steps(items: Iterable[Item]) -> Iterator[Item]:
    """Yield *items* and let go of the interpreter now and then: the loop would wait its whole switch interval for each turn."""
    for number, item in enumerate(items, 1):
        if number % STEP_ROWS == 0:
            time.sleep(STEP_REST_S)
        yield item


def _row(target: Target, write: Write) -> dict[str, str]:
    links = {reference.name: reference.crm_ids[0] for reference in write.references if reference.crm_ids}
    identity = {_ID: write.crm_id} if write.crm_id else {}
    told = {name: _text(value) for name, value in {**write.fields, **links}.items()}
    return {target.external_id_field: write.external_id, **identity, **told}


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _place(version: str, job_id: str) -> str:
    return f"{_root(version)}/{quote(job_id, safe='')}"


def _root(version: str) -> str:
    return f"/services/data/{version}/jobs/ingest"
