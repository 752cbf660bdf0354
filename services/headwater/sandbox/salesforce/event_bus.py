"""Owns an org's event bus: what the arrival log tells of changes, as change events with replay ids, for as long as they are kept.

The arrival log is the buffer: an event is there if and only if its change was committed. A replay id is a line's
sequence, in bytes; nobody but the bus reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.sandbox.salesforce.describe import sobjects
from headwater.sandbox.salesforce.event_schemas import encode
from headwater.sandbox.salesforce.ids import USER_ID
from headwater.sandbox.salesforce.values import stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.sandbox.accounts import Account

REPLAY_BYTES = 8
ORIGIN = "com/salesforce/api/rest/61.0"
OVERFLOW_ID = "000000000000000AAA"
_KINDS = {"created": "CREATE", "updated": "UPDATE", "deleted": "DELETE"}


class ReplayLost(Exception):
    """A replay id is older than what is kept, or none of the bus."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it goes out."""

    replay_id: bytes
    kind: str
    payload: bytes


class EventBus:
    """The events of one org; reads only."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def latest(self) -> int:
        """The sequence of the newest line; 0 when there is none."""
        row = self._account.database.one("latest_arrival", self._account.key)
        return 0 if row is None or row[0] is None else int(row[0])

    def floor(self, now_ms: int) -> int:
        """The sequence of the newest line that is not kept any more; 0 when all are."""
        since = now_ms - round(self._account.options.event_retention_s * 1000)
        row = self._account.database.one("forgotten_arrival", self._account.key, since)
        return 0 if row is None or row[0] is None else int(row[0])

    def place_of(self, replay_id: bytes, now_ms: int) -> int:
        """Where to go on behind a replay id.

        Raises:
            ReplayLost: it is not to be had.
        """
        place = int.from_bytes(replay_id, "big") if len(replay_id) == REPLAY_BYTES else -1
        floor = self.floor(now_ms)
        if not 0 <= place <= self.latest() or (floor and place <= floor):
            raise ReplayLost
        return place

    def after(self, place: int, only: str, limit: int) -> tuple[list[tuple[int, dict[str, Any]]], int]:
        """Lines behind *place* that tell a change, of the object *only* or of all; and how far the log was read."""
        found = []
        for line in self._account.arrivals.page(place, limit):
            place = int(line["sequence"])
            told = line["effect"] in _KINDS and line["object"] in sobjects()
            if told and only in {"", line["object"]} and line["operation"] != "seed":
                found.append((place, line))
        return found, place


def replay_id(place: int) -> bytes:
    """The replay id of a place."""
    return place.to_bytes(REPLAY_BYTES, "big")


def told_of(place: int, line: dict[str, Any], *, gap: bool) -> Told:
    """The event of a line; a gap names the record and nothing else."""
    kind, change = str(line["object"]), _KINDS[line["effect"]]
    changed = {name: pair[1] for name, pair in line["changes"].items()}
    if change == "UPDATE":
        changed["LastModifiedDate"] = stamp(line["arrival_ms"])
    header = _header(kind, place, line, f"GAP_{change}" if gap else change, [str(line["record_id"])])
    return Told(replay_id(place), kind, encode(kind, header, {} if gap or change == "DELETE" else changed))


def overflow_of(lines: Sequence[tuple[int, dict[str, Any]]]) -> list[Told]:
    """One event an object in place of many: too much changed at once."""
    last = {str(line["object"]): (place, line) for place, line in lines}
    return [
        Told(
            replay_id(place),
            kind,
            encode(kind, _header(kind, place, line, "GAP_OVERFLOW", [OVERFLOW_ID]), {}),
        )
        for kind, (place, line) in sorted(last.items(), key=lambda item: item[1][0])
    ]


def _header(
    kind: str, place: int, line: dict[str, Any], change: str, record_ids: list[str]
) -> dict[str, Any]:
    return {
        "entityName": kind,
        "recordIds": record_ids,
        "changeType": change,
        "changeOrigin": ORIGIN,
        "transactionKey": str(line["request_id"]),
        "sequenceNumber": 1,
        "commitTimestamp": line["arrival_ms"],
        "commitNumber": place,
        "commitUser": USER_ID,
    }
