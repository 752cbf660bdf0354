"""The reading half of the span store: traces, what is linked to them, and counts.

Owns its own read-only connection, one for each `SpanReader`. Blocking: the web runs it in a worker thread. Every
answer is bounded. Must not write.
"""

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from headwater.console.model import (
    IncomingLink,
    RelatedTrace,
    StoredSpan,
    StoreStats,
    Trace,
    TraceSummary,
    summarise,
)
from headwater.console.otlp import otlp_json, span_from_body
from headwater.console.store import SPANS_DROPPED, TRACES_DROPPED, used_bytes
from headwater.kernel.pg.queries import load
from headwater.kernel.telemetry.names import TENANT

SPANS_MAX: Final = 5_000
"""Spans of one trace in one answer."""
SUMMARY_SPANS_MAX: Final = 500
"""Spans read to put a trace on one line."""
INCOMING_MAX: Final = 500
"""Links from elsewhere in one answer."""
NEIGHBOURS_MAX: Final = 200
"""Traces one link away that are followed."""
RELATED_MAX: Final = 50
"""Traces in one answer about related ones."""

_SQL: Final = {name: query.text for name, query in load("headwater.console", "read.sql").items()}


class SpanReader:
    """Reads one store; make one with `reading`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def traces(self, *, event_key: str | None, service: str | None, limit: int) -> list[TraceSummary]:
        """Return the newest traces, of one event or one service where given."""
        if event_key is None:
            rows = self._db.execute(_SQL["list_traces"], (service, limit))
        else:
            rows = self._db.execute(_SQL["list_traces_of_event"], (event_key, service, limit))
        found = (self._summary(trace_id) for (trace_id,) in rows.fetchall())
        return [summary for summary in found if summary is not None]

    def trace(self, trace_id: bytes) -> Trace | None:
        """Return a trace's spans and the links that lead to it; None where the store has none of it."""
        spans = self._spans(trace_id, SPANS_MAX)
        if not spans:
            return None
        (count,) = self._db.execute(_SQL["count_spans"], (trace_id,)).fetchone()
        return Trace(trace_id.hex(), spans, self._incoming(trace_id), count - len(spans))

    def otlp(self, trace_id: bytes) -> dict[str, Any] | None:
        """Return a trace as OTLP JSON, for other viewers; None where the store has none of it."""
        rows = self._db.execute(_SQL["select_bodies"], (trace_id, SPANS_MAX)).fetchall()
        return otlp_json(rows) if rows else None

    def related(self, trace_id: bytes) -> list[RelatedTrace]:
        """Return the traces that links lead to, either way and over several, nearest first."""
        seen = {trace_id}
        found: list[RelatedTrace] = []
        queue = deque([(trace_id, 0)])
        while queue and len(found) < RELATED_MAX:
            here, distance = queue.popleft()
            for there, direction in self._db.execute(
                _SQL["select_neighbours"], (here, NEIGHBOURS_MAX)
            ).fetchall():
                if there in seen:
                    continue
                seen.add(there)
                summary = self._summary(there)
                if summary is not None and len(found) < RELATED_MAX:
                    found.append(RelatedTrace(summary, distance + 1, here.hex(), direction))
                queue.append((there, distance + 1))
        return found

    def held(self, trace_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the traces (32 hex digits) that the store has spans of."""
        return frozenset(
            one
            for one in trace_ids
            if self._db.execute(_SQL["has_trace"], (bytes.fromhex(one),)).fetchone()[0]
        )

    def tenant_of(self, event_key: str) -> str:
        """Return the tenant that a span names with an event; empty where none does."""
        row = self._db.execute(_SQL["select_span_of_event"], (event_key,)).fetchone()
        return str(span_from_body(*row).attributes.get(TENANT, "")) if row else ""

    def stats(self) -> StoreStats:
        """Return what the store holds and has let go."""
        traces, spans, links = self._db.execute(_SQL["count_all"]).fetchone()
        counters = dict(self._db.execute(_SQL["select_counters"]).fetchall())
        return StoreStats(
            traces=traces,
            spans=spans,
            links=links,
            used_bytes=used_bytes(self._db),
            traces_dropped=counters.get(TRACES_DROPPED, 0),
            spans_dropped=counters.get(SPANS_DROPPED, 0),
        )

    def _summary(self, trace_id: bytes) -> TraceSummary | None:
        spans = self._spans(trace_id, SUMMARY_SPANS_MAX)
        if not spans:
            return None
        (count,) = self._db.execute(_SQL["count_spans"], (trace_id,)).fetchone()
        return summarise(trace_id.hex(), spans, count)

    def _spans(self, trace_id: bytes, limit: int) -> tuple[StoredSpan, ...]:
        rows = self._db.execute(_SQL["select_spans"], (trace_id, limit))
        return tuple(span_from_body(service, body) for service, body in rows.fetchall())

    def _incoming(self, trace_id: bytes) -> tuple[IncomingLink, ...]:
        rows = self._db.execute(_SQL["select_incoming_links"], (trace_id, INCOMING_MAX)).fetchall()
        return tuple(
            IncomingLink(trace.hex(), span.hex(), target.hex(), service, span_from_body(service, body).name)
            for trace, span, target, service, body in rows
        )


@contextmanager
def reading(path: Path) -> Iterator[SpanReader]:
    """Open a store for reading, at one moment of its life."""
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    ) as db:
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        yield SpanReader(db)
