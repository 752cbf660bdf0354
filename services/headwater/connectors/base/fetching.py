"""The port of a vendor whose records can be read by the CRM's own ids, deleted ones told from those that never were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from headwater.connectors.base.polling import Polled, Seen


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a direct read found.

    Args:
        absent: ids of which the CRM has no record, not even a deleted one.
    """

    records: tuple[Seen, ...]
    deleted: tuple[Seen, ...] = ()
    absent: tuple[str, ...] = ()


@runtime_checkable
class Fetcher(Protocol):
    """A connector that reads records by id."""

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Return the records with *crm_ids* (1..100) as they are now, in the form in which a poll tells them.

        Raises: CallFailed; then nothing is known of any of them.
        """
        ...
