"""The order and place of spans in a waterfall."""

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.console.conftest import TRACE_ID, MakeSpan

from headwater.console.model import SpanLink, StoredSpan
from headwater.console.waterfall import Row, total_ns, waterfall


def _shape(rows: list[Row]) -> list[tuple[str, int]]:
    return [(row.span.name, row.depth) for row in rows]


def test_children_follow_their_parent_in_order_of_start(make_span: MakeSpan) -> None:
    """Depth first, siblings by start, whatever order they came in."""
    spans = [
        make_span("c", "a", 5, 9),
        make_span("a", None, 0, 10),
        make_span("d", "b", 2, 3),
        make_span("b", "a", 1, 4),
    ]
    assert _shape(waterfall(spans)) == [("a", 0), ("b", 1), ("d", 2), ("c", 1)]


def test_offsets_count_from_the_first_start(make_span: MakeSpan) -> None:
    """The earliest span stands at nought and the width reaches the latest end."""
    rows = waterfall([make_span("a", None, 100, 150), make_span("b", "a", 120, 180)])
    assert [(row.offset_ns, row.duration_ns) for row in rows] == [(0, 50), (20, 60)]
    assert total_ns(rows) == 80


def test_orphan_stands_at_the_top_and_says_so(make_span: MakeSpan) -> None:
    """A span whose parent never came is shown, with what hangs below it."""
    rows = waterfall([make_span("a", None), make_span("b", "gone", 3), make_span("c", "b", 4)])
    assert [(row.span.name, row.depth, row.orphan) for row in rows] == [
        ("a", 0, False),
        ("b", 0, True),
        ("c", 1, False),
    ]


def test_several_roots_stand_in_order_of_start(make_span: MakeSpan) -> None:
    """A trace with more than one root shows them all."""
    assert _shape(waterfall([make_span("b", None, 5), make_span("a", None, 1)])) == [("a", 0), ("b", 0)]


def test_span_of_a_slow_clock_is_moved_to_its_parents_start(make_span: MakeSpan) -> None:
    """A child of another service that seems to precede its parent moves, and its own children with it."""
    rows = waterfall(
        [
            make_span("call", None, 1_000, 2_000),
            make_span("serve", "call", 400, 900, service="identity"),
            make_span("query", "serve", 500, 600, service="identity"),
        ],
    )
    assert [(row.offset_ns, row.skew_ns) for row in rows] == [(0, 0), (0, 600), (100, 600)]


def test_span_of_the_same_service_is_never_moved(make_span: MakeSpan) -> None:
    """One process has one clock: what it says is shown."""
    rows = waterfall([make_span("a", None, 100, 200), make_span("b", "a", 90, 95)])
    assert [(row.span.name, row.offset_ns, row.skew_ns) for row in rows] == [("a", 10, 0), ("b", 0, 0)]


def test_parents_in_a_circle_are_cut_at_the_earliest(make_span: MakeSpan) -> None:
    """Nonsense from outside is drawn once, not for ever."""
    rows = waterfall([make_span("b", "a", 2), make_span("a", "b", 1), make_span("r", None, 0)])
    assert _shape(rows) == [("r", 0), ("a", 0), ("b", 1)]


def test_row_says_attempt_error_and_foreign_links(make_span: MakeSpan) -> None:
    """A retry shows its number, its error and the traces it follows; a link home says nothing."""
    abroad, home = SpanLink("b" * 32, "c" * 16), SpanLink(TRACE_ID, "c" * 16)
    attributes = {"headwater.attempt": 3, "error.type": "RATE_LIMITED"}
    (row,) = waterfall([make_span("a", status="ERROR", attributes=attributes, links=(abroad, home))])
    assert (row.attempt, row.error_type, row.links) == (3, "RATE_LIMITED", (abroad,))


def test_no_spans_make_no_rows() -> None:
    """An empty trace is an empty waterfall of some width."""
    assert waterfall([]) == []
    assert total_ns([]) == 1


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.none() | st.integers(0, 14),
            st.integers(0, 50),
            st.integers(0, 50),
            st.sampled_from(["ingest", "sync"]),
        ),
        max_size=14,
    ),
)
def test_every_span_comes_out_once_whatever_the_parents(
    parts: list[tuple[int, int | None, int, int, str]],
) -> None:
    """Any graph of parents gives each span one row, no negative place, and depths that grow by one at most."""
    spans = [
        StoredSpan(
            trace_id=TRACE_ID,
            span_id=f"{number:016x}",
            parent_span_id=None if parent is None else f"{parent:016x}",
            service=service,
            name="x",
            kind="INTERNAL",
            status="UNSET",
            start_ns=start,
            end_ns=start + took,
        )
        for number, parent, start, took, service in parts
    ]
    rows = waterfall(spans)
    assert sorted(row.span.span_id for row in rows) == sorted({span.span_id for span in spans})
    assert all(row.offset_ns >= 0 and row.duration_ns >= 0 for row in rows)
    depths = [row.depth for row in rows]
    assert all(after <= before + 1 for before, after in zip([-1, *depths], depths, strict=False))
