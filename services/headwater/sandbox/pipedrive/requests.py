"""Owns the reading of Pipedrive requests, and pages by cursor. Refuses in the vendor's words what it cannot read."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.sandbox.call import Answer, Call
from headwater.sandbox.pipedrive.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.sandbox.desk import Desk

PAGE_MAX = 500
_PAGE_USUAL = 100


def body_of(desk: Desk) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        body = desk.call.json()
    except msgspec.DecodeError as error:
        raise invalid("body", f"is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("body", "must be an object")
    return body


def whole(call: Call, name: str, usual: int) -> int:
    """A whole number out of the query."""
    text = call.param(name, str(usual))
    if not text.isdigit():
        raise invalid(name, "must be an integer")
    return int(text)


def page_of(call: Call, items: Sequence[tuple[str, Any]], *, falling: bool = False) -> Answer:
    """A page of items in the order of their keys; the cursor names the last key told.

    Args:
        items: (key, what is shown), keys being distinct and in order.
        falling: the keys fall.
    """
    limit = whole(call, "limit", _PAGE_USUAL)
    if not 0 < limit <= PAGE_MAX:
        raise invalid("limit", f"must be between 1 and {PAGE_MAX}")
    text = call.param("cursor")
    if text:
        last = _key_of(text)
        items = [item for item in items if (item[0] < last if falling else item[0] > last)]
    shown = items[:limit]
    following = _cursor_of(shown[-1][0]) if len(items) > limit else None
    content = {"success": True, "data": [item for _, item in shown]}
    return Answer(200, {**content, "additional_data": {"next_cursor": following}})


def _cursor_of(key: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode({"key": key})).rstrip(b"=").decode()


def _key_of(text: str) -> str:
    try:
        return str(msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))["key"])
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError) as error:
        raise invalid("cursor", "is not a valid cursor") from error
