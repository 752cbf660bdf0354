"""Pages: sizes and tokens. A token is the place of the last row shown, readable and checked. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

from headwater.ingest.domain.event import EPOCH, Place
from headwater.ingest.domain.minting import microseconds
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.ids import parse_uuid

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 500
_MICROSECONDS_MAX: Final = 2**57
"""The year 6537: later than any row, earlier than what a datetime cannot hold."""

SEQ_MAX: Final = 2**63 - 1
_PLACE_PARTS: Final = 3
NEWEST: Final[Place] = (dt.date.max, SEQ_MAX, SEQ_MAX)
"""Above every event of the log."""

QuarantinePlace = tuple[dt.datetime, uuid.UUID]
FIRST_PLACE: Final[QuarantinePlace] = (EPOCH, uuid.UUID(int=0))


def page_size(asked: int) -> int:
    """Return the rows of a page; 0 asks for the default."""
    if not 0 <= asked <= PAGE_SIZE_MAX:
        broken = FieldViolation("page_size", str(asked), "range", f"must be 1 to {PAGE_SIZE_MAX}")
        raise InvalidInput("the request is malformed", violations=(broken,))
    return asked or PAGE_SIZE_DEFAULT


def log_token(place: Place) -> str:
    """Return the token of a page of the log that ends at *place*."""
    day, xid, seq = place
    return f"{day:%Y%m%d}.{xid}.{seq}"


def read_log_token(token: str) -> Place:
    """Return the place below which the next page begins; an empty token begins at the newest."""
    if not token:
        return NEWEST
    parts = token[:64].split(".")
    if len(parts) != _PLACE_PARTS or not all(part.isascii() and part.isdigit() for part in parts):
        raise _bad_token(token)
    try:
        day = dt.datetime.strptime(parts[0], "%Y%m%d").date()  # noqa: DTZ007 - a day of the log has no zone
    except ValueError:
        raise _bad_token(token) from None
    xid, seq = int(parts[1]), int(parts[2])
    if max(xid, seq) > SEQ_MAX:
        raise _bad_token(token)
    return day, xid, seq


def place_token(place: QuarantinePlace) -> str:
    """Return the token of a page of the quarantine that ends at *place*."""
    return f"{microseconds(place[0])}.{place[1]}"


def read_place_token(token: str) -> QuarantinePlace:
    """Return the place after which the next page begins; an empty token begins at the oldest."""
    if not token:
        return FIRST_PLACE
    time_us, _, key_text = token.partition(".")
    key = parse_uuid(key_text)
    if key is None or not (time_us.isascii() and time_us.isdigit()) or int(time_us[:20]) > _MICROSECONDS_MAX:
        raise _bad_token(token)
    return EPOCH + dt.timedelta(microseconds=int(time_us[:20])), key


def _bad_token(token: str) -> InvalidInput:
    description = "must be the next_page_token of the page before"
    broken = FieldViolation("page_token", token[:128], "token", description)
    return InvalidInput("the request is malformed", violations=(broken,))
