"""Ranges of ids: which are read, which are proven, and that no page which ends early hides a record."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT, policy

from headwater.connectors.base import Connector, Seen
from headwater.connectors.base.sweeping import Probe, Span, Swept, SweptPage, place_of
from headwater.kernel.clock import SteppedClock
from headwater.policy.account import Limits
from headwater.policy.reconciling import Reconcile
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.parity_ranges import (
    FANOUT,
    Range,
    is_unchanged,
    parts_of,
    sort_ranges,
    span_of,
    tail_of,
)
from headwater.sync.domain.parity_share import call_share
from headwater.sync.reconciling.ports import ParityBook
from headwater.sync.reconciling.reader import NoShareLeft, Reader
from headwater.sync.store import parity

SWEPT: Final = Swept("contacts", ("email",))
RUN: Final = uuid.UUID(int=1)


def leaf(number: int, **changes: Any) -> Range:
    """Return the range of the ids (number-1)00 to number00."""
    low = str(number * 100) if number else ""
    held = {
        "span": Span(low, str(number * 100 + 100)), "crm_count": 100, "newest_time": NOON, "ours_hash": "a",
        "crm_hash": "0", "plan_hash": "p", "clean": True, "read_time": NOON, "run_id": RUN,
    }  # fmt: skip
    return Range(**{**held, **changes})


def sort(ranges: Sequence[Range], ours: Mapping[str, str] | None = None, **changes: Any) -> Any:
    """Sort *ranges* an hour after they were read, without samples."""
    asked = {"plan_hash": "p", "full_days": 7.0, "sample_records": 0, **changes}
    hashes = ours if ours is not None else {item.span.after: "a" for item in ranges}
    return sort_ranges(
        ranges, hashes, asked["plan_hash"], NOON + dt.timedelta(hours=1), asked["full_days"],
        asked["sample_records"], random.Random(1),
    )  # fmt: skip


def test_what_shows_no_change_is_proven_together() -> None:
    """One node for all; and nothing is read."""
    ranges = [leaf(number) for number in range(1, 6)]
    order = sort(ranges)
    assert (order.read, order.probed) == ((), (tuple(ranges),))
    assert span_of(order.probed[0]) == Span("100", "600")


@pytest.mark.parametrize(
    "changes",
    [{"clean": False}, {"ours_hash": "b"}, {"read_time": NOON - dt.timedelta(days=7)}],
    ids=["unsettled", "changed by us", "read long ago"],
)
def test_a_range_that_may_differ_is_read_and_parts_its_neighbours(changes: dict[str, Any]) -> None:
    """What lies on either side is proven apart."""
    ranges = [leaf(number, **(changes if number == 3 else {})) for number in range(1, 6)]
    order = sort(ranges)
    assert order.read == (ranges[2].span,)
    assert order.probed == (tuple(ranges[:2]), tuple(ranges[3:]))


def test_another_mapping_or_no_reading_at_all_reads_everything() -> None:
    """What was compared by another policy proves nothing."""
    ranges = [leaf(1), leaf(2)]
    assert sort(ranges, plan_hash="q").read == (ranges[0].span, ranges[1].span)
    assert sort([]).read == (Span(),)
    assert len(sort(ranges, full_days=0.0).read) == 2


def test_what_a_reading_that_was_cut_off_left_is_read_by_the_next() -> None:
    """Behind the last range that has an end; nothing where the last one has none, or before the first reading."""
    assert tail_of([leaf(1), leaf(2)]) == (Span("300"),)
    assert tail_of([leaf(1), leaf(2, span=Span("200"))]) == ()
    assert tail_of([]) == ()


def test_some_of_what_shows_no_change_is_read_by_chance() -> None:
    """About as many records as were asked for."""
    order = sort([leaf(number) for number in range(1, 21)], sample_records=250)
    assert len(order.read) == len(order.sampled) == 3
    assert sum(map(len, order.probed)) == 17


def test_a_node_is_unchanged_by_count_and_newest_change_alike() -> None:
    """One deleted, one changed, or one deleted and another made: each shows."""
    node = [leaf(1), leaf(2)]
    assert is_unchanged(node, Probe(200, NOON))
    assert not is_unchanged(node, Probe(199, NOON))
    assert not is_unchanged(node, Probe(200, NOON + dt.timedelta(seconds=1)))


@given(st.integers(1, 500))
def test_a_node_is_asked_again_by_parts_that_leave_nothing_out(size: int) -> None:
    """In order, and no more parts than the tree is wide."""
    node = [leaf(number) for number in range(size)]
    parts = parts_of(node)
    assert [item for part in parts for item in part] == node
    assert len(parts) <= FANOUT


ID: Final = st.text("0123456789", min_size=1, max_size=4).map(lambda text: "1" + text)


@given(st.lists(ID, unique=True, max_size=30), ID, st.one_of(st.just(""), ID))
def test_the_stretches_of_a_span_hold_its_ids_and_no_others(ids: list[str], after: str, upto: str) -> None:
    """An index sorts text by characters, ids sort by length first: the stretches are the same ids."""
    if upto and place_of(upto) <= place_of(after):
        after, upto = upto, after
    span = Span(after, upto)
    held = [
        one
        for one in ids
        for shortest, longest, low, high in parity.parts_of(span)
        if low < one <= high and shortest <= len(one) <= longest
    ]
    assert sorted(held) == sorted(one for one in ids if span.holds(one))


@dataclass
class Crm:
    """A CRM whose pages hold two records, and may be cut. *cuts*: for each page, records that it leaves out, by place."""

    ids: list[str]
    cuts: list[tuple[int, ...]] = field(default_factory=list)
    sweep_records_max: int = 2
    read_records_max: int = 2
    calls: list[str] = field(default_factory=list)

    def _within(self, span: Span) -> list[str]:
        return sorted((one for one in self.ids if span.holds(one)), key=place_of)

    def _cut(self) -> tuple[int, ...]:
        return self.cuts.pop(0) if self.cuts else ()

    async def probe(self, swept: Swept, span: Span) -> Probe:
        """Count."""
        del swept
        self.calls.append("probe")
        return Probe(len(self._within(span)), NOON)

    async def sweep(self, swept: Swept, span: Span) -> SweptPage:
        """Return a page; one that is cut at its end says that nothing follows."""
        del swept
        self.calls.append("sweep")
        ids = self._within(span)
        cut = self._cut()
        page = [one for place, one in enumerate(ids[:2]) if place not in cut]
        at_end = 1 in cut or (0 in cut and len(ids) == 1)
        last = page[-1] if page else span.after
        return SweptPage(tuple(map(_seen, page)), last, more=len(ids) > 2 and not at_end)

    async def read(self, swept: Swept, crm_ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return records by id; an answer that is cut lacks some."""
        del swept
        self.calls.append("read")
        cut = self._cut()
        found = [one for one in crm_ids if one in self.ids]
        return {one: _seen(one) for place, one in enumerate(found) if place not in cut}

    async def aclose(self) -> None:
        """Nothing to close."""


