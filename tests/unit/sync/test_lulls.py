"""Bulk turns begin between live work, stop for it where they may, and are as large as their time allows."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.virtual_time import run_virtually

from headwater.sync.lulls import (
    ALONE_S,
    ALONE_TIMES,
    BREATH_S_MAX,
    LULL_S,
    WAY_S_MAX,
    Lulls,
    Size,
    breathe,
    gives_way,
)

STEP_S = 0.02


async def work(lulls: Lulls, seconds: float) -> None:
    """Be live work for a while."""
    with lulls.live():
        await anyio.sleep(seconds)


def test_a_turn_begins_in_a_lull() -> None:
    """Not beside live work, nor between two steps of it that follow at once."""
    lulls = Lulls()

    begun: list[float] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, lulls, STEP_S)
            await anyio.sleep(STEP_S + LULL_S / 2)
            tasks.start_soon(work, lulls, STEP_S)
            async with lulls.turn():
                begun.append(anyio.current_time())

    run_virtually(main)
    assert begun == [pytest.approx(2 * STEP_S + 1.5 * LULL_S)]


def test_every_turn_that_waits_begins() -> None:
    """One lull is enough for all of them, one after the other, however many live steps there were before."""
    lulls, begun = Lulls(together=1), []

    async def turn() -> None:
        async with lulls.turn():
            begun.append(anyio.current_time())
            await anyio.sleep(STEP_S)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for delay_s in (0.0, STEP_S / 2):
                tasks.start_soon(work, lulls, STEP_S + delay_s)
            await anyio.lowlevel.checkpoint()
            for _ in range(3):
                tasks.start_soon(turn)

    run_virtually(main)
    assert begun == [pytest.approx(1.5 * STEP_S + LULL_S + number * STEP_S) for number in range(3)]


def test_live_work_without_lulls_delays_turns_and_holds_none() -> None:
    """One begins after the longest wait, and inside it a breath is short."""
    lulls = Lulls()

    async def main() -> tuple[float, float]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, lulls, 60.0)
            await anyio.lowlevel.checkpoint()
            async with lulls.turn() as turn:
                began_s = anyio.current_time()
                await breathe()
                breath_s = anyio.current_time() - began_s
                assert turn.took_s == 0  # what it waits is none of its work
            tasks.cancel_scope.cancel()
        return began_s, breath_s

    assert run_virtually(main) == (pytest.approx(WAY_S_MAX), pytest.approx(BREATH_S_MAX))


def test_a_turn_breathes_when_live_work_comes() -> None:
    """It goes on once that is over; outside of a turn nobody waits."""
    lulls = Lulls()

    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            async with lulls.turn():
                await breathe()
                assert anyio.current_time() == 0
                tasks.start_soon(work, lulls, STEP_S)
                await anyio.lowlevel.checkpoint()
                await breathe()
                resumed_s = anyio.current_time()
            tasks.start_soon(work, lulls, STEP_S)
            await anyio.lowlevel.checkpoint()
            await breathe()
            assert anyio.current_time() == resumed_s
        return resumed_s

    assert run_virtually(main) == pytest.approx(STEP_S + LULL_S)


def test_turns_are_longer_when_nobody_waits() -> None:
    """After a while without live work, and not before."""
    lulls = Lulls(0.01)

    async def main() -> list[float]:
        seen = [lulls.turn_s]
        await work(lulls, STEP_S)
        seen.append(lulls.turn_s)
        await anyio.sleep(ALONE_S)
        return [*seen, lulls.turn_s]

    assert run_virtually(main) == pytest.approx([0.01 * ALONE_TIMES, 0.01, 0.01 * ALONE_TIMES])


@given(
    st.integers(0, 500),
    st.integers(1, 64),
    st.integers(64, 500),
    st.floats(1e-6, 5.0),
    st.floats(0.001, 1.0),
    st.integers(1, 500),
)
def test_a_size_stays_within_its_bounds(
    items: int, least: int, most: int, took_s: float, turn_s: float, now: int
) -> None:
    """It shrinks when a turn was too long, and for want of items it never does."""
    size = Size(max(least, min(most, now)), least, most)
    after = size.after(items, took_s, turn_s)
    assert least <= after.items <= most
    if items and took_s > turn_s and items <= size.items:
        assert after.items <= size.items
    if took_s <= turn_s:
        assert after.items >= size.items


@given(st.floats(0.0001, 0.002), st.floats(0.0, 0.01))
def test_a_size_settles_where_a_turn_lasts_as_long_as_it_may(each_s: float, fixed_s: float) -> None:
    """Whatever an item and a turn cost, within the bounds."""
    size = Size(64, 1, 10_000)
    for _ in range(60):
        size = size.after(size.items, fixed_s + each_s * size.items, 0.025)
    assert fixed_s + each_s * size.items == pytest.approx(0.025, abs=2 * each_s + 0.002)


def test_a_turn_gives_way_while_live_work_comes_and_outside_of_one_nothing_does() -> None:
    """Alone, it goes at a stretch."""
    lulls, told = Lulls(), []

    async def main() -> None:
        told.append(gives_way())
        await work(lulls, STEP_S)
        async with lulls.turn():
            told.append(gives_way())
        await anyio.sleep(ALONE_S)
        async with lulls.turn():
            told.append(gives_way())

    run_virtually(main)
    assert told == [False, True, False]
