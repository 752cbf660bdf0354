"""Trying a store's transaction again: one that lost a race for locks, or whose answer was lost."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.ports import StoreRaced

RACES_MAX: Final = 6
"""Races lost in a row before the actor gives up and starts again."""
RACE_PAUSE_S: Final = 0.02
"""Longest pause after the first lost race; doubles with each."""
LOST_MAX: Final = 4
"""Turns without an answer in a row before the actor gives up: what is in flight is then in doubt."""
LOST_PAUSE_S: Final = 0.2
"""Longest pause after the first turn without an answer; doubles with each."""

Result = TypeVar("Result")


async def again_when_raced(attempt: Callable[[], Awaitable[Result]], chance: random.Random) -> Result:
    """Return what *attempt* returns, tried again with growing pauses, of full jitter, while it loses races.

    Raises:
        StoreRaced: it lost every one.
    """
    for lost in range(RACES_MAX - 1):
        try:
            return await attempt()
        except StoreRaced:
            await anyio.sleep(chance.uniform(0.0, RACE_PAUSE_S * 2**lost))
    return await attempt()


async def again_when_lost(attempt: Callable[[], Awaitable[Result]], chance: random.Random) -> Result:
    """Return what *attempt* returns, tried again a few times while the store cannot be reached.

    Only for what is safe to repeat although it may have committed.

    Raises:
        Unavailable: it could not be reached at any of them.
    """
    for lost in range(LOST_MAX - 1):
        try:
            return await attempt()
        except Unavailable:
            await anyio.sleep(chance.uniform(0.0, LOST_PAUSE_S * 2**lost))
    return await attempt()
