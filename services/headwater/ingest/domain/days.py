"""The days of the log and what retention may do with them. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["open", "over", "sealed", "dropped"]


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the log.

    Args:
        state: open: written into; over: its keys are on their way to the permanent ledger.
        rows: exact once sealed, before that an estimate of the database; those that expired are taken off.
        bytes: on disk, indexes among them; 0 once dropped.
    """

    day: dt.date
    state: State
    rows: int
    bytes: int
    archive_path: str = ""
    archive_sha256: str = ""
    expired: int = 0
    """Events of tenants with a shorter retention that are gone already."""

    @property
    def archived(self) -> bool:
        """Whether its facts are in a file."""
        return bool(self.archive_path)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a day's facts may not be dropped."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a tenant's policy has its events kept.

    Args:
        days: 1..36500.
        archive: whether they are archived first, where days are.
    """

    tenant_id: str
    days: int
    archive: bool = True

    def limit(self, today: dt.date) -> dt.date:
        """Return the oldest day that is kept."""
        return today - dt.timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Due:
    """What a tenant has in a sealed day that is older than its retention.

    Args:
        rows: that are there, those held among them.
        held: left in place by the last sweep, for somebody has to decide about their quarantine.
        ready: whether more than those is left, or some of them were decided about.
        archived: in a file, by itself or with the whole day.
    """

    tenant_id: str
    day: dt.date
    rows: int
    held: int
    ready: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What the log holds of a tenant in sealed days.

    Args:
        oldest_day: the first that has events of it, None when none has.
        rows: events in sealed days.
        due_days: sealed days older than the retention that have events of it, and how many they have.
        held_rows: of those due, left for an open quarantine entry.
        expired_rows: gone by the tenant's retention, of days that are not dropped.
        expire_time: when a day of it was last done with; None: none was.
        blockers: why nothing may go yet: readers that are behind.
    """

    oldest_day: dt.date | None
    rows: int
    due_days: int
    due_rows: int
    held_rows: int
    expired_rows: int
    expire_time: dt.datetime | None
    blockers: tuple[str, ...] = ()


def longer(keepings: Iterable[Keeping], retention_days: int) -> list[Keeping]:
    """Return those that ask for more than days are kept at all; 0 days: for ever, so that none does."""
    return [item for item in keepings if 0 < retention_days < item.days]


def expired(days: Iterable[Day], today: dt.date, retention_days: int) -> list[Day]:
    """Return the sealed days that are older than the retention, oldest first; 0 days: none ever."""
    if retention_days == 0:
        return []
    limit = today - dt.timedelta(days=retention_days)
    return sorted((day for day in days if day.state == "sealed" and day.day < limit), key=lambda day: day.day)
