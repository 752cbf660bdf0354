"""Backfills: what there is to read, how fast, how far, and what an error of a CRM means for one. Pure."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from headwater.connectors.base import ErrorClass, VendorError
from headwater.policy.account import Limits

SHARE: Final = 0.2
"""Part of an account's limits that a backfill's calls use unless told otherwise."""
PORTION_EVENTS: Final = 20
"""Events recorded at once; the next ones follow when these are projected, so that live events wait behind few."""
REST: Final = 1.0
"""Pause after a portion, in parts of the time that it took: so much of the time the engine is left to live events."""
BACKOFF_S_MAX: Final = 60.0
"""Longest pause before a backfill whose account does not answer tries again."""
WAIT_S: Final = 2.0
"""Pause before a page that had nothing ready is asked for again: the CRM's second is not over."""
_DAY_S: Final = 86_400.0
_ENDING: Final = frozenset(
    {ErrorClass.FORMAT, ErrorClass.VALIDATION, ErrorClass.NOT_FOUND, ErrorClass.PERMISSION}
)
"""Errors that the next call will get as well: an operator has to do something first."""


class BackfillState(IntEnum):
    """Where a backfill stands; `sync.backfill.state`."""

    RUNNING = 1
    PAUSED = 2
    DONE = 3
    CANCELLED = 4
    FAILED = 5


FROM: Final = {
    BackfillState.RUNNING: (BackfillState.PAUSED, BackfillState.FAILED),
    BackfillState.PAUSED: (BackfillState.RUNNING,),
    BackfillState.CANCELLED: (BackfillState.RUNNING, BackfillState.PAUSED, BackfillState.FAILED),
}
"""What an operator may order, and from where."""


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a backfill.

    Args:
        cursor: where its next page begins; None before the first.
        expected: records that the CRM counted; None until it was asked.
        page_records: records that one call tells at most; 0 until it was asked.
    """

    crm_object: str
    object: str
    cursor: str | None = None
    done: bool = False
    expected: int | None = None
    page_records: int = 0
    read: int = 0
    deleted: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    refused: int = 0
    absent: int = 0

    @property
    def predicted_calls(self) -> int:
        """Calls that reading it takes at least; 0 until it was counted."""
        if self.expected is None or not self.page_records:
            return 0
        return max(1, math.ceil(self.expected / self.page_records))


@dataclass(frozen=True, slots=True)
class Backfill:
    """A stretch of time that is read again from an account.

    Args:
        since: changes from here on; None: from the beginning.
        until: changes before this.
        share: part of the account's limits that its calls may use, above 0, up to 1.
        work_s: seconds that it was at work.
        absences: whether records are looked for that the CRM does not list any more.
    """

    tenant_id: str
    backfill_id: uuid.UUID
    connector: str
    since: dt.datetime | None
    until: dt.datetime
    share: float
    dry_run: bool
    state: BackfillState
    actor: str
    policy_version: str
    parts: tuple[Part, ...]
    finding: str = ""
    calls: int = 0
    work_s: float = 0.0
    create_time: dt.datetime | None = None
    update_time: dt.datetime | None = None
    absences: bool = False


def call_pause_s(limits: Limits, share: float) -> float:
    """Return the pause between two calls that use *share* of what an account's limits allow in the long run.

    The narrowest of its windows and of its day counts; 0 when nothing limits them.
    """
    cost = limits.costs.get("search", 1)
    rates = [
        (window.calls if window.calls is not None else (window.tokens or 1) / max(1, cost)) / window.window_s
        for window in limits.all_windows
        if not window.classes or "search" in window.classes
    ]
    if limits.daily_calls:
        rates.append(limits.daily_calls / _DAY_S)
    if limits.daily_tokens:
        rates.append(limits.daily_tokens / max(1, cost) / _DAY_S)
    return 1.0 / (min(rates) * share) if rates else 0.0


def rest_s(took_s: float, portion: int, page: int, page_s: float) -> float:
    """Return the pause after a portion of *portion* events of a page of *page* that took *took_s*.

    Args:
        page_s: seconds that the page has until the next call's turn: its portions are spread over them.
    """
    return max(took_s * REST, page_s * portion / page - took_s)


def predicted_end(backfill: Backfill, now: dt.datetime) -> dt.datetime | None:
    """Return when a running backfill is done at the pace so far; None while nobody knows."""
    read = sum(part.read for part in backfill.parts)
    if backfill.state is not BackfillState.RUNNING or not read or backfill.work_s <= 0:
        return None
    if any(part.expected is None for part in backfill.parts):
        return None
    left = sum(max(0, (part.expected or 0) - part.read) for part in backfill.parts if not part.done)
    return now + dt.timedelta(seconds=left * backfill.work_s / read)


def ends(error: VendorError) -> bool:
    """Say whether *error* ends a backfill: the CRM will answer so until an operator has done something."""
    return error.error_class in _ENDING


def backoff_s(failures: int, error: VendorError | None = None) -> float:
    """Return the pause after *failures* in a row, 1 and up: the vendor's wish where it has one."""
    wanted = error.retry_after_s if error is not None else None
    return min(BACKOFF_S_MAX, 2.0 ** min(failures - 1, 10)) if wanted is None else min(wanted, BACKOFF_S_MAX)
