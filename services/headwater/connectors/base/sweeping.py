"""The port of a vendor whose records can be read whole, in the order of their ids, and counted by ranges of ids.

What a reconciliation reads by: nothing is asked by time, so neither a change that nobody stamped nor any number of
records with one stamp is stepped over, and no result is paged by offset, so no cap on results matters. Ids sort by
length, then by their characters: numbers without leading zeros and ids of one length both do so by value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from headwater.connectors.base.polling import Seen

IdPlace = tuple[int, str]
"""Where an id sorts: its length, then its characters."""


def place_of(crm_id: str) -> IdPlace:
    """Return where an id sorts."""
    return (len(crm_id), crm_id)


@dataclass(frozen=True, slots=True)
class Swept:
    """What is read of one object of a CRM.

    Args:
        crm_object: the CRM's name.
        fields: CRM fields to fetch, no others.
        references: fields of those that point to other records; a vendor that keeps them elsewhere shows none of them.
        marked: only records whose field of this name is filled are meant; empty: all of them.
    """

    crm_object: str
    fields: tuple[str, ...]
    marked: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Ids behind *after* up to *upto*, which is among them.

    Args:
        after: empty: from the first.
        upto: empty: to the last, whatever comes.
    """

    after: str = ""
    upto: str = ""

    def holds(self, crm_id: str) -> bool:
        """Return whether an id lies in it."""
        place = place_of(crm_id)
        return place > place_of(self.after) and (not self.upto or place <= place_of(self.upto))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a vendor says of a span without telling its records.

    Args:
        count: records that are not deleted.
        newest: time of the latest change of one of them; None where there is none.
    """

    count: int
    newest: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SweptPage:
    """One page of a span, by id.

    Args:
        last_id: the last record looked at, told or not; where the next page goes on.
        more: the vendor says that more follow. That none do is believed only as far as `Probe.count` bears it out.
    """

    records: tuple[Seen, ...]
    last_id: str
    more: bool


@runtime_checkable
class Sweeper(Protocol):
    """A connector whose records can be read whole. Each method is one call, and may raise CallFailed."""

    sweep_records_max: int
    """Records of one page."""
    read_records_max: int
    """Ids of one `read`."""

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Return how many records a span has, and when one of them changed last."""
        ...

    async def sweep(self, swept: Swept, span: Span) -> SweptPage:
        """Return the first records of a span, by id; deleted ones are left out."""
        ...

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return records (1..`read_records_max`) by id as they are now; those that are gone are left out."""
        ...
