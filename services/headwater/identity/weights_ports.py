"""What the use cases of weights need of the world, in domain words. Protocols only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.sizes import Sample
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.domain.teaching import Bounds, Lesson
from headwater.identity.domain.weighing import Activation, Position, Version
from headwater.kernel.ids import TenantId


@dataclass(frozen=True, slots=True)
class SampledRecord:
    """A record in its stored form."""

    record_id: RecordId
    object: str
    parts: bytes


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """A pair of records that a person judged, in stored form."""

    object: str
    low_id: RecordId
    high_id: RecordId
    ours: bytes
    theirs: bytes
    same: bool


class WeightsSource(Protocol):
    """The weights that count, taken once for all that is judged together."""

    async def of(self, tenant_id: TenantId) -> Mapping[str, Weights]:
        """Return a tenant's weights by object."""
        ...

    async def find(self, tenant_id: TenantId, object_name: str, number: int) -> Weights | None:
        """Return one version, or None when it is not kept any more."""
        ...


class WeightsTransaction(Protocol):
    """A transaction in which nobody else changes the weights of a tenant's object."""

    async def active(self) -> int:
        """Return the version that counts."""
        ...

    async def find_body(self, number: int) -> bytes | None:
        """Return a version's body, or None when it is unknown."""
        ...

    async def find_standing(self) -> Activation | None:
        """Return the latest activation that nobody took back."""
        ...

    async def insert(self, version: Version, body: bytes) -> bool:
        """Keep a new version; say whether its number was free."""
        ...

    async def switch(self, activation: Activation) -> None:
        """Make a version count, write it down, and tell every process at the commit."""
        ...

    async def prune(self, versions_kept: int) -> None:
        """Forget the oldest versions that nothing leads back to."""
        ...


class WeightsStore(Protocol):
    """Where versions of weights are kept, and what is learnt from."""

    def alone(self, tenant_id: TenantId, object_name: str) -> AbstractAsyncContextManager[WeightsTransaction]:
        """Open a transaction; commits at the end of the block."""
        ...

    async def list_active(self, rows_max: int) -> Sequence[Position]:
        """Return which version counts, for every tenant that has one of their own."""
        ...

    async def find_body(self, tenant_id: TenantId, object_name: str, number: int) -> bytes | None:
        """Return a version's body, or None when it is unknown."""
        ...

    async def find_active(self, tenant_id: TenantId, object_name: str) -> int:
        """Return the version that counts."""
        ...

    async def find_newest(self, tenant_id: TenantId, object_name: str) -> int:
        """Return the newest version; 0 where there is none."""
        ...

    async def list_versions(
        self, tenant_id: TenantId, object_name: str, number: int, rows_max: int
    ) -> Sequence[Version]:
        """Return versions, newest first; of all objects where empty, all where the number is 0."""
        ...

    async def list_activations(
        self, tenant_id: TenantId, object_name: str, rows_max: int
    ) -> Sequence[Activation]:
        """Return who made which version count, newest first."""
        ...

    async def list_sample(
        self, tenant_id: TenantId, after: RecordId, rows_max: int
    ) -> Sequence[SampledRecord]:
        """Return records after one, by id: ids are hashes, so a stretch of them is a random sample."""
        ...

    async def measure(self, tenant_id: TenantId, records: int) -> Sample | None:
        """Return the first records of a tenant by id, which tell how many there are; None where there are none."""
        ...

    async def list_generic(self, tenant_id: TenantId, rows_max: int) -> Sequence[str]:
        """Return values that identify nobody."""
        ...

    async def list_answers(self, tenant_id: TenantId, rows_max: int) -> Sequence[GivenAnswer]:
        """Return what people answered and still stands, newest first."""
        ...

    async def list_tenants(self, after: str, rows_max: int) -> Sequence[TenantId]:
        """Return tenants that have records, by name, after one."""
        ...

    async def claim_run(self, tenant_id: TenantId, now: dt.datetime, since: dt.datetime) -> bool:
        """Take it on to learn a tenant's weights; say whether nobody did since a moment."""
        ...


class WeightsWatch(Protocol):
    """One connection that listens."""

    async def changed(self) -> None:
        """Return when some tenant's weights changed.

        Raises:
            Unavailable: the connection is lost.
        """
        ...


class WeightsNews(Protocol):
    """Word of changed weights."""

    def watch(self) -> AbstractAsyncContextManager[WeightsWatch]:
        """Listen during a block."""
        ...


class Progress(Protocol):
    """Hears how learning goes."""

    async def __call__(self, object_name: str, stage: str, count: int, /) -> None:
        """Hear of a stage, as `reading`, and the records of it that are done."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be learnt of one object; see `learning.spool`.

    Args:
        population: records that there are, of which a sample was put down.
    """

    object: str
    number: int
    active_number: int
    active: bytes
    shared: Sequence[str]
    answers: Sequence[tuple[bytes, bytes, bool, bool]]
    seed: int
    bounds: Bounds
    population: int = 0


class Classroom(Protocol):
    """Where records are put down and learnt from, off the event loop."""

    async def put(self, directory: Path, stored: Sequence[bytes]) -> None:
        """Put records of an object down."""
        ...

    async def teach(
        self, directory: Path, assignment: Assignment, progress: Progress
    ) -> tuple[Lesson, bytes]:
        """Learn; return what came of it, and the body of the weights, which may be empty.

        Raises:
            Unavailable: the process that learns ended without a result.

        Cancellation: that process is ended.
        """
        ...

    def open(self) -> AbstractAsyncContextManager[Path]:
        """Make a directory of its own for a block."""
        ...