def _seen(crm_id: str) -> Seen:
    return Seen(crm_id, NOON, {"email": None})


@dataclass
class Book:
    """Counts calls."""

    calls: int = 0

    async def add_calls(self, account: Any, day: dt.date, calls: int) -> int:
        """Count."""
        del account, day
        self.calls += calls
        return self.calls


def reader(crm: Crm, book: Book, lanes: frozenset[Lane] = frozenset(Lane), **limits: Any) -> Reader:
    """Return a reader of an account with these limits, which reconciliation may use a half of."""
    document = policy()
    account = document.connectors["hubspot"].model_copy(update={"limits": Limits.model_validate(limits)})
    section = Reconcile.model_validate({"critical": {"contact": {}}, "share": 0.5})
    changed = document.model_copy(update={"connectors": {"hubspot": account}, "reconcile": section})

    async def connect() -> Connector:
        return cast("Connector", crm)

    running = RunningAccount(
        TENANT, "hubspot", changed, Lease("connector/acme/hubspot", 1), connect, unguarded, lambda: lanes
    )
    return Reader(running, crm, cast("ParityBook", book), SteppedClock(NOON))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "cuts", [[], [(1,)], [(0,)], [(0, 1)], [(), (1,)], [(), (), (0,)], [(1,), (1,)], [(0,), (0,)]]
)
async def test_pages_that_are_cut_hide_nothing(cuts: list[tuple[int, ...]]) -> None:
    """At their end or in their middle: the vendor's own count tells that records are missing, and they are asked for."""
    ids = [str(number) for number in range(95, 104)]
    told = await reader(Crm(ids, cuts), Book()).read_span(SWEPT, Span(), 1_000)
    assert (sorted(told.records, key=place_of), told.complete, told.span) == (ids, True, Span())


