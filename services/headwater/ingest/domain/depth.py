"""How deeply a payload may nest. Pure.

Whoever reads an event later (projector, console, a connector) does so with less of the interpreter's stack left
than the door has: what is let in just below its limit of recursion would fail there, for ever.
"""

from __future__ import annotations

from typing import Any, Final

PAYLOAD_DEPTH_MAX: Final = 64
"""Objects and lists inside one another, the payload itself included."""


def too_deep(raw: bytes, payload: Any) -> bool:
    """Tell whether *payload*, decoded from *raw*, nests deeper than `PAYLOAD_DEPTH_MAX`.

    Nearly every payload has fewer brackets than that, which counting them tells in a tenth of a microsecond.
    """
    return may_be_deep(raw) and _deeper_than(PAYLOAD_DEPTH_MAX, payload)


def may_be_deep(raw: bytes) -> bool:
    """Tell whether there are brackets enough for `too_deep`."""
    return raw.count(b"{") + raw.count(b"[") > PAYLOAD_DEPTH_MAX


def _deeper_than(depth_max: int, payload: Any) -> bool:
    level = [payload]
    for _ in range(depth_max):
        level = [inner for item in level for inner in _inside(item) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inside(item: Any) -> Any:
    return item.values() if isinstance(item, dict) else item
