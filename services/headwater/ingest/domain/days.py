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
        rows: exact once sealed, before that an estimate of the database.
        bytes: on disk, indexes among them; 0 once dropped.
    """

    day: dt.date
    state: State
    rows: int
    bytes: int
    archive_path: str = ""
    archive_sha256: str = ""

    @property
    def archived(self) -> bool:
        """Whether its facts are in a file."""
        return bool(self.archive_path)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a day's facts may not be dropped."""

    reason: str
    detail: str


def expired(days: Iterable[Day], today: dt.date, retention_days: int) -> list[Day]:
    """Return the sealed days that are older than the retention, oldest first; 0 days: none ever."""
    if retention_days == 0:
        return []
    limit = today - dt.timedelta(days=retention_days)
    return sorted((day for day in days if day.state == "sealed" and day.day < limit), key=lambda day: day.day)
