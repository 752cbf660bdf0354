"""A gate that is open for a block, for tests that need no account around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headwater.sync.delivery.gate import AccountGate, GateParts, Place


@asynccontextmanager
async def open_gate(place: Place, parts: GateParts) -> AsyncIterator[AccountGate]:
    """Take the account's books over and yield its gate; at the end write them exactly.

    The calls of the block must be over when it is left: one that still runs is taken for lost.

    Raises: FenceLost, Unavailable.
    """
    gate = AccountGate(place, parts)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.close()
