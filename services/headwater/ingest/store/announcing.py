"""Word to the log's readers, after commits and apart from them. Owns nothing that may not be lost: readers also poll.

A NOTIFY inside a transaction takes a lock of the whole database until the commit is on disk: writers would then
wait for one another's flush. One sent afterwards costs no flush, and may stand for several commits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from headwater.ingest.ports import LogUnavailable
from headwater.ingest.store.faults import translated
from headwater.kernel.pg import queries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

PAUSE_S: Final = 0.005
"""Shortest time between two words: 200 a second wake the readers as well as thousands do."""
BULK_PAUSE_S: Final = 0.1
"""Longest time that a word of old news waits for more: its readers take it up behind everything else."""

_SQL: Final = queries.load("headwater.ingest", "event.sql")
_log = logging.getLogger(__name__)


class Announcer:
    """Tells the readers that the log has grown."""

    def __init__(self, pool: Pool, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._rung = anyio.Event()
        self._urgent = anyio.Event()

    def ring(self, *, bulk: bool = False) -> None:
        """Note that accepted events were committed.

        Args:
            bulk: all of them are old news.
        """
        self._rung.set()
        if not bulk:
            self._urgent.set()

    async def run(self) -> None:
        """Pass rings on until cancelled; those of old news alone once in a while."""
        while True:
            await self._rung.wait()
            with anyio.move_on_after(BULK_PAUSE_S):
                await self._urgent.wait()
            await self.announce()
            await anyio.sleep(PAUSE_S)

    async def announce(self) -> None:
        """Pass on what was rung and not told yet."""
        if not self._rung.is_set():
            return
        self._rung, self._urgent = anyio.Event(), anyio.Event()
        await self._tell()

    async def _tell(self) -> None:
        try:
            with translated():
                async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                    await connection.execute(_SQL["announce"].text)
        except LogUnavailable as error:
            _log.warning("readers are not told of new events, they will look by themselves: %s", error)
