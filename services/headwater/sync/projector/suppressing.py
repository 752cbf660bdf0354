"""People who were erased are not taken in: what speaks of them ends as suppressed, before identity hears of it.

Costs a tenant without erased people one look-up a batch, for all tenants together. Where a tenant's key does not open,
nobody can say whom its events speak of: they are set aside, and no other tenant's with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.erasing import (
    Sign,
    digest_of,
    signs_beside,
    signs_of_reading,
    without_suppressed,
)
from headwater.sync.domain.reading import Parked, PassedOver, PolicyReading, Reading


@dataclass(frozen=True, slots=True)
class Standing:
    """How the list of suppressions stands.

    Args:
        number: of the newest entry, 0 for none: a later one is greater.
        keys: tenants that have entries, with the key of their hashes.
        closed: tenants that have entries and whose key does not open, with why and what to do.
    """

    number: int
    keys: Mapping[str, bytes]
    closed: Mapping[str, str] = field(default_factory=dict)


class SuppressionBook(Protocol):
    """Who is not to be taken in. Every method raises Unavailable."""

    async def standing(self, tenants: Sequence[str]) -> Standing:
        """Return how the list stands, and which of *tenants* have entries."""
        ...

    async def among(self, tenant_id: str, digests: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of *digests* that are suppressed."""
        ...


class SuppressionsMoved(Exception):
    """Somebody was suppressed since the batch was read; nothing was written: it is to be read again."""


class SuppressionKeyClosed(Unavailable):
    """The key of a tenant's erased people does not open, or is gone; says what to do."""

    default_reason = "SUPPRESSION_KEY_CLOSED"


class Suppressions:
    """Takes erased people out of readings."""

    def __init__(self, book: SuppressionBook) -> None:
        self._book = book

    async def closed(self, tenants: Sequence[str]) -> Mapping[str, str]:
        """Return those of *tenants* whose key does not open, with why."""
        return (await self._book.standing(tenants)).closed

    async def apply(
        self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]
    ) -> tuple[list[Reading], int]:
        """Return what is left of *readings*, and the number of the suppressions by which it was judged."""
        tenants = sorted({reading.event.tenant_id for reading in readings})
        standing = await self._book.standing(tenants)
        left = [_parked(reading, standing.closed) for reading in readings]
        for tenant_id, key in standing.keys.items():
            document = policies.get(tenant_id)
            of_tenant = [n for n, item in enumerate(left) if item.event.tenant_id == tenant_id]
            signs: dict[bytes, Sign] = {}
            for number in of_tenant:
                for sign in signs_of_reading(document, left[number]) | signs_beside(left[number]):
                    signs[digest_of(key, sign)] = sign
            found = await self._book.among(tenant_id, list(signs)) if signs else frozenset()
            if found:
                suppressed = frozenset(signs[item] for item in found)
                for number in of_tenant:
                    left[number] = without_suppressed(document, left[number], suppressed)
        return left, standing.number


def _parked(reading: Reading, closed: Mapping[str, str]) -> Reading:
    """Return a reading of a tenant that waits as such; policies and other tenants' pass."""
    reason = closed.get(reading.event.tenant_id)
    if reason is None or isinstance(reading, (PassedOver, PolicyReading)):
        return reading
    return Parked(reading.event, reason)
