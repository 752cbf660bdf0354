"""The gate: in order, within the limits, written down before it happens, and nothing leaks when a wait is cancelled."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.gates import open_gate
from tests.unit.sync.limit_books import MemoryBooks, Shelf
from tests.unit.sync.virtual_time import run_virtually, virtual_ns

from headwater.connectors.base import CallFailed, ErrorClass, LimitFacts, VendorError
from headwater.kernel.clock import SteppedClock
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Limits
from headwater.sync.delivery.gate import AccountGate, GateParts, Place
from headwater.sync.delivery.pacing import Unpaced, bucket
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.limiting import Limiter, rules_of
from headwater.sync.domain.quota import Ledger, Reserve, allowance_of
from headwater.sync.domain.usage import Usage

TEN_A_SECOND = {"window": {"calls": 10, "window_s": 1}, "concurrency": 4, "lost_call_s": 1}


@dataclass
class Bench:
    """One account with books in memory, its vendor being the test."""

    limits: dict[str, Any] = field(default_factory=lambda: TEN_A_SECOND)
    shelf: Shelf = field(default_factory=lambda: Shelf(virtual_ns))
    clock: SteppedClock = field(default_factory=SteppedClock)
    ours: bool = True
    fence: int = 0
    starts: list[tuple[str, float]] = field(default_factory=list)
    limiters: list[Limiter] = field(default_factory=list)
    books: type[MemoryBooks] = MemoryBooks

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[AccountGate]:
        """The gate of the next actor."""
        self.fence += 1
        limits = Limits.model_validate(self.limits)
        parts = GateParts(
            Limiter(rules_of(limits)), allowance_of(limits), self.books(self.shelf, self.fence), Unpaced(),
            Spans.off(), self.clock, lambda: self.ours, virtual_ns,
        )  # fmt: skip
        self.limiters.append(parts.limiter)
        async with open_gate(Place("acme/crm", "http://crm", 2.0), parts) as gate:
            yield gate

    async def call(
        self, gate: AccountGate, name: str = "", status: int = 200, *, kind: str = "write", **facts: Any
    ) -> None:
        """Make one call that is answered after 10 ms."""
        async with gate.call("POST", "/x", endpoint_class=kind) as ticket:
            self.starts.append((name, anyio.current_time()))
            await anyio.sleep(0.01)
            ticket.answered(status, LimitFacts(**facts))


def virtually(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test under virtual time."""

    def run() -> None:
        run_virtually(test)

    run.__doc__, run.__name__ = test.__doc__, test.__name__
    return run


@virtually
async def test_calls_beyond_the_window_wait_for_exactly_that_long() -> None:
    """The eleventh of ten a second goes one window after the first was answered."""
    bench = Bench()
    async with bench.gate() as gate:
        for _ in range(11):
            await bench.call(gate)
    assert bench.starts[9][1] < 0.2
    assert 1.01 < bench.starts[10][1] < 1.03


@virtually
async def test_calls_of_a_class_go_in_the_order_they_came() -> None:
    """First come, first served, also when all must wait."""
    bench = Bench()
    async with bench.gate() as gate, anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(bench.call, gate, f"{number:02}")
    assert [name for name, _ in bench.starts] == [f"{number:02}" for number in range(30)]


@virtually
async def test_a_cancelled_wait_leaves_its_place_to_the_next() -> None:
    """Neither the window nor the line nor a slot remembers who gave up."""
    bench = Bench()
    async with bench.gate() as gate:
        for _ in range(10):
            await bench.call(gate)
        for _ in range(50):
            with anyio.move_on_after(0.001):
                await bench.call(gate, "gave up")
        await bench.call(gate, "went")
        assert "gave up" not in [name for name, _ in bench.starts]
        (limiter,) = bench.limiters
        await anyio.sleep(2)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(bench.call, gate, "all")
        assert (limiter.logs[0].open, bench.starts[-1][1] < 3.2) == (0, True)


