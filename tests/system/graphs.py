"""Spans as a graph: counting them by what they are, finding what hangs loose. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from headwater.console.model import SpanLink, StoredSpan

Shape = Counter[tuple[str, str, str]]


def shape(spans: Iterable[StoredSpan]) -> Shape:
    """Count spans by service, kind and name."""
    return Counter((span.service, span.kind, span.name) for span in spans)


def orphans(spans: Sequence[StoredSpan]) -> list[StoredSpan]:
    """Return spans whose parent is not among them."""
    known = {(span.trace_id, span.span_id) for span in spans}
    return [
        span for span in spans if span.parent_span_id and (span.trace_id, span.parent_span_id) not in known
    ]


def loose_links(spans: Sequence[StoredSpan]) -> list[SpanLink]:
    """Return links that lead to no span among them."""
    known = {(span.trace_id, span.span_id) for span in spans}
    return [link for span in spans for link in span.links if (link.trace_id, link.span_id) not in known]


def named(spans: Iterable[StoredSpan], name: str, service: str = "") -> list[StoredSpan]:
    """Return spans of a name, in order of start."""
    found = [span for span in spans if span.name == name and service in ("", span.service)]
    return sorted(found, key=lambda span: span.start_ns)


def children(spans: Iterable[StoredSpan], parent: StoredSpan) -> list[StoredSpan]:
    """Return the spans right below *parent*."""
    return [
        span for span in spans if (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)
    ]


def roles(span: StoredSpan) -> dict[str, tuple[str, str]]:
    """Return link role to the trace and span it leads to; for spans with one link a role."""
    return {link.attributes["headwater.link_role"]: (link.trace_id, link.span_id) for link in span.links}
