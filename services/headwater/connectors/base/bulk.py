"""The port of vendors that take many records as one job: opened, uploaded, started, looked at until it is over.

A connector that can has it as its attribute `bulk`. The engine keeps the job's id before anything is uploaded and
notes that it will start the job before it does, so that whoever comes after a crash knows what may have been written:

    before `start` was asked for    certainly nothing: abort the job, the records are as they were
    after it                        look until the job is over, then ask for the results: nothing is sent again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from headwater.connectors.base.port import Outcome, Target, Write


class JobState(StrEnum):
    """How a vendor's job stands."""

    OPEN = "open"
    """Nothing of it is processed, and nothing will be before it is started."""
    RUNNING = "running"
    DONE = "done"
    """Over; records that it did not come to are told as such."""
    GONE = "gone"
    """The vendor does not know it, or not any more: what it did nobody can say."""


@dataclass(frozen=True, slots=True)
class BulkLimits:
    """What a vendor's jobs take.

    Args:
        records_min: from so many records on a job is worth its calls.
        records_max: records of one job.
        upload_bytes_max: largest upload of one job.
    """

    records_min: int
    records_max: int
    upload_bytes_max: int


@dataclass(frozen=True, slots=True)
class BulkResults:
    """What became of a job's records.

    Args:
        outcomes: external id to outcome.
        untouched: external ids that the job certainly did not write; they may be written as if it had never been.
    """

    outcomes: Mapping[str, Outcome]
    untouched: frozenset[str]


@runtime_checkable
class BulkWriter(Protocol):
    """Jobs of one account. Every method raises CallFailed when its call failed."""

    limits: BulkLimits

    def bytes_of(self, target: Target, write: Write) -> int | None:
        """Return what *write* adds to an upload at most; None when it cannot be told in one: send it by itself."""
        ...

    async def open(self, target: Target, writes: Sequence[Write]) -> str:
        """Open a job and return its id; nothing is processed yet.

        Args:
            writes: what will be uploaded: all with a CRM id, or all without.

        Raises:
            CallFailed: a job of an unknown id that nobody uploads to may be left behind; it does nothing.
        """
        ...

    async def upload(self, job_id: str, target: Target, writes: Sequence[Write]) -> None:
        """Upload the records of a job, once."""
        ...

    async def start(self, job_id: str) -> None:
        """Let the job be processed; after CallFailed `look` tells whether it will be."""
        ...

    async def look(self, job_id: str) -> JobState:
        """Return how the job stands; changes nothing."""
        ...

    async def abort(self, job_id: str) -> None:
        """End a job that was never started; it then keeps nothing at the vendor."""
        ...

    async def results(self, job_id: str, target: Target, writes: Sequence[Write]) -> BulkResults:
        """Return what became of *writes*, once the job is over; one that no result names is in neither part.

        Args:
            writes: of each, only external id, CRM id and the names of its references matter.
        """
        ...


def bulk_of(connector: object) -> BulkWriter | None:
    """Return the jobs of *connector*; None when its vendor takes none."""
    found = getattr(connector, "bulk", None)
    return found if isinstance(found, BulkWriter) else None
