"""The console's pages: a list of traces and one trace's waterfall, as plain HTML.

Pure: values in, text out. Everything that came from a span is escaped by `markup.text`, without exception; there is
no script.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from headwater.console import wording
from headwater.console.life import EventLife
from headwater.console.life_page import event_address, lives_section
from headwater.console.markup import page as _page
from headwater.console.markup import text as _e
from headwater.console.model import IncomingLink, RelatedTrace, StoredSpan, Trace, TraceSummary
from headwater.console.waterfall import Row, total_ns, waterfall
from headwater.kernel.telemetry.names import EVENT_KEY, LINK_ROLE, TENANT

_HUES: Final = (205, 150, 285, 35, 330, 180, 95, 255)


def index_page(traces: Sequence[TraceSummary], *, event_key: str, service: str) -> str:
    """Return the list of traces, with the search that made it."""
    rows = "".join(
        f"<tr><td>{_trace_anchor(trace.trace_id, trace.name)}</td><td>{_e(', '.join(trace.services))}</td>"
        f'<td class=n>{trace.span_count}</td><td class="n bad">{trace.error_count or ""}</td>'
        f"<td class=n>{wording.duration(trace.duration_ns)}</td><td class=n>{_time(trace.start_ns)}</td></tr>"
        for trace in traces
    )
    head = (
        "<tr><th>trace<th>services<th class=n>spans<th class=n>errors<th class=n>took<th class=n>began</tr>"
    )
    form = (
        '<form action="/">event key <input name=event_key size=40 '
        f'value="{_e(event_key)}"> service <input name=service value="{_e(service)}"> <button>find</button></form>'
    )
    body = f"<table>{head}{rows}</table>" if traces else "<p>No trace yet.</p>"
    address = f"/event/{quote(event_key, safe='')}"
    life = f'<p><a href="{address}">life of event <code>{_e(event_key)}</code></a></p>' if event_key else ""
    return _page("Traces", f"<h1>Traces</h1>{form}{life}{body}")


def trace_page(
    trace: Trace, related: Sequence[RelatedTrace], lives: Sequence[EventLife] = (), lives_left_out: int = 0
) -> str:
    """Return one trace's waterfall, its links both ways, the traces around it, and the lives of its events."""
    rows = waterfall(trace.spans)
    width_ns = total_ns(rows)
    hues = {
        name: _HUES[n % len(_HUES)]
        for n, name in enumerate(dict.fromkeys(span.service for span in trace.spans))
    }
    incoming: dict[str, list[IncomingLink]] = {}
    for link in trace.incoming:
        incoming.setdefault(link.linked_span_id, []).append(link)
    lines = "".join(
        _line(row, width_ns, hues[row.span.service], incoming.get(row.span.span_id, ())) for row in rows
    )
    left_out = f"<p class=bad>{trace.spans_left_out} spans not shown</p>" if trace.spans_left_out else ""
    title = rows[0].span.name
    return _page(
        title,
        f"<p><a href=/>traces</a></p><h1>{_e(title)}</h1>"
        f"<p class=dim><code>{_e(trace.trace_id)}</code> · {len(rows)} spans · "
        f"{wording.duration(width_ns)} · {_time(min(span.start_ns for span in trace.spans))} · "
        f'<a href="/api/traces/{quote(trace.trace_id)}/otlp.json">OTLP JSON</a></p>{left_out}{lives_section(lives, lives_left_out)}'
        "<table class=waterfall><tr><th class=from>service<th>span<th class=lane><th class='n took'>took</tr>"
        f"{lines}</table>{_related(related)}",
    )


