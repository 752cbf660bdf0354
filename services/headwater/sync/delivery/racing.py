"""Trying a store's transaction again that lost a race for locks: nothing of it stands, so that is safe."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from headwater.sync.ports import StoreRaced

RACES_MAX: Final = 6
"""Races lost in a row before the actor gives up and starts again."""
RACE_PAUSE_S: Final = 0.02
"""Longest pause after the first lost race; doubles with each."""

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
