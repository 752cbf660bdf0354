"""Checks of requests that every service makes alike: all broken rules of a request are named at once. Pure."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.kernel import ids
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.ids import TenantId

VALUE_CHARS_SHOWN: Final = 128
"""Length to which values are cut in violations (event.proto, Violation.value)."""
TEXT_CHARS_MAX: Final = 255
PAGE_ROWS_MAX: Final = 500
PAGE_ROWS_DEFAULT: Final = 50
PAGE_TOKEN_CHARS_MAX: Final = 1_024

_NO_ID: Final = UUID(int=0)


class Checks:
    """Collects violations; `finish` raises them all."""

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []

    def broken(self, field: str, value: str, rule: str, description: str) -> None:
        """Note a broken rule."""
        self._violations.append(FieldViolation(field, value[:VALUE_CHARS_SHOWN], rule, description))

    def finish(self) -> None:
        """Raise `InvalidInput` when any rule was broken."""
        if self._violations:
            first = self._violations[0]
            message = f"{len(self._violations)} broken rules, first {first.field}: {first.description}"
            raise InvalidInput(message, violations=tuple(self._violations))

    def tenant(self, value: str) -> TenantId:
        """Check a tenant's id."""
        if not ids.TENANT_PATTERN.fullmatch(value):
            rule = "format.tenant" if value else "required"
            self.broken("tenant_id", value, rule, "1..63 characters of [a-z0-9_-]")
        return TenantId(value)

    def name(self, field: str, value: str, *, required: bool = True) -> str:
        """Check the name of a system or of a connector account."""
        if (value or required) and not ids.SOURCE_PATTERN.fullmatch(value):
            self.broken(
                field, value, "format.name" if value else "required", "1..63 of [a-z0-9_.-], first a letter"
            )
        return value

    def uuid(self, field: str, value: str) -> UUID:
        """Check a UUID in its canonical form."""
        found = ids.parse_uuid(value)
        if found is None:
            self.broken(field, value, "format.uuid" if value else "required", "a UUID of 36 characters")
        return found or _NO_ID

    def optional_uuid(self, field: str, value: str) -> UUID | None:
        """Check a UUID that may be left out."""
        return self.uuid(field, value) if value else None

    def text(self, field: str, value: str, *, required: bool = True) -> str:
        """Check a short text."""
        if not value.strip() and required:
            self.broken(field, value, "required", f"1..{TEXT_CHARS_MAX} characters")
        elif len(value) > TEXT_CHARS_MAX:
            self.broken(field, value, "max_length", f"at most {TEXT_CHARS_MAX} characters")
        elif "\x00" in value:
            self.broken(field, repr(value), "no_control_characters", "no NUL")
        return value

    def moment(self, field: str, value: Timestamp) -> dt.datetime | None:
        """Check a moment; None where it is none that a calendar has."""
        try:
            return value.ToDatetime(dt.UTC)
        except (ValueError, OverflowError):
            self.broken(field, str(value.seconds), "range", "a moment of the years 1 to 9999")
            return None

    def size(self, field: str, values: Collection[Any], least: int, most: int) -> None:
        """Check how many there are."""
        if not least <= len(values) <= most:
            rule = "min_items" if len(values) < least else "max_items"
            self.broken(field, str(len(values)), rule, f"{least}..{most}")

    def page_size(self, value: int) -> int:
        """Check the rows of a page; 0 asks for the default."""
        if not 0 <= value <= PAGE_ROWS_MAX:
            self.broken("page_size", str(value), "range", f"1..{PAGE_ROWS_MAX}, 0 for {PAGE_ROWS_DEFAULT}")
        return value or PAGE_ROWS_DEFAULT

    def page_token(self, value: str, kind: str, parts: int) -> tuple[str, ...] | None:
        """Check where a page begins; None is the beginning.

        Args:
            kind: the list that the token must belong to.
            parts: how many texts make a place in that list.
        """
        if not value:
            return None
        found = read_page_token(value, kind)
        if found is None or len(found) != parts:
            self.broken_token(value)
            return None
        return found

    def broken_token(self, value: str) -> None:
        """Note that a page token is none that this list gave out."""
        self.broken("page_token", value, "format.page_token", "the next_page_token of the page before")


def write_page_token(kind: str, place: Sequence[str]) -> str:
    """Return the opaque form of a place in the list *kind*."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *place])).decode().rstrip("=")


def read_page_token(token: str, kind: str) -> tuple[str, ...] | None:
    """Return the place that *token* holds, None when it is no token of the list *kind*."""
    if len(token) > PAGE_TOKEN_CHARS_MAX:
        return None
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        found_kind, *place = msgspec.json.decode(text, type=list[str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return tuple(place) if found_kind == kind else None
