"""Owns which seconds of change a query's condition leaves open, and whether it wants its rows in that order. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from headwater.sandbox.salesforce import soql

if TYPE_CHECKING:
    from collections.abc import Sequence

Seconds = tuple[int, int]
"""From, until: since the epoch, both within."""
STAMP = "systemmodstamp"
"""The field that tells the second in which a row changed last."""
EVER: Seconds = (-(2**62), 2**62)


def seconds_of(condition: soql.Condition | None) -> Seconds:
    """The narrowest stretch outside of which no row can hold the condition; it may hold rows that do not."""
    if condition is None:
        return EVER
    if isinstance(condition, soql.Compare):
        return _compared(condition) if condition.path.lower() == STAMP else EVER
    if condition.how == "not":
        return EVER
    parts = [seconds_of(part) for part in condition.parts]
    since, until = zip(*parts, strict=True)
    if condition.how == "and":
        return max(since), min(until)
    return min(since), max(until)


def in_order(order: Sequence[soql.Order]) -> bool:
    """Whether rows by (second of change, id) are in this order."""
    paths = [one.path.lower() for one in order]
    return paths in ([STAMP], [STAMP, "id"]) and not any(one.down for one in order)


def _compared(condition: soql.Compare) -> Seconds:
    found = [_second(value) for value in condition.values]
    told = [one for one in found if one is not None]
    if len(told) < len(found) or not told:
        return EVER
    sides = {"=": (min(told), max(told)), "in": (min(told), max(told))}
    sides |= dict.fromkeys((">", ">="), (told[0], EVER[1])) | dict.fromkeys(("<", "<="), (EVER[0], told[0]))
    return sides.get(condition.op, EVER)


def _second(value: soql.Value) -> int | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return int(moment.timestamp() // 1) if moment.tzinfo else None
