"""When bulk work has its turns: between live events, never beside a live event that is under way, and each turn short.

Live work says while it is under way, from the log to the CRM's answer. A bulk turn begins in a lull of it and lasts
about as many milliseconds as it may: whoever takes one counts what fits. Where it may stop, it breathes: it waits
there for the live work that has begun meanwhile. So a live event waits for what is left of a step. A live load without
lulls delays bulk turns and does not hold them.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

import anyio

LULL_S: Final = 0.004
"""A pause of live work from which it counts as a lull: its next step, elsewhere, has mostly begun by then."""
WAY_S_MAX: Final = 0.25
"""Longest wait of a turn for a lull."""
BREATH_S_MAX: Final = 0.05
"""Longest wait for one inside a turn, which may hold rows that live work waits for."""
ALONE_S: Final = 2.0
"""After so long without live work nobody is taken to wait."""
ALONE_TIMES: Final = 8.0
"""Times that a turn may then last longer."""
GROWTH_MAX: Final = 1.5
"""Times that a turn may be larger than the one before."""


class Turn:
    """A bulk turn under way."""

    def __init__(self, lulls: Lulls, began_s: float) -> None:
        self._lulls = lulls
        self._began_s = began_s

    @property
    def took_s(self) -> float:
        """How long it has worked by now."""
        return anyio.current_time() - self._began_s

    @property
    def alone(self) -> bool:
        """Whether no live work is about to come."""
        return self._lulls.alone

    async def breathe(self) -> None:
        """Wait for live work under way."""
        began_s = anyio.current_time()
        await self._lulls.breathe()
        self._began_s += anyio.current_time() - began_s


_turn: ContextVar[Turn | None] = ContextVar("headwater_bulk_turn", default=None)


async def breathe() -> None:
    """Let live work go first where a bulk turn may stop; outside of one there is nothing to wait for."""
    turn = _turn.get()
    if turn is not None:
        await turn.breathe()


def gives_way() -> bool:
    """Say whether this is part of a bulk turn that live work may wait for: then it goes in small steps."""
    turn = _turn.get()
    return turn is not None and not turn.alone


class Lulls:
    """The live work of a process, and the bulk turns between.

    Args:
        turn_s: how long a bulk turn may last while live events come.
        together: bulk turns at a time.
    """

    def __init__(self, turn_s: float = 0.025, together: int = 1) -> None:
        self._turn_s = turn_s
        self._room = anyio.Semaphore(together)
        self._working = 0
        self._ended_s = -math.inf
        self._quiet = anyio.Event()

    @property
    def alone(self) -> bool:
        """Whether there has been no live work for a while."""
        return not self._working and anyio.current_time() - self._ended_s >= ALONE_S

    @property
    def turn_s(self) -> float:
        """How long a bulk turn may last now."""
        return self._turn_s * (ALONE_TIMES if self.alone else 1.0)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Say that live work is under way while the block runs."""
        if not self._working:
            self._quiet = anyio.Event()
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            self._ended_s = anyio.current_time()
            if not self._working:
                self._quiet.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Take a bulk turn as the block: in a lull, or after a while without one."""
        async with self._room:
            with anyio.move_on_after(WAY_S_MAX):
                await self._wait()
            turn = Turn(self, anyio.current_time())
            token = _turn.set(turn)
            try:
                yield turn
            finally:
                _turn.reset(token)

    async def breathe(self) -> None:
        """Wait for live work under way, inside a turn."""
        with anyio.move_on_after(BREATH_S_MAX):
            await self._wait()

    async def _wait(self) -> None:
        while True:
            while self._working:
                await self._quiet.wait()
            left_s = self._ended_s + LULL_S - anyio.current_time()
            if left_s <= 0:
                return
            await anyio.sleep(left_s)


@dataclass(frozen=True, slots=True)
class Size:
    """How many items a bulk turn takes.

    Args:
        items: as of now.
        least: so many always: below, what a turn costs by itself prevails.
        most: so many at most.
    """

    items: int
    least: int
    most: int

    def after(self, items: int, took_s: float, turn_s: float) -> Size:
        """Return the size behind a turn of *items* that lasted *took_s* where *turn_s* were allowed."""
        if items <= 0:
            return self
        fits = items * min(GROWTH_MAX, turn_s / max(took_s, 1e-6))
        if took_s <= turn_s:
            fits = max(fits, self.items)
        return replace(self, items=round(min(self.most, max(self.least, fits))))
