"""Deliveries as bulk jobs: when a backlog is worth a job, which writes go into one, and what a successor knows. Pure.

A backlog of the backfill lane is let gather for a moment. From the vendor's least number of records on it goes in
jobs; what does not come to that goes in ordinary calls, as does what cannot be told in an upload.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final

from headwater.connectors.base import Outcome, Target, Written
from headwater.connectors.base.bulk import BulkLimits
from headwater.kernel.ids import ObjectName
from headwater.sync.domain.delivering import Claimed, Send

SLOT_FIRST: Final = 10_000
"""Number of the first slot of what is gathered; an account's other slots have far lower numbers."""
GATHER_S_MAX: Final = 5.0
"""Longest wait for a backlog to come to a job's least number of records."""
QUIET_S: Final = 1.0
"""A backlog that has not grown for so long is taken as all there is."""
REMAINDER_MIN: Final = 400
"""Records of a job at least that follows others: what a backlog of many jobs leaves over goes the same way."""
FOLLOWS_S: Final = 30.0
"""For how long after a job the next one follows it."""
LOOK_S_MIN: Final = 0.5
LOOK_S_MAX: Final = 30.0
LOOK_GROWTH: Final = 1.5
"""Pauses between two looks at a job: each longer than the one before, so that an hour costs 120 calls."""


class Course(Enum):
    """What to do with a backlog."""

    NOTHING = "nothing"
    GATHER = "gather"
    JOB = "job"
    SINGLY = "singly"


class Phase(IntEnum):
    """How far a job is, durably."""

    PREPARING = 1
    """The vendor certainly processes nothing of it."""
    STARTED = 2
    """The vendor may process it, or has done so."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was seen of a backlog while it gathers.

    Args:
        rows: at the last look.
        since_s: loop time when it was first seen; None while there is none.
        grew_s: loop time when it was last seen to grow.
    """

    rows: int = 0
    since_s: float | None = None
    grew_s: float = 0.0


def seen(backlog: Backlog, rows: int, now_s: float) -> Backlog:
    """Return what is known of a backlog after a look that counted *rows*."""
    if rows == 0:
        return Backlog()
    since_s = now_s if backlog.since_s is None else backlog.since_s
    return Backlog(rows, since_s, now_s if rows > backlog.rows else backlog.grew_s)


def choose(
    backlog: Backlog, records_min: int, now_s: float, *, comes: bool = False, follows: bool = False
) -> Course:
    """Return what to do with *backlog*.

    Args:
        comes: whether more is known to be on its way: then a small backlog waits for it.
        follows: whether a job was begun of late.
    """
    if backlog.since_s is None:
        return Course.NOTHING
    if backlog.rows >= records_min:
        return Course.JOB
    if comes:
        return Course.GATHER
    if now_s - backlog.since_s >= GATHER_S_MAX or now_s - backlog.grew_s >= QUIET_S:
        return Course.JOB if follows and backlog.rows >= REMAINDER_MIN else Course.SINGLY
    return Course.GATHER


def look_pause_s(looks: int) -> float:
    """Return the pause before the look behind *looks* others."""
    return float(min(LOOK_S_MAX, LOOK_S_MIN * LOOK_GROWTH ** min(looks, 32)))


@dataclass(frozen=True, slots=True)
class Groups:
    """Writes taken apart.

    Args:
        jobs: each as large as the vendor's limits allow, and no smaller than its least number.
        singly: the rest.
    """

    jobs: Sequence[Sequence[Send]]
    singly: Sequence[Send]


Sized = tuple[Send, int | None]
"""A write and what it adds to an upload; None where it cannot be told in one."""


def group(sends: Iterable[Sized], limits: BulkLimits, *, follows: bool = False) -> Groups:
    """Return which of *sends* go in which job: of one target, and either all with a CRM id or all without.

    Args:
        follows: whether a job was begun of late: then smaller ones are made.
    """
    least = min(REMAINDER_MIN, limits.records_min) if follows else limits.records_min
    alike: dict[tuple[Target, bool], list[tuple[Send, int]]] = {}
    singly: list[Send] = []
    for send, size in sends:
        if size is None or size > limits.upload_bytes_max:
            singly.append(send)
        else:
            alike.setdefault((send.target, bool(send.write.crm_id)), []).append((send, size))
    jobs: list[Sequence[Send]] = []
    for sized in alike.values():
        for part in _parts(sized, limits):
            if len(part) >= least:
                jobs.append(part)
            else:
                singly.extend(part)
    return Groups(jobs, singly)


def _parts(sized: Sequence[tuple[Send, int]], limits: BulkLimits) -> Iterable[list[Send]]:
    """Yield parts within the limits, about equally large: so no part is too small for a job by itself."""
    total = sum(size for _, size in sized)
    count = max(-(-len(sized) // limits.records_max), -(-total // limits.upload_bytes_max))
    records_max, bytes_max = -(-len(sized) // count), limits.upload_bytes_max
    part: list[Send] = []
    used = 0
    for send, size in sized:
        if part and (len(part) >= records_max or used + size > bytes_max):
            yield part
            part, used = [], 0
        part.append(send)
        used += size
    if part:
        yield part


@dataclass(frozen=True, slots=True)
class BulkJob:
    """A job as it is kept.

    Args:
        vendor_job: the vendor's id; empty before it is known.
        members: entity to the version that the job brings about.
    """

    job_id: uuid.UUID
    object: ObjectName
    crm_object: str
    external_id_field: str
    policy_version: str
    vendor_job: str = ""
    phase: Phase = Phase.PREPARING
    members: Mapping[uuid.UUID, int] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """Where it goes, as far as results need it."""
        return Target(self.object, self.crm_object, self.external_id_field)


def job_of(job_id: uuid.UUID, sends: Sequence[Send], policy_version: str) -> BulkJob:
    """Return the job of *sends*, all of one target."""
    target = sends[0].target
    members = {send.claimed.entity_id: send.claimed.version for send in sends}
    return BulkJob(
        job_id,
        target.object_name,
        target.crm_object,
        target.external_id_field,
        policy_version,
        members=members,
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one version of an entity in a job that a predecessor began; no outcome: it was not written."""

    version: int
    written: Written | None


class Recall:
    """What jobs of before did; each told once, and only of the version that was sent."""

    def __init__(self) -> None:
        self._fates: dict[uuid.UUID, Fate] = {}

    def __len__(self) -> int:
        return len(self._fates)

    def remember(
        self, job: BulkJob, outcomes: Mapping[str, Outcome], untouched: frozenset[str] | None
    ) -> list[uuid.UUID]:
        """Take in what became of a job's records; return those about which nothing is known.

        Args:
            untouched: external ids that were not written; None: all of them.
        """
        unknown: list[uuid.UUID] = []
        for entity_id, version in job.members.items():
            outcome = outcomes.get(str(entity_id))
            if isinstance(outcome, Written):
                self._fates[entity_id] = Fate(version, outcome)
            elif outcome is not None or untouched is None or str(entity_id) in untouched:
                self._fates[entity_id] = Fate(version, None)
            else:
                unknown.append(entity_id)
        return unknown

    def take(self, claimed: Claimed) -> Fate | None:
        """Return what became of *claimed*; None where nothing is known of this version of it."""
        fate = self._fates.pop(claimed.entity_id, None)
        if fate is None or claimed.state != "active" or claimed.version != fate.version:
            return None
        return fate
