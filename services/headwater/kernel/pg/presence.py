"""Watches whether the database is there, and tells when it has been away for too long and when it is back.

Asks on a connection that is kept for it, so that a busy pool is not taken for a database that is away. Decides
nothing about what that means.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from headwater.kernel.pg import queries
from headwater.kernel.pg.pool import LOST

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.kernel.pg", "presence.sql")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """How often to ask, and when to worry.

    Args:
        away_s: a database that has not answered for so long is away.
        interval_s: between two questions.
        answer_s: longest wait for one answer, and for a connection.
    """

    away_s: float = 5.0
    interval_s: float = 0.5
    answer_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of the database: when it last answered (loop time), and what was last told of it."""

    answered_s: float
    present: bool = True

    def after(self, now_s: float, away_s: float, *, answered: bool) -> Presence:
        """Return what is known after one more question."""
        if answered:
            return Presence(now_s, present=True)
        return Presence(self.answered_s, present=self.present and now_s - self.answered_s < away_s)


class PresenceWatch:
    """Watches one database; run `watch` in a task group."""

    def __init__(
        self, pool: Pool, tell: Callable[[bool], Awaitable[None]], settings: PresenceSettings
    ) -> None:
        self._pool = pool
        self._tell = tell
        self._settings = settings

    async def watch(self) -> None:
        """Tell of every change until cancelled; at first the database is taken to be there."""
        self._known = Presence(anyio.current_time())
        while True:
            try:
                async with self._pool.acquire(timeout=self._settings.answer_s) as connection:
                    await self._ask_on(connection)
            except LOST as error:
                _log.debug("the database does not answer: %s", error)
            await self._learn(answered=False)
            await anyio.sleep(self._settings.interval_s)

    async def _ask_on(self, connection: Connection) -> None:
        """Ask again and again until there is no answer, or none that it can be written to."""
        while await connection.fetchval(_SQL["can_write"].text, timeout=self._settings.answer_s):
            await self._learn(answered=True)
            await anyio.sleep(self._settings.interval_s)

    async def _learn(self, *, answered: bool) -> None:
        before = self._known.present
        self._known = self._known.after(anyio.current_time(), self._settings.away_s, answered=answered)
        if self._known.present != before:
            _log.warning("the database is %s", "back" if self._known.present else "away")
            await self._tell(self._known.present)
