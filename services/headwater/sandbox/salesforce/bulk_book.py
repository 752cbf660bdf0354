"""Owns what is kept of Bulk API 2.0 jobs: their definition, upload, progress and rows. Knows no rule of Salesforce."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.sandbox.limits import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.store.database import Row

OVER = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(frozen=True, slots=True)
class Job:
    """One ingest job as it stands."""

    job_id: str
    definition: dict[str, Any]
    state: str
    has_content: bool
    done: int
    failed: int
    message: str
    created_ms: int
    changed_ms: int
    call_number: int

    @property
    def kind(self) -> str:
        """The sObject."""
        return str(self.definition["object"])

    @property
    def operation(self) -> str:
        """insert, update or upsert."""
        return str(self.definition["operation"])


@dataclass(frozen=True, slots=True)
class Done:
    """How one row of an upload ended; an empty error is success."""

    number: int
    record_id: str
    created: bool
    error: str


class BulkBook:
    """The jobs of one account; every write belongs to the caller's transaction."""

    def __init__(self, account: Account) -> None:
        self._database = account.database
        self._key = account.key

    def find(self, job_id: str) -> Job | None:
        """One job."""
        row = self._database.one("find_bulk_job", self._key, job_id)
        return None if row is None else _job(row)

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return [_job(row) for row in self._database.all("list_bulk_jobs", self._key)]

    def open(self, job_id: str, definition: dict[str, Any], now_ms: int, call_number: int) -> Job:
        """Keep a new job without an upload."""
        told = msgspec.json.encode(definition).decode()
        self._database.run("insert_bulk_job", self._key, job_id, told, now_ms, now_ms, call_number)
        return Job(job_id, definition, "Open", False, 0, 0, "", now_ms, now_ms, call_number)

    def upload(self, job: Job, content: bytes, now_ms: int) -> None:
        """Keep the job's upload."""
        self._database.run("save_bulk_content", content, now_ms, self._key, job.job_id)

    def content(self, job_id: str) -> bytes:
        """The job's upload; empty without one."""
        row = self._database.one("read_bulk_content", self._key, job_id)
        return bytes(row[0]) if row and row[0] is not None else b""

    def turn(self, job: Job, state: str, now_ms: int, call_number: int, message: str = "") -> None:
        """Put a job into a state."""
        self._database.run("save_bulk_state", state, message, now_ms, call_number, self._key, job.job_id)

    def progress(self, job: Job, rows: Sequence[Done], state: str, now_ms: int, message: str = "") -> None:
        """Keep how the next rows ended, and where the job stands."""
        for one in rows:
            created = int(one.created)
            self._database.run(
                "insert_bulk_row", self._key, job.job_id, one.number, one.record_id, created, one.error
            )
        failed = job.failed + sum(1 for one in rows if one.error)
        done = job.done + len(rows)
        self._database.run("save_bulk_progress", state, done, failed, message, now_ms, self._key, job.job_id)

    def rows(self, job_id: str) -> list[Done]:
        """How the rows ended that were worked on."""
        found = self._database.all("list_bulk_rows", self._key, job_id)
        return [Done(row[0], row[1], bool(row[2]), row[3]) for row in found]

    def delete(self, job_id: str) -> None:
        """Forget a job."""
        self._database.run("delete_bulk_rows", self._key, job_id)
        self._database.run("delete_bulk_job", self._key, job_id)


def batches_used(account: Account, now_ms: int) -> int:
    """Batches that uploads of today have made; one job has one: uploads of more than 10,000 records are rare."""
    row = account.database.one("count_bulk_jobs_since", account.key, now_ms - now_ms % DAY_MS)
    return 0 if row is None else int(row[0])


def table_of(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and rows of an upload.

    Raises:
        UnicodeDecodeError, csv.Error: it is no CSV in UTF-8.
    """
    lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    header = next(lines, [])
    return header, [row for row in lines if row]


def csv_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A CSV as Salesforce answers it: every value quoted, lines ended by LF."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _job(row: Row) -> Job:
    job_id, definition, state, has_content, *rest = row
    return Job(job_id, msgspec.json.decode(definition), state, bool(has_content), *rest)
