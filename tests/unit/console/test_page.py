"""The console's pages."""

from html.parser import HTMLParser
from typing import Any

from tests.unit.console.conftest import TRACE_ID, MakeSpan

from headwater.console.model import IncomingLink, RelatedTrace, SpanLink, Trace, summarise
from headwater.console.page import index_page, trace_page

EVIL = "\"'><script>alert(1)</script>"
OTHER = "b" * 32


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hrefs: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.hrefs.extend(value for name, value in attrs if name == "href" and value)


def _read(page: str) -> _Seen:
    seen = _Seen()
    seen.feed(page)
    return seen


def _evil_trace(make_span: MakeSpan) -> Trace:
    hostile: dict[str, Any] = {
        "service": EVIL,
        "kind": EVIL,
        "status": "ERROR",
        "status_message": EVIL,
        "attributes": {EVIL: EVIL, "error.type": EVIL},
        "links": (SpanLink(OTHER, "c" * 16, {"headwater.link_role": EVIL}),),
    }
    span = make_span(EVIL, **hostile)
    return Trace(TRACE_ID, (span,), (IncomingLink(OTHER, "d" * 16, span.span_id, EVIL, EVIL),))


def test_nothing_of_a_span_becomes_markup(make_span: MakeSpan) -> None:
    """Hostile names, values and services are text on both pages."""
    trace = _evil_trace(make_span)
    summary = summarise(TRACE_ID, trace.spans, 1)
    related = [RelatedTrace(summary, 1, OTHER, "links_to")]
    for page in (trace_page(trace, related), index_page([summary], event_key=EVIL, service=EVIL)):
        seen = _read(page)
        assert "script" not in seen.tags
        assert not any(name.startswith("on") for name in seen.attributes)
        assert "&lt;script&gt;" in page


def test_links_can_be_followed_both_ways(make_span: MakeSpan) -> None:
    """A span leads to what it links to and to what links to it."""
    span = make_span("process", links=(SpanLink(OTHER, "c" * 16),))
    trace = Trace(TRACE_ID, (span,), (IncomingLink("e" * 32, "d" * 16, span.span_id, "sync", "settle"),))
    hrefs = _read(trace_page(trace, [])).hrefs
    assert f"/trace/{OTHER}#s{'c' * 16}" in hrefs
    assert f"/trace/{'e' * 32}#s{'d' * 16}" in hrefs


def test_page_says_what_it_left_out(make_span: MakeSpan) -> None:
    """A trace too large for one page does not pretend to be whole."""
    assert "7 spans not shown" in trace_page(Trace(TRACE_ID, (make_span("a"),), (), 7), [])
