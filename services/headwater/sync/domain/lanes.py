"""The lanes of a connector account: what is more urgent has the lower number. Pure."""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """In which line a due delivery stands; `sync.due.lane`."""

    LIVE = 1
    RETRY = 2
    BACKFILL = 3
    RECONCILE = 4
