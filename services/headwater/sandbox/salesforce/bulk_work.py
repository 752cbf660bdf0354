"""Owns how the rows of a closed Bulk API 2.0 job are worked off: some at a time, beside the calls.

Rows go through the same rules as single ones. A header that names no field fails the whole job, as in Salesforce.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from headwater.sandbox.call import Call
from headwater.sandbox.salesforce import rows
from headwater.sandbox.salesforce.bulk_book import BulkBook, Done, Job, table_of
from headwater.sandbox.salesforce.collections import upsert_row
from headwater.sandbox.salesforce.describe import sobjects
from headwater.sandbox.salesforce.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.fleet import Fleet
    from headwater.sandbox.salesforce.describe import Field, Sobject

SLICE_ROWS = 25
"""Rows that are worked off before calls get their turn."""
Table = tuple[list[str], list[list[str]]]
"""Header and rows."""
NULL = "#N/A"
"""What clears a field; an empty value leaves it as it is."""


class BulkWorker:
    """Works off the jobs of every org, the oldest first."""

    def __init__(self) -> None:
        self._parsed: tuple[tuple[int, str], Table] | None = None

    def work(self, fleet: Fleet) -> bool:
        """Work off the next rows; False when there are none."""
        found = fleet.database.one("next_bulk_job")
        if found is None:
            self._parsed = None
            return False
        vendor, name = fleet.database.one("find_account_by_key", found[0]) or ("salesforce", "")
        account = fleet.find(vendor, name)
        job = None if account is None else BulkBook(account).find(found[1])
        if account is None or job is None:
            return False
        with fleet.database.transaction():
            self._work(fleet, account, job)
        return True

    def _work(self, fleet: Fleet, account: Account, job: Job) -> None:
        book, now_ms, kind = BulkBook(account), fleet.now_ms(), sobjects()[job.kind]
        try:
            columns, table = self._table(account, job)
        except (UnicodeDecodeError, csv.Error) as error:
            book.progress(job, (), "Failed", now_ms, f"InvalidBatch : {error}")
            return
        unknown = _unknown(kind, job, columns)
        if unknown:
            book.progress(job, (), "Failed", now_ms, f"InvalidBatch : {unknown}")
            return
        part = table[job.done : job.done + SLICE_ROWS]
        desk = fleet.desk(account, _call(account, job, now_ms), f"bulk_{job.operation}")
        doomed = desk.call.doomed(len(part))
        done = [
            _row(desk, kind, job, columns, job.done + index, values, locked=index in doomed)
            for index, values in enumerate(part)
        ]
        over = job.done + len(part) >= len(table)
        book.progress(job, done, "JobComplete" if over else "InProgress", now_ms)

    def _table(self, account: Account, job: Job) -> Table:
        key = (account.key, job.job_id)
        if self._parsed is None or self._parsed[0] != key:
            self._parsed = (key, table_of(BulkBook(account).content(job.job_id)))
        return self._parsed[1]


def _unknown(kind: Sobject, job: Job, columns: Sequence[str]) -> str:
    for name in columns:
        if name.lower() != "id" and kind.field(name) is None:
            return f"Field name not found : {name}"
    wanted = str(job.definition.get("externalIdFieldName") or ("Id" if job.operation == "update" else ""))
    if wanted and wanted.lower() not in {name.lower() for name in columns}:
        return f"Required column not found : {wanted}"
    return ""


def _row(
    desk: Desk,
    kind: Sobject,
    job: Job,
    columns: Sequence[str],
    number: int,
    values: Sequence[str],
    *,
    locked: bool,
) -> Done:
    if locked:
        return _failed(desk, kind, number, {}, rows.LOCKED)
    if len(values) != len(columns):
        error = RowError("INVALIDBATCH", "the number of columns is not the header's")
        return _failed(desk, kind, number, {}, error)
    body = _body(kind, columns, values)
    told = _written(desk, kind, job, body)
    if isinstance(told, RowError):
        return _failed(desk, kind, number, body, told)
    return Done(number, str(told["id"]), bool(told.get("created")), "")


def _written(desk: Desk, kind: Sobject, job: Job, body: dict[str, Any]) -> dict[str, Any] | RowError:
    if job.operation == "upsert":
        field = kind.fields[str(job.definition["externalIdFieldName"])]
        return upsert_row(desk, kind, field, body.get(field.name), body)
    if job.operation == "insert":
        made = rows.insert(desk, kind, body)
        return made if isinstance(made, RowError) else {"id": made.record_id, "created": True}
    record = rows.find(desk, kind, str(body.get("Id") or ""))
    changed = record if isinstance(record, RowError) else rows.update(desk, kind, record, body)
    return changed if isinstance(changed, RowError) else {"id": changed.record_id, "created": False}


def _body(kind: Sobject, columns: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, text in zip(columns, values, strict=True):
        if text == "":
            continue
        if name.lower() == "id":
            body["Id"] = text
            continue
        field = kind.folded[name.lower()]
        body[field.name] = None if text == NULL else _value(field, text)
    return body


def _value(field: Field, text: str) -> Any:
    if field.type == "boolean" and text.lower() in {"true", "false", "1", "0"}:
        return text.lower() in {"true", "1"}
    return text


def _failed(desk: Desk, kind: Sobject, number: int, body: dict[str, Any], error: RowError) -> Done:
    desk.refuse(kind.name, f"{error.code}: {error.message}", fields=body)
    return Done(
        number, str(body.get("Id") or ""), False, f"{error.code}:{error.message}:{','.join(error.fields)} --"
    )


def _call(account: Account, job: Job, now_ms: int) -> Call:
    """The call as whose part the rows are written: the one that closed the job."""
    path = f"/services/data/{job.definition['version']}/jobs/ingest/{job.job_id}"
    subject = f"WORK {path}"
    return Call(
        account.vendor, account.name, job.call_number, job.job_id, "WORK", path, (), {}, b"", "", now_ms,
        doomed=lambda items: account.faults.doomed(items, subject),
    )  # fmt: skip
