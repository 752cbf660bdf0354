"""The log's readers hear of live events at once, and of old news alone once in a while."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.unit.sync.virtual_time import run_virtually

from headwater.ingest.store.announcing import BULK_PAUSE_S, PAUSE_S, Announcer


class Words(Announcer):
    """An announcer that notes when it told what was rung."""

    def __init__(self) -> None:
        pool: Any = None
        super().__init__(pool, acquire_timeout_s=1)
        self.told: list[float] = []

    async def _tell(self) -> None:
        self.told.append(anyio.current_time())


def heard(*rings: tuple[float, bool]) -> list[float]:
    """Return when words were told of *rings*: when, and whether of old news alone."""

    async def main() -> list[float]:
        words = Words()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(words.run)
            for at_s, bulk in rings:
                await anyio.sleep_until(at_s)
                words.ring(bulk=bulk)
            await anyio.sleep(1.0)
            tasks.cancel_scope.cancel()
        return words.told

    told: list[float] = run_virtually(main)
    return told


def test_live_events_are_told_at_once() -> None:
    """A word stands for several commits that come close together."""
    assert heard((0.1, False), (0.1 + PAUSE_S / 2, False)) == [
        pytest.approx(0.1),
        pytest.approx(0.1 + PAUSE_S),
    ]


def test_old_news_waits_for_more() -> None:
    """Many commits, one word."""
    rings = [(0.1 + number * BULK_PAUSE_S / 10, True) for number in range(10)]
    assert heard(*rings) == [pytest.approx(0.1 + BULK_PAUSE_S)]


def test_a_live_event_does_not_wait_with_old_news() -> None:
    """Its word stands for both, and nothing is told twice."""
    assert heard((0.1, True), (0.12, False)) == [pytest.approx(0.12)]
    assert heard((0.1, False), (0.1 + PAUSE_S * 2, True)) == [
        pytest.approx(0.1),
        pytest.approx(0.1 + PAUSE_S * 2 + BULK_PAUSE_S),
    ]
