"""Salesforce's bulk jobs: the calls of each step of the port. Requests and answers are `bulk_wire`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from anyio import to_thread

from headwater.connectors.base.bulk import BulkLimits, BulkResults, JobState
from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.base.port import Target, Write
from headwater.connectors.salesforce import bulk_wire, wire
from headwater.connectors.salesforce.errors import error_of
from headwater.connectors.salesforce.leads import Query, followed

_OK: Final = 200
_CREATED: Final = 201
_NOT_FOUND: Final = 404
_BATCHES: Final = "DailyBulkApiBatches"


class SalesforceBulk:
    """Ingest jobs of one org."""

    limits = BulkLimits(bulk_wire.RECORDS_MIN, bulk_wire.RECORDS_MAX, bulk_wire.UPLOAD_BYTES_MAX)

    def __init__(self, http: AuthorizedHttp, version: str, query: Query) -> None:
        self._query = query
        self._http = http
        self._version = version

    def bytes_of(self, target: Target, write: Write) -> int | None:
        """Return what *write* adds to an upload at most."""
        return bulk_wire.bytes_of(target, write)

    async def open(self, target: Target, writes: Sequence[Write]) -> str:
        """Open a job, unless the day's batches are used up.

        Raises:
            CallFailed: QUOTA where no batch is left; what else a call may raise.
        """
        limits = await self._json(wire.limits_request(self._version))
        batches = limits.get(_BATCHES) if isinstance(limits, dict) else None
        if isinstance(batches, dict) and batches.get("Remaining") == 0:
            message = f"all {batches.get('Max')} bulk batches of the day are used"
            raise CallFailed(VendorError(ErrorClass.QUOTA, "BULK_BATCHES", message))
        return bulk_wire.job_id_of(await self._json(bulk_wire.open_request(self._version, target, writes)))

    async def upload(self, job_id: str, target: Target, writes: Sequence[Write]) -> None:
        """Upload the rows."""
        rows = await to_thread.run_sync(bulk_wire.csv_of, target, writes)  # long: beside the loop
        request = bulk_wire.upload_request(self._version, job_id, rows)
        answer = await self._http.send(request)
        if answer.status != _CREATED:
            raise CallFailed(error_of(answer, writes=True))

    async def start(self, job_id: str) -> None:
        """Close the job's upload: from then on it is processed."""
        await self._json(bulk_wire.state_request(self._version, job_id, "UploadComplete"))

    async def look(self, job_id: str) -> JobState:
        """Return how the job stands."""
        answer = await self._http.send(bulk_wire.look_request(self._version, job_id))
        if answer.status == _NOT_FOUND:
            return JobState.GONE
        return bulk_wire.read_state(_taken(answer, writes=False))

    async def abort(self, job_id: str) -> None:
        """Abort a job whose upload was never closed."""
        await self._json(bulk_wire.state_request(self._version, job_id, "Aborted"))

    async def results(self, job_id: str, target: Target, writes: Sequence[Write]) -> BulkResults:
        """Read the three results of a job that is over."""
        good, bad, left = [
            await self._results(job_id, which)
            for which in ("successfulResults", "failedResults", "unprocessedrecords")
        ]
        read = await to_thread.run_sync(bulk_wire.read_results, target, writes, good, bad, left)
        return replace(read, outcomes=await followed(self._query, target, writes, read.outcomes))

    async def _results(self, job_id: str, which: str) -> Answer:
        answer = await self._http.send(bulk_wire.results_request(self._version, job_id, which))
        if answer.status != _OK:
            raise CallFailed(error_of(answer, writes=False))
        return answer

    async def _json(self, request: Request) -> Any:
        return _taken(await self._http.send(request), writes=request.writes)


def _taken(answer: Answer, *, writes: bool) -> Any:
    if answer.status != _OK:
        raise CallFailed(error_of(answer, writes=writes))
    return required_json(answer, writes=writes)
