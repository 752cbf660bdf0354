"""Waking up on Postgres notifications: one listening connection, any number of sleepers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_log = logging.getLogger(__name__)

LOG_CHANNEL: Final = "headwater_log"
"""Notified by ingest when events were accepted."""
DELIVERY_CHANNEL: Final = "headwater_delivery"
"""Notified by the projector and by operators when deliveries became due."""
_CHECK_S: Final = 5.0
"""How often the listening connection is looked at."""

_UNLISTEN_S: Final = 2.0


class Wakeup:
    """A bell that remembers one ring."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Ring."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return at the next ring, at once when it rang since the last wait, or after *timeout_s*; say if it rang."""
        with anyio.move_on_after(timeout_s):
            await self._event.wait()
        rang = self._event.is_set()
        self._event = anyio.Event()
        return rang


async def listen(pool: Pool, bells: Mapping[str, Wakeup]) -> None:
    """Ring the bell of a channel at each of its notifications, for ever; reconnects by itself.

    A lost notification only delays: every sleeper also polls.
    """
    while True:
        try:
            async with pool.acquire() as connection:
                await _listen_on(connection, bells)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("listening connection lost: %s: %s", type(error).__name__, error)
            await anyio.sleep(1.0)


async def _listen_on(connection: Connection, bells: Mapping[str, Wakeup]) -> None:
    def ring(_: Any, __: int, channel: str, ___: object) -> None:
        bells[channel].set()

    for channel in bells:
        await connection.add_listener(channel, ring)
    try:
        while True:
            await anyio.sleep(_CHECK_S)
            await connection.execute("select 1")
    finally:
        with anyio.move_on_after(_UNLISTEN_S, shield=True):
            for channel in bells:
                if not connection.is_closed():
                    await connection.remove_listener(channel, ring)
