"""The waterfall: a trace's spans in the order and place in which they are drawn.

Pure: spans in, rows out, whatever the spans are: several roots, parents that never came, parents in a circle,
clocks that disagree. Must not know how a row is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headwater.console.model import SpanLink, StoredSpan
from headwater.kernel.telemetry.names import ATTEMPT, ERROR_TYPE


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a waterfall."""

    span: StoredSpan
    depth: int
    offset_ns: int
    """From the start of the trace, after skew was taken out; never negative."""
    duration_ns: int
    orphan: bool
    """Its parent is named but not here: not exported yet, not sampled, or dropped."""
    skew_ns: int
    """What was added to its start, since its host's clock ran behind its parent's."""

    @property
    def attempt(self) -> int | None:
        """The attempt this span is, where it says so."""
        value: Any = self.span.attributes.get(ATTEMPT)
        return value if isinstance(value, int) else None

    @property
    def error_type(self) -> str | None:
        """The error it ended with, where it did; `error` when it does not say which."""
        if self.span.status != "ERROR":
            return None
        return str(self.span.attributes.get(ERROR_TYPE, "error"))

    @property
    def links(self) -> tuple[SpanLink, ...]:
        """Its links to other traces; one to its own trace says nothing new."""
        return tuple(link for link in self.span.links if link.trace_id != self.span.trace_id)


@dataclass(frozen=True, slots=True)
class _Placed:
    span: StoredSpan
    depth: int
    orphan: bool
    skew_ns: int

    @property
    def start_ns(self) -> int:
        return self.span.start_ns + self.skew_ns


def waterfall(spans: Sequence[StoredSpan]) -> list[Row]:
    """Order spans depth first, siblings by start; every span comes out exactly once.

    A span of another service that seems to begin before its parent is moved to the parent's begin, and what is
    below it in the same service moves along: an effect does not precede its cause, so the clocks differ.
    """
    unique = {span.span_id: span for span in spans}
    children: dict[str, list[StoredSpan]] = {}
    tops: list[StoredSpan] = []
    for span in unique.values():
        if span.parent_span_id in unique:
            children.setdefault(span.parent_span_id, []).append(span)
        else:
            tops.append(span)
    placed = _walk(tops, children)
    while len(placed) < len(unique):
        placed.update(_walk([_in_circle(unique, placed)], children, placed.keys()))
    return _rows(list(placed.values()))


def total_ns(rows: Sequence[Row]) -> int:
    """Return the width of a waterfall, at least one nanosecond."""
    return max((row.offset_ns + row.duration_ns for row in rows), default=0) or 1


def _walk(
    tops: Sequence[StoredSpan],
    children: dict[str, list[StoredSpan]],
    done: Any = (),
) -> dict[str, _Placed]:
    placed: dict[str, _Placed] = {}
    stack = [
        _Placed(span, 0, span.parent_span_id is not None, 0)
        for span in sorted(tops, key=_order, reverse=True)
    ]
    while stack:
        here = stack.pop()
        if here.span.span_id in placed or here.span.span_id in done:
            continue
        placed[here.span.span_id] = here
        below = [_below(here, child) for child in children.get(here.span.span_id, ())]
        stack.extend(sorted(below, key=lambda child: (child.start_ns, child.span.span_id), reverse=True))
    return placed


def _below(parent: _Placed, child: StoredSpan) -> _Placed:
    skew_ns = parent.skew_ns if child.service == parent.span.service else 0
    behind_ns = parent.start_ns - (child.start_ns + skew_ns)
    if child.service != parent.span.service and behind_ns > 0:
        skew_ns += behind_ns
    return _Placed(child, parent.depth + 1, orphan=False, skew_ns=skew_ns)


def _in_circle(unique: dict[str, StoredSpan], placed: dict[str, _Placed]) -> StoredSpan:
    """Choose where a circle of parents is cut: at its earliest span."""
    return min((span for span in unique.values() if span.span_id not in placed), key=_order)


def _rows(placed: Sequence[_Placed]) -> list[Row]:
    begin_ns = min((here.start_ns for here in placed), default=0)
    return [
        Row(
            span=here.span,
            depth=here.depth,
            offset_ns=here.start_ns - begin_ns,
            duration_ns=max(0, here.span.end_ns - here.span.start_ns),
            orphan=here.orphan,
            skew_ns=here.skew_ns,
        )
        for here in placed
    ]


def _order(span: StoredSpan) -> tuple[int, str]:
    return span.start_ns, span.span_id
