"""Checks of requests: every broken rule of every field is named at once. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Collection
from typing import Any, Final

from headwater.event.v1 import event_pb2
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordRef
from headwater.kernel import ids
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.ids import TenantId

VALUE_CHARS_SHOWN: Final = 128
TEXT_CHARS_MAX: Final = 255
PAGE_ROWS_MAX: Final = 500
PAGE_ROWS_DEFAULT: Final = 50
SEQ_MAX: Final = 2**63 - 1

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_ID: Final = uuid.UUID(int=0)


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
            self.broken(
                "tenant_id", value, "format.tenant" if value else "required", "1..63 characters of [a-z0-9_-]"
            )
        return TenantId(value)

    def object_name(self, field: str, value: str) -> str:
        """Check a canonical object."""
        if value not in ids.OBJECTS:
            self.broken(field, value, "allowed" if value else "required", f"one of {', '.join(ids.OBJECTS)}")
        return value

    def record(self, field: str, ref: event_pb2.RecordRef) -> RecordRef:
        """Check a record's name."""
        if not ids.SOURCE_PATTERN.fullmatch(ref.source):
            rule = "format.source" if ref.source else "required"
            self.broken(f"{field}.source", ref.source, rule, "1..63 of [a-z0-9_.-], first a letter")
        self.object_name(f"{field}.object", ref.object)
        external_id = ref.external_id
        if not external_id:
            self.broken(f"{field}.external_id", "", "required", "the source's own id of the record")
        elif len(external_id) > ids.EXTERNAL_ID_CHARS_MAX:
            self.broken(f"{field}.external_id", external_id, "max_length", "at most 255 characters")
        elif _CONTROL.search(external_id):
            self.broken(f"{field}.external_id", repr(external_id), "no_control_characters", "printable only")
        return RecordRef(ref.source, ref.object, external_id)

    def uuid(self, field: str, value: str) -> uuid.UUID:
        """Check a UUID in its canonical form."""
        found = ids.parse_uuid(value)
        if found is None:
            self.broken(field, value, "format.uuid" if value else "required", "a UUID of 36 characters")
        return found or _NO_ID

    def actor(self, field: str, actor: event_pb2.Actor) -> Actor:
        """Check who acts: a known type and an id."""
        if actor.type not in event_pb2.ActorType.values():
            self.broken(f"{field}.type", str(actor.type), "allowed", "a known type of actor")
        if not actor.id:
            self.broken(f"{field}.id", "", "required", "who merges or splits, for the audit")
        self.text(f"{field}.id", actor.id)
        self.text(f"{field}.display_name", actor.display_name)
        return Actor(actor.type, actor.id, actor.display_name)

    def text(self, field: str, value: str) -> str:
        """Check a short text."""
        if len(value) > TEXT_CHARS_MAX:
            self.broken(field, value, "max_length", f"at most {TEXT_CHARS_MAX} characters")
        elif "\x00" in value:
            self.broken(field, repr(value), "no_control_characters", "no NUL")
        return value

    def size(self, field: str, values: Collection[Any], least: int, most: int) -> None:
        """Check how many there are."""
        if not least <= len(values) <= most:
            rule = "min_items" if len(values) < least else "max_items"
            self.broken(field, str(len(values)), rule, f"{least}..{most}")

    def page_size(self, value: int) -> int:
        """Check the rows of a page; 0 is the default."""
        if not 0 <= value <= PAGE_ROWS_MAX:
            self.broken("page_size", str(value), "range", f"1..{PAGE_ROWS_MAX}, 0 for {PAGE_ROWS_DEFAULT}")
        return value or PAGE_ROWS_DEFAULT

    def page_token(self, value: str) -> int:
        """Check where a page begins; empty is the beginning."""
        if not value:
            return 0
        seq = decode_page_token(value)
        if seq is None:
            self.broken("page_token", value, "format.page_token", "a next_page_token of the page before")
        return seq or 0


def encode_page_token(seq: int | None) -> str:
    """Return the opaque form of a place in a list; empty for none."""
    return "" if seq is None else base64.urlsafe_b64encode(f"seq:{seq}".encode()).decode().rstrip("=")


def decode_page_token(token: str) -> int | None:
    """Return the place in the list, or None when *token* is none of ours."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    prefix, _, digits = text.partition(":")
    if prefix != "seq" or not digits.isdecimal():
        return None
    return int(digits) if int(digits) <= SEQ_MAX else None
