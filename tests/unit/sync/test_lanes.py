"""Lanes share an account's turns: minimum shares hold, nothing lies idle, live work comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headwater.policy.account import Lanes as LanePolicy
from headwater.policy.account import LaneShare
from headwater.sync.domain.lanes import REACH_ROWS_MAX, Lane, Line, Shares, ask, learn, shares_of

DEEP = dict.fromkeys(Lane, True)
DEFAULT = shares_of(LanePolicy())


@st.composite
def policies(draw: st.DrawFn) -> Shares:
    """Return shares whose minima can be kept together."""
    minima = [draw(st.floats(0, 0.25)) for _ in Lane]
    weights = [draw(st.sampled_from([0.0, 0.5, 1.0, 7.0, 100.0])) for _ in Lane]
    pairs = zip(Lane, weights, minima, strict=True)
    return {lane: LaneShare(weight=weight, share_min=least) for lane, weight, least in pairs}


def serve(queue: Counter[Lane], line: Line, rows: int, shares: Shares) -> tuple[Counter[Lane], Line]:
    """Take one turn on *queue*, which loses what is claimed."""
    asked, line = ask(line, rows, shares)
    claimed = Counter({lane: min(asked[lane], queue[lane]) for lane in Lane})
    queue.subtract(claimed)
    return claimed, learn(line, asked, claimed, {lane: queue[lane] > 0 for lane in Lane})


@given(policies(), st.lists(st.integers(1, 200), min_size=12, max_size=40))
def test_every_waiting_lane_gets_its_minimum_share(shares: Shares, turns: list[int]) -> None:
    """Over any run of turns, however small, short of a few rows of rounding once all lanes are known to wait."""
    queue, line = Counter(dict.fromkeys(Lane, 10**9)), Line()
    got, total = Counter[Lane](), 0
    for number, rows in enumerate(turns):
        claimed, line = serve(queue, line, rows, shares)
        assert claimed.total() == rows
        if number >= 9:  # by then each lane's reach has grown to any batch
            got += claimed
            total += rows
    for lane in Lane:
        assert got[lane] >= shares[lane].share_min * total - 2


@given(policies(), st.integers(1, 500), st.dictionaries(st.sampled_from(Lane), st.integers(0, 2000)))
def test_no_turn_is_idle_while_anything_waits(shares: Shares, rows: int, waiting: Mapping[Lane, int]) -> None:
    """After one look, every turn takes something, and a queue is drained in about as many turns as it has batches."""
    queue, line = Counter(waiting), Line()
    _, line = serve(queue, line, rows, shares)
    turns = 0
    while +queue:
        left = queue.total()
        claimed, line = serve(queue, line, rows, shares)
        assert claimed.total() > 0
        assert claimed.total() <= min(rows, left)
        turns += 1
    assert turns <= 2 * sum(waiting.values()) / rows + 12


def test_a_lane_alone_gets_everything() -> None:
    """Shares of lanes that do not wait go to the one that does."""
    for lane in Lane:
        queue, line = Counter({lane: 10_000}), Line()
        for _ in range(2):
            _, line = serve(queue, line, 100, DEFAULT)
        claimed, line = serve(queue, line, 100, DEFAULT)
        assert claimed == Counter({lane: 100})


def test_a_trickle_of_live_work_does_not_empty_the_batches_of_the_backfill() -> None:
    """One live row a turn costs the backfill a few rows of a batch, not the live lane's whole share."""
    queue, line = Counter({Lane.BACKFILL: 100_000}), Line()
    served = []
    for _ in range(50):
        queue[Lane.LIVE] += 1
        claimed, line = serve(queue, line, 100, DEFAULT)
        served.append(claimed)
    assert all(claimed[Lane.LIVE] == 1 for claimed in served)
    assert sum(claimed.total() for claimed in served[2:]) >= 95 * 48


def test_lanes_are_served_in_their_order_by_default() -> None:
    """With all lanes waiting, the more urgent one gets more."""
    queue, line = Counter(dict.fromkeys(Lane, 10**6)), Line()
    got = Counter[Lane]()
    for _ in range(30):
        claimed, line = serve(queue, line, 50, DEFAULT)
        got += claimed
    assert got[Lane.LIVE] > got[Lane.RETRY] > got[Lane.BACKFILL] > got[Lane.RECONCILE] > 0


def test_turns_of_one_row_reach_every_lane() -> None:
    """Where a batch is one record, shares are kept over turns."""
    queue, line = Counter(dict.fromkeys(Lane, 10**6)), Line()
    got = Counter[Lane]()
    for _ in range(400):
        claimed, line = serve(queue, line, 1, DEFAULT)
        got += claimed
    for lane in Lane:
        assert got[lane] >= 400 * DEFAULT[lane].share_min - 5


def test_minimum_shares_beyond_the_whole_are_refused() -> None:
    """Promises that cannot be kept together are no policy."""
    with pytest.raises(ValidationError, match="more than 1"):
        LanePolicy(live=LaneShare(weight=1, share_min=0.9))


@given(
    policies(),
    st.lists(st.tuples(st.integers(1, 200), st.sets(st.sampled_from(Lane))), min_size=1, max_size=20),
)
def test_nothing_is_wanted_of_a_lane_that_may_not_use_the_quota(
    shares: Shares, turns: list[tuple[int, set[Lane]]]
) -> None:
    """All rows are wanted of the others; with none open nothing is wanted at all."""
    queue, line = Counter(dict.fromkeys(Lane, 10**9)), Line()
    for rows, able in turns:
        asked, line = ask(line, rows, shares, able)
        assert {lane for lane in Lane if asked[lane]} <= able
        assert sum(asked.values()) == (rows if able else 0)
        line = learn(line, asked, asked, {lane: queue[lane] > 0 for lane in Lane})


def test_what_is_believed_of_a_lane_that_always_waits_stays_bounded() -> None:
    """However many turns a backlog lasts."""
    line = Line()
    for _ in range(2_000):
        asked, line = ask(line, 10, DEFAULT)
        line = learn(line, asked, asked, DEEP)
    assert all(known is None or known <= REACH_ROWS_MAX for known in line.reach.values())
