"""Bits drawn: bars on their side of zero, numbers exact, pages that escape what they are told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cli import bits
from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb


def _found(*values: float) -> pb.ExplainResponse:
    fields = [pb.FieldBits(field=f"f{n}", level="equal", bits=value) for n, value in enumerate(values)]
    ref = event_pb2.RecordRef(source="crm", object="contact", external_id="<1>")
    return pb.ExplainResponse(
        fields=fields,
        bits=sum(values),
        verdict="They are <b>two</b>.",
        left_record=ref,
        right_record=ref,
        shared_keys=[pb.MatchedKey(kind="email", value="a&b@x.io", joins=False, blocked_by="generic")],
    )


@given(st.integers(-30_000, 30_000))
def test_a_multiple_of_a_1024th_is_written_exactly(count: int) -> None:
    """Read back it is the same number."""
    assert float(bits.exact(count / 1024, signed=True)) == count / 1024


@given(st.lists(st.integers(-12_000, 12_000), min_size=1, max_size=12))
def test_the_steps_end_at_the_sum(counts: list[int]) -> None:
    """Each begins where the one before ended, whatever the order."""
    found = _found(*[count / 1024 for count in counts])
    lines = bits.steps(found)
    assert lines[-1].after == found.bits
    assert all(one.after == other.before for one, other in pairwise(lines))


@pytest.mark.parametrize(("value", "side"), [(3.0, "right"), (-3.0, "left"), (0.001, "right"), (0.0, "none")])
def test_a_bar_stands_on_its_side_of_zero(value: float, side: str) -> None:
    """Left speaks against, right for; the smallest shows, nothing shows nothing; all are equally wide."""
    drawn = bits.bar(value, 6.0).plain
    left, right = drawn.split("│")
    assert ("█" in left, "█" in right) == (side == "left", side == "right")
    assert len(left) == len(right) == bits.HALF_CELLS


def test_a_page_escapes_what_records_say() -> None:
    """Names and values are text, never markup."""
    page = bits.page(_found(1.0, -2.5), "<script>", "b")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "They are &lt;b&gt;two&lt;/b&gt;." in page
    assert "a&amp;b@x.io" in page
    assert "-1.5" in page
