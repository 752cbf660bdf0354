"""The port of a vendor that can be asked what has changed; and what every poller decides alike. Pure.

A cursor is the vendor's own text; nobody else reads it. It is made of the vendor's times only, held back
by an overlap, so that neither a skewed clock nor a change that shows late makes a poller step over a record.
A record may therefore be told twice: its event has the same key then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import msgspec

from headwater.connectors.base.errors import CallFailed, ErrorClass, VendorError

YOUNG_S: Final = 2.0
"""A stamp of whole seconds that is younger than this may still be given to another change of the same record."""
AHEAD_S_MAX: Final = 60.0
"""A stamp further ahead of our clock than this is told at once: the clocks disagree, waiting would not end."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_Cursor = TypeVar("_Cursor")


@dataclass(frozen=True, slots=True)
class Polled:
    """What is read of one object of a CRM.

    Args:
        crm_object: the CRM's name.
        fields: CRM fields to fetch, no others.
        overlap_s: how far each round goes back behind the newest change seen: for what the vendor shows late.
        deletions: whether deleted records are asked for.
        until: changes from here on are none of this reading's; None: there is no end.
    """

    crm_object: str
    fields: tuple[str, ...]
    overlap_s: float = 60.0
    deletions: bool = True
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as a poll saw it.

    Args:
        modify_time: when the vendor says it was changed last, by the vendor's clock.
        fields: every polled field, None where it is empty; {} when deleted.
    """

    crm_id: str
    modify_time: dt.datetime
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What one call told.

    Args:
        next_cursor: where to go on once all of this is recorded.
        more: more is there now; False ends the round.
    """

    records: tuple[Seen, ...]
    deleted: tuple[Seen, ...]
    next_cursor: str
    more: bool


@runtime_checkable
class Poller(Protocol):
    """A connector that can be asked for changes."""

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return changes behind *cursor*, the oldest first; one call, at most two.

        Args:
            cursor: "" at first: everything there is; then `next_cursor` of the page before.
            limit: records wanted, 1 and up; the vendor's own maximum holds as well.
            now: our time; a cursor never goes beyond it, whatever the vendor's stamps say.

        Raises: CallFailed; then nothing is lost, the same cursor may be tried again.
        """
        ...


@runtime_checkable
class Windowed(Poller, Protocol):
    """A poller that can be asked for the changes of a stretch of time: `Polled.until` is its end.

    A record belongs to the stretch in which it was changed last. A page that tells nothing although there is more
    waits for the vendor's clock: ask again in a second or two.
    """

    def cursor_at(self, since: dt.datetime | None) -> str:
        """Return the cursor that begins with the changes of *since*; None: with everything there is."""
        ...

    def page_records_max(self, polled: Polled) -> int:
        """Return how many records one call tells at most."""
        ...

    async def count(self, polled: Polled, since: dt.datetime | None) -> int:
        """Return how many records were changed last from *since* on, before `Polled.until`; one call.

        Deleted ones are counted where the vendor can count them. Raises: CallFailed.
        """
        ...


def is_before(moment: dt.datetime, until: dt.datetime | None) -> bool:
    """Say whether *moment* lies before the end of a reading."""
    return until is None or moment < until


def to_ms(moment: dt.datetime) -> int:
    """Return *moment* in whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> dt.datetime:
    """Return the moment *milliseconds* after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def read_moment(value: Any) -> dt.datetime:
    """Return the moment that a vendor's ISO 8601 text states.

    Raises: CallFailed: without its time a record cannot be placed, so nothing may be stepped over.
    """
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        message = f"a changed record has no readable time: {str(value)[:64]!r}"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "NO_MODIFY_TIME", message)) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def held_back_ms(high_ms: int, overlap_s: float, now: dt.datetime) -> int:
    """Return where the next round begins: *overlap_s* behind the newest stamp seen, or behind now if that is less.

    A stamp of the future (one machine of the vendor with a wrong clock) would otherwise hide every change
    until then. Our own clock can only make a round longer, never shorter.
    """
    return max(0, min(high_ms, to_ms(now)) - round(overlap_s * 1000))


def is_young(stamp: dt.datetime, now: dt.datetime) -> bool:
    """Tell whether a vendor that keeps whole seconds may give *stamp* to a further change of the same record."""
    return -AHEAD_S_MAX <= (now - stamp).total_seconds() < YOUNG_S


def read_cursor(text: str, kind: type[_Cursor]) -> _Cursor:
    """Return a cursor of ours.

    Raises: CallFailed when it is none: an operator must reset it; to begin anew silently would hide the fault.
    """
    try:
        return msgspec.json.decode(text or "{}", type=kind)
    except msgspec.DecodeError as error:
        message = f"the stored cursor is not one of this connector: {error}"
        raise CallFailed(VendorError(ErrorClass.FORMAT, "CURSOR_UNREADABLE", message)) from error


def write_cursor(cursor: Any) -> str:
    """Return *cursor* as text."""
    return msgspec.json.encode(cursor).decode()