class SlowBooks(MemoryBooks):
    """Books that take a while to write."""

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write at last."""
        await anyio.sleep(0.05)
        await super().write(usage, ledger, reserve)


@virtually
async def test_a_pause_ordered_while_the_books_are_written_holds_for_the_call_they_are_written_for() -> None:
    """Granted before the vendor said stop, and not sent yet: it waits, and nothing stays counted for it."""
    bench = Bench(books=SlowBooks)
    async with bench.gate() as gate, anyio.create_task_group() as tasks:
        began_s = anyio.current_time()
        tasks.start_soon(lambda: bench.call(gate, "refused", 429, retry_after_s=3.0))
        await anyio.sleep(0.055)
        tasks.start_soon(bench.call, gate, "covered")
        tasks.start_soon(bench.call, gate, "booked")
    assert [name for name, _ in bench.starts] == ["refused", "covered", "booked"]
    assert bench.starts[1][1] - began_s < 0.06
    assert bench.starts[2][1] - began_s > 3.06
    assert [ledger.calls for ledger, _ in bench.shelf.ledgers.values()] == [3]


@virtually
async def test_an_unanswered_call_frees_its_slot_and_holds_its_window() -> None:
    """Nobody waits behind a hanging call for ever, and nobody takes its place in the window too early."""
    bench = Bench({**TEN_A_SECOND, "window": {"calls": 1, "window_s": 1}})
    async with bench.gate() as gate:
        with anyio.move_on_after(0.5):
            async with gate.call("POST", "/x", endpoint_class="write"):
                await anyio.sleep_forever()
        await bench.call(gate)
    assert 2.5 < bench.starts[0][1] < 2.52  # given up at 0.5, may arrive until 1.5, then one window


@virtually
async def test_no_call_starts_once_the_lease_has_lapsed() -> None:
    """What our own clock says is enough; the place is not used up by it."""
    bench = Bench(ours=False)
    async with bench.gate() as gate:
        with pytest.raises(FenceLost):
            await bench.call(gate)
        assert bench.limiters[0].logs[0].own == 0
    assert bench.starts == []


@virtually
async def test_the_books_allow_a_call_before_it_goes() -> None:
    """A crash at any moment leaves at least what was used in the books."""
    bench = Bench()
    async with bench.gate() as gate:
        await bench.call(gate)
        usage, _ = await MemoryBooks(bench.shelf, bench.fence).take_over(bench.clock.now().date())
        window = usage.windows["calls/1s/all"]
        assert sum(amount for _, amount in window.held) + window.open >= 1


@virtually
async def test_a_successor_of_an_orderly_end_has_exactly_what_is_left() -> None:
    """Seven were used: three may go at once, the fourth waits for the first one's place."""
    bench = Bench()
    async with bench.gate() as gate:
        for _ in range(7):
            await bench.call(gate)
    async with bench.gate() as gate:
        for _ in range(4):
            await bench.call(gate)
    assert bench.starts[9][1] < 0.2
    assert 1.01 < bench.starts[10][1] < 1.03


@virtually
async def test_a_successor_of_a_crash_takes_what_may_have_gone_for_gone() -> None:
    """The predecessor's block and calls under way count until the last moment that they may arrive."""
    bench = Bench({**TEN_A_SECOND, "window": {"calls": 1, "window_s": 1}})
    async with bench.gate() as gate:
        await bench.call(gate)
        async with bench.gate() as successor:  # the first one's lease has lapsed, and it knows nothing of it
            taken_over = anyio.current_time()
            await bench.call(successor)
    assert (
        bench.starts[1][1] - taken_over > 2.0 + 1.0 + 1.0
    )  # its calls' time-out, their late arrival, a window


@virtually
async def test_an_actor_that_was_replaced_goes_no_further_than_its_books() -> None:
    """Even one that never looks at its lease: its block was written down, more is refused."""
    bench = Bench({"window": {"calls": 20, "window_s": 1}})
    async with bench.gate() as gate:
        await bench.call(gate)
        async with bench.gate():
            await bench.call(gate)
            await bench.call(gate)
            with pytest.raises(FenceLost):
                await bench.call(gate)
    assert len(bench.starts) == 3


@virtually
async def test_a_pause_ordered_by_the_vendor_outlives_the_actor() -> None:
    """Retry-After binds the successor too."""
    bench = Bench()
    async with bench.gate() as gate:
        await bench.call(gate, "", 429, retry_after_s=5.0)
        assert 4.9 < gate.pause_s() <= 5.0
    async with bench.gate() as gate:
        await bench.call(gate)
    assert 5.0 < bench.starts[1][1] < 5.05


@virtually
async def test_a_wait_that_would_be_long_is_refused_with_its_length() -> None:
    """A call that can go in ten minutes only is put off, not kept."""
    bench = Bench()
    async with bench.gate() as gate:
        await bench.call(gate, "", 429, retry_after_s=600.0)
        with pytest.raises(CallFailed) as caught:
            await bench.call(gate)
    error = caught.value.error
    assert error.error_class is ErrorClass.QUOTA
    assert error.retry_after_s is not None
    assert 599 < error.retry_after_s <= 600


