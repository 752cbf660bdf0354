"""Owns Bulk API 2.0 ingest jobs as they are called: open, upload once, close or abort, look, results.

Source: Bulk API 2.0 and Bulk API Developer Guide, ingest jobs.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Answer, Call, route
from headwater.sandbox.salesforce.bulk_book import OVER, BulkBook, Job, batches_used, csv_text, table_of
from headwater.sandbox.salesforce.describe import sobject
from headwater.sandbox.salesforce.errors import RowError, nothing_there, refusal
from headwater.sandbox.salesforce.ids import USER_ID, record_id
from headwater.sandbox.salesforce.requests import body_of, key_field, version_in
from headwater.sandbox.salesforce.values import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

CSV_TYPE = "text/csv"
UPLOAD_BYTES_MAX = 150_000_000
"""Largest upload of one job."""
_OPERATIONS = frozenset({"insert", "update", "upsert"})
_JOB_PREFIX = "750"


def _open(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    body = body_of(call)
    kind = sobject(str(body.get("object") or ""))
    if kind is None:
        raise refusal(RowError("INVALIDENTITY", f"Unable to find object: {body.get('object')}"))
    operation = str(body.get("operation") or "")
    if operation not in _OPERATIONS:
        raise refusal(RowError("CLIENTINPUTERROR", f"Unknown operation: {operation}"))
    key = str(body.get("externalIdFieldName") or "")
    if operation == "upsert":
        if not key:
            raise refusal(RowError("CLIENTINPUTERROR", "External ID field name is required for upsert jobs"))
        key = key_field(kind, key).name
    if str(body.get("contentType") or "CSV") != "CSV":
        raise refusal(RowError("CLIENTINPUTERROR", "Only CSV is supported"))
    if batches_used(desk.account, call.now_ms) >= desk.account.options.bulk_batches_daily_max:
        raise refusal(RowError("EXCEEDEDQUOTA", "ApiBatchItems Limit exceeded."))
    job_id = record_id(_JOB_PREFIX, desk.account.records.take_number())
    definition = {"object": kind.name, "operation": operation, "version": params["version"]}
    if operation == "upsert":
        definition["externalIdFieldName"] = key
    job = BulkBook(desk.account).open(job_id, definition, call.now_ms, call.number)
    return Answer(200, _told(job))


def _upload(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    book, job = _job(desk, params)
    if job.state != "Open":
        raise _bad_state(f"Job is in state {job.state} and takes no data")
    if job.has_content:
        message = f"Found multiple contents for job: <{job.job_id}>, please 'Close' / 'Abort' / 'Delete' the current Job"
        raise _bad_state(message)
    if len(call.body) > UPLOAD_BYTES_MAX:
        raise refusal(RowError("CLIENTINPUTERROR", "The upload is larger than 150 MB", status=413))
    if not call.headers.get("content-type", "").startswith(CSV_TYPE):
        raise refusal(
            RowError("CLIENTINPUTERROR", "The content type of the upload must be text/csv", status=415)
        )
    book.upload(job, call.body, call.now_ms)
    return Answer(201)


def _turn(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    book, job = _job(desk, params)
    wanted = str(body_of(call).get("state") or "")
    if wanted == "UploadComplete":
        if job.state != "Open":
            raise _bad_state(f"Job state {job.state} cannot be changed to UploadComplete")
        book.turn(job, wanted, call.now_ms, call.number)
    elif wanted == "Aborted":
        if job.state in OVER:
            raise _bad_state(f"Aborting already {job.state} Job not allowed")
        book.turn(job, wanted, call.now_ms, job.call_number)
    else:
        raise refusal(RowError("CLIENTINPUTERROR", f"Unsupported state: {wanted}"))
    return Answer(200, _told(_job(desk, params)[1]))


def _look(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    job = _job(desk, params)[1]
    counts = {
        "numberRecordsProcessed": job.done,
        "numberRecordsFailed": job.failed,
        "retries": 0,
        "totalProcessingTime": job.changed_ms - job.created_ms,
    }
    told = {**_told(job), "jobType": "V2Ingest", **counts}
    return Answer(200, {**told, "errorMessage": job.message} if job.message else told)


def _list(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    version_in(params)
    return Answer(200, {"done": True, "records": [_told(job) for job in BulkBook(desk.account).all()]})


def _delete(_call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    book, job = _job(desk, params)
    if job.state not in OVER:
        raise _bad_state(f"Deleting a job in state {job.state} is not allowed")
    book.delete(job.job_id)
    return Answer(204)


def _results(call: Call, desk: Desk, params: Mapping[str, str]) -> Answer:
    book, job = _job(desk, params)
    what = call.path.rstrip("/").rsplit("/", 1)[-1]
    try:
        header, rows = table_of(book.content(job.job_id))
    except (UnicodeDecodeError, csv.Error):  # the job has failed for it
        header, rows = [], []
    done = book.rows(job.job_id)
    if what == "successfulResults":
        told = [[one.record_id, str(one.created).lower(), *rows[one.number]] for one in done if not one.error]
        return _csv(["sf__Id", "sf__Created", *header], told)
    if what == "failedResults":
        told = [[one.record_id, one.error, *rows[one.number]] for one in done if one.error]
        return _csv(["sf__Id", "sf__Error", *header], told)
    return _csv(header, rows[len(done) :] if job.state in OVER else [])


def _csv(header: list[str], rows: list[list[str]]) -> Answer:
    return Answer(200, csv_text(header, rows), content_type=CSV_TYPE)


def _job(desk: Desk, params: Mapping[str, str]) -> tuple[BulkBook, Job]:
    version_in(params)
    book = BulkBook(desk.account)
    job = book.find(params["id"])
    if job is None:
        answer = nothing_there()
        raise refusal(RowError("NOT_FOUND", "The requested resource does not exist", (), answer.status))
    return book, job


def _told(job: Job) -> dict[str, Any]:
    version = str(job.definition["version"])
    told = {
        "id": job.job_id,
        "operation": job.operation,
        "object": job.kind,
        "createdById": USER_ID,
        "createdDate": stamp(job.created_ms),
        "systemModstamp": stamp(job.changed_ms),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(version.lstrip("v")),
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    if "externalIdFieldName" in job.definition:
        told["externalIdFieldName"] = job.definition["externalIdFieldName"]
    if job.state == "Open":
        told["contentUrl"] = f"services/data/{version}/jobs/ingest/{job.job_id}/batches"
    return told


def _bad_state(message: str) -> Exception:
    return refusal(RowError("INVALIDJOBSTATE", message))


_PLACE = "/services/data/{version}/jobs/ingest"

ROUTES = (
    route("POST", _PLACE, "bulk_open", _open),
    route("GET", _PLACE, "bulk_list", _list),
    route("PUT", f"{_PLACE}/{{id}}/batches", "bulk_upload", _upload),
    route("PATCH", f"{_PLACE}/{{id}}", "bulk_turn", _turn),
    route("GET", f"{_PLACE}/{{id}}", "bulk_look", _look),
    route("DELETE", f"{_PLACE}/{{id}}", "bulk_delete", _delete),
    route("GET", f"{_PLACE}/{{id}}/successfulResults", "bulk_results", _results),
    route("GET", f"{_PLACE}/{{id}}/failedResults", "bulk_results", _results),
    route("GET", f"{_PLACE}/{{id}}/unprocessedrecords", "bulk_results", _results),
    route("GET", f"{_PLACE}/{{id}}/unprocessedRecords", "bulk_results", _results),  # as clients spell it, too
)
