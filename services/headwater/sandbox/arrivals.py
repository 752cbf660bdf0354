"""Owns the arrival log: what reached an account, with its effect. Appends and reads; never changes a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from headwater.sandbox.call import Call
    from headwater.sandbox.store.database import Database, Row

Effect = Literal["created", "updated", "unchanged", "deleted", "refused"]

_decode = msgspec.json.Decoder(dict[str, list[Any]]).decode


class Arrival(msgspec.Struct, frozen=True):
    """One record write as it arrived."""

    object: str
    operation: str
    effect: Effect
    record_id: str | None = None
    external_id: str | None = None
    changes: dict[str, list[Any]] | None = None
    reason: str | None = None


class ArrivalLog:
    """The arrival log of one account."""

    def __init__(self, database: Database, account_key: int) -> None:
        self._database = database
        self._key = account_key

    def append(self, call: Call, arrival: Arrival) -> None:
        """Write one line in the transaction of the write that it tells of."""
        self._database.put_off(
            "insert_arrival",
            self._key,
            call.now_ms,
            arrival.object,
            arrival.operation,
            arrival.external_id,
            arrival.record_id,
            arrival.effect,
            msgspec.json.encode(arrival.changes or {}),
            arrival.reason,
            call.request_id,
            call.traceparent,
            call.number,
        )

    def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Up to `limit` lines with a sequence above `after`, oldest first."""
        return [_line(row) for row in self._database.all("page_arrivals", self._key, after, limit)]


def _line(row: Row) -> dict[str, Any]:
    names = ("sequence", "arrival_ms", "object", "operation", "external_id", "record_id", "effect", "changes")
    rest = ("reason", "request_id", "traceparent", "call_number")
    line = dict(zip((*names, *rest), row, strict=True))
    line["changes"] = _decode(line["changes"])
    return line