def _line(row: Row, width_ns: int, hue: int, incoming: Sequence[IncomingLink]) -> str:
    span = row.span
    left = 100 * row.offset_ns / width_ns
    width = 100 * row.duration_ns / width_ns
    colour = "var(--bad)" if row.error_type else f"hsl({hue} 60% 50%)"
    sign = wording.KIND_SIGNS.get(span.kind, "")
    return (
        f'<tr id="s{_e(span.span_id)}"><td style="color:hsl({hue} 60% 45%)">{_e(span.service)}</td>'
        f'<td style="padding-left:{row.depth * 1.2 + 0.5:.1f}rem"><details><summary>'
        f'<span class=dim title="{_e(span.kind.lower())}">{sign}</span> {_e(span.name)} {_tags(row)}</summary>'
        f"{_details(span)}</details>{_event(span)}{_links(row)}{_incoming(incoming)}</td>"
        f'<td class=lane><div class=bar style="margin-left:{left:.3f}%;width:{width:.3f}%;background:{colour}"></div></td>'
        f"<td class=n>{wording.duration(row.duration_ns)}</td></tr>"
    )


def _tags(row: Row) -> str:
    tags: list[str] = []
    if row.attempt is not None:
        tags.append(f"attempt {row.attempt}")
    if row.orphan:
        tags.append("parent not here")
    if row.skew_ns:
        tags.append(f"clock +{wording.duration(row.skew_ns)}")
    bad = f' <span class="tag bad">{_e(row.error_type)}</span>' if row.error_type else ""
    return " ".join(f"<span class=tag>{_e(tag)}</span>" for tag in tags) + bad


def _details(span: StoredSpan) -> str:
    """Return what a span carries as one element of text: a thousand tables would cost the browser a second."""
    facts: list[tuple[str, object]] = [("span id", span.span_id), ("kind", span.kind.lower())]
    if span.status_message:
        facts.append(("status", span.status_message))
    facts.extend(sorted(span.attributes.items()))
    facts.extend(
        (f"event +{wording.duration(max(0, e.time_ns - span.start_ns))}", e.name) for e in span.events
    )
    wide = max(len(name) for name, _ in facts)
    return f"<pre>{_e(chr(10).join(f'{name:<{wide}}  {value}' for name, value in facts))}</pre>"


def _event(span: StoredSpan) -> str:
    """Return the way from a span to the life of the event that it names."""
    tenant_id, event_key = (str(span.attributes.get(name, "")) for name in (TENANT, EVENT_KEY))
    if not tenant_id or not event_key:
        return ""
    return f'<div>⇢ <a href="{_e(event_address(tenant_id, event_key))}">life of the event</a></div>'


def _links(row: Row) -> str:
    return "".join(
        f"<div>⇢ {_e(str(link.attributes.get(LINK_ROLE, 'link')).replace('_', ' '))} "
        f"{_span_anchor(link.trace_id, link.span_id)}</div>"
        for link in row.links
    )


def _incoming(links: Iterable[IncomingLink]) -> str:
    return "".join(
        f"<div>⇠ {_e(link.service)} {_e(link.name)} {_span_anchor(link.trace_id, link.span_id)}</div>"
        for link in links
    )


def _related(related: Sequence[RelatedTrace]) -> str:
    if not related:
        return ""
    rows = "".join(
        f"<tr><td>{_trace_anchor(one.summary.trace_id, one.summary.name)}</td>"
        f"<td>{_e(', '.join(one.summary.services))}</td><td>{_e(one.direction.replace('_', ' '))} "
        f"<code>{_e(one.via_trace_id[:8])}</code></td><td class=n>{one.distance}</td>"
        f"<td class=n>{wording.duration(one.summary.duration_ns)}</td></tr>"
        for one in related
    )
    head = "<tr><th>trace<th>services<th>how<th class=n>links away<th class=n>took</tr>"
    return f"<h2>Related traces</h2><table>{head}{rows}</table>"


def _trace_anchor(trace_id: str, text: str) -> str:
    return f'<a href="/trace/{quote(trace_id)}">{_e(text) or "trace"}</a>'


def _span_anchor(trace_id: str, span_id: str) -> str:
    return f'<a href="/trace/{quote(trace_id)}#s{quote(span_id)}"><code>{_e(trace_id[:8])}…</code></a>'


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