@virtually
async def test_a_spent_day_refuses_until_it_ends() -> None:
    """Today's last call goes, the next is told when the day ends."""
    bench = Bench({**TEN_A_SECOND, "daily_calls": 2})
    bench.clock.advance(82_800)
    async with bench.gate() as gate:
        await bench.call(gate)
        await bench.call(gate)
        with pytest.raises(CallFailed) as caught:
            await bench.call(gate)
        assert caught.value.error.code == "DAILY_QUOTA"
        assert caught.value.error.retry_after_s == 3_600
        bench.clock.advance(3_600)
        await bench.call(gate)
    assert len(bench.starts) == 3


@virtually
async def test_the_alert_is_stored_and_slows_the_backfill() -> None:
    """At 60 % the books know the time, and the backfill's lane is closed at the day's beginning."""
    bench = Bench({**TEN_A_SECOND, "daily_calls": 10})
    async with bench.gate() as gate:
        for _ in range(5):
            await bench.call(gate)
        assert Lane.BACKFILL in gate.open_lanes()
        await bench.call(gate)
        ledger, _ = bench.shelf.ledgers[bench.clock.now().date()]
        assert ledger.alert_time == bench.clock.now()
        assert gate.open_lanes() == {Lane.LIVE, Lane.RETRY, Lane.RECONCILE}


@virtually
async def test_a_successor_counts_the_day_on() -> None:
    """An orderly end is counted to the call; a crash counts the whole block as used."""
    bench = Bench()
    async with bench.gate() as gate:
        for _ in range(3):
            await bench.call(gate)
    async with bench.gate() as gate:
        await bench.call(gate)
        today = bench.clock.now().date()
        assert bench.shelf.ledgers[today][0].calls == 4
        async with bench.gate():
            assert bench.shelf.ledgers[today][0].calls == 4 + 50


@virtually
async def test_the_books_are_written_once_a_block_not_once_a_call() -> None:
    """A hundred calls of a thousand a second cost two writings, beside those of beginning and end."""
    bench = Bench({"window": {"calls": 1_000, "window_s": 1}})
    async with bench.gate() as gate:
        for _ in range(102):
            await bench.call(gate)
        assert bench.shelf.writes == 1 + 2


@virtually
async def test_a_day_of_the_past_is_not_counted_into_the_new_one() -> None:
    """The vendor's day begins when the policy says."""
    bench = Bench({**TEN_A_SECOND, "day_starts_utc": "05:00"})
    async with bench.gate() as gate:
        await bench.call(gate)
        bench.clock.advance(5 * 3_600)
        await bench.call(gate)
    calls = {day: ledger.calls for day, (ledger, _) in bench.shelf.ledgers.items()}
    assert calls == {dt.date(2025, 12, 31): 1, dt.date(2026, 1, 1): 1}


@given(st.integers(1, 100_000), st.floats(0.05, 60))
def test_the_pacer_is_never_slower_than_the_limit(limit: int, window_s: float) -> None:
    """It spreads starts; what is allowed stays with the limiter."""
    size, drain_s = bucket(limit, window_s)
    assert size >= 1
    assert size / drain_s >= limit / window_s


@virtually
async def test_a_call_that_is_not_admitted_is_neither_counted_nor_holds_its_place() -> None:
    """Refused when there is room, or after the books were written: the next call takes the place at once."""
    bench = Bench({**TEN_A_SECOND, "window": {"calls": 1, "window_s": 60}, "daily_calls": 1})
    for passes in (0, 1):
        answers = iter([None] * passes)

        def admit(answers: Iterator[None] = answers) -> None:
            if next(answers, "refused"):
                raise CallFailed(VendorError(ErrorClass.HELD, "WITHHELD", "the breaker has opened"))

        async with bench.gate() as gate:
            with pytest.raises(CallFailed, match="held"):
                async with gate.call("POST", "/x", endpoint_class="write", admit=admit):
                    pass
    async with bench.gate() as gate:
        await bench.call(gate, "goes")
        assert bench.limiters[-1].logs[0].own == 1
    assert [name for name, _ in bench.starts] == ["goes"]
    assert bench.starts[0][1] < 0.1