@pytest.mark.anyio
async def test_a_span_whose_pages_never_tell_all_is_known_as_incomplete() -> None:
    """After as many readings as are worth it; nothing is taken as complete that is not."""
    crm = Crm(["1", "2", "3"], [(0,)] * 100)
    told = await reader(crm, Book()).read_span(SWEPT, Span(), 1_000)
    assert not told.complete
    assert len(crm.calls) < 40


@pytest.mark.anyio
async def test_a_new_object_is_cut_into_ranges_as_it_is_read() -> None:
    """A range ends with the last record told, so that the next begins behind it."""
    crm = Crm([str(number) for number in range(1, 10)])
    told = await reader(crm, Book()).read_span(SWEPT, Span(), 4)
    assert (told.span, sorted(told.records), told.complete) == (Span("", "4"), ["1", "2", "3", "4"], True)


@pytest.mark.anyio
async def test_a_record_is_taken_as_gone_only_when_two_answers_lack_it() -> None:
    """An answer may be cut; the second one is asked for what the first lacks."""
    crm = Crm(["1", "2", "3"], [(0,), (), ()])
    assert sorted(await reader(crm, Book()).read(SWEPT, ["1", "2", "3", "9"])) == ["1", "2", "3"]
    assert crm.calls.count("read") >= 3


@pytest.mark.anyio
async def test_the_share_of_the_day_is_never_passed() -> None:
    """A half of twenty calls; and nothing more, also by a reader that begins later the same day."""
    crm, book = Crm([str(number) for number in range(1, 100)]), Book()
    for _ in range(2):
        one = reader(crm, book, daily_calls=20)
        with pytest.raises(NoShareLeft, match="share of 10 calls"):
            await one.read_span(SWEPT, Span(), 1_000)
        await one.write_calls()
    assert len(crm.calls) == 10


@pytest.mark.anyio
async def test_a_day_that_is_nearly_used_stops_reconciliation() -> None:
    """The lane's turn in the account's quota counts as well."""
    crm = Crm(["1"])
    with pytest.raises(NoShareLeft, match="quota slows"):
        await reader(crm, Book(), frozenset({Lane.LIVE})).read_span(SWEPT, Span(), 10)
    assert crm.calls == []


def test_calls_are_spread_over_each_window() -> None:
    """A tenth of 100 calls in 10 s is one a second; windows of one class, and tokens, alike."""
    limits = Limits.model_validate(
        {
            "windows": [{"calls": 100, "window_s": 10}, {"calls": 5, "window_s": 1, "classes": ["search"]}],
            "daily_calls": 50_000,
        }
    )
    share = call_share(limits, 0.1)
    assert (dict(share.pauses_s), share.day_calls) == ({"read": 1.0, "search": 2.0}, 5_000)
    tokens = Limits.model_validate(
        {"window": {"tokens": 50, "window_s": 10}, "costs": {"search": 5}, "daily_tokens": 1_000}
    )
    assert dict(call_share(tokens, 0.5).pauses_s) == {"read": 0.4, "search": 2.0}
    assert call_share(tokens, 0.5).day_calls == 100
