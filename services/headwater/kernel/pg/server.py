"""What a server is like, for who looks after it: version, clock, limits, rights. Owns the reading; judges nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection

_SQL: Final = queries.load("headwater.kernel.pg", "server.sql")
_DURABILITY: Final = queries.load("headwater.kernel.pg", "durability.sql")

LOOKS: Final = 5
"""Readings of the clock; the one with the shortest way there and back is believed."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as it was found.

    Args:
        settings: those that durability hangs on: name, value of this session, value that a fresh session gets.
        ahead_s: how far the server's clock is ahead of ours; negative: behind.
        uncertain_s: half of the way there and back: the reading may be off by so much.
        connections_max: without those kept for superusers.
        creates: the role may make roles or databases.
    """

    version: str
    settings: tuple[tuple[str, str, str], ...]
    ahead_s: float
    uncertain_s: float
    connections_max: int
    connections_used: int
    role: str
    superuser: bool
    creates: bool


async def read_server(connection: Connection, now: Callable[[], dt.datetime]) -> ServerFacts:
    """Ask a server what it is like.

    Args:
        now: this machine's clock, aware.
    """
    ahead_s, uncertain_s = await _clock(connection, now)
    rows = await connection.fetch(_DURABILITY["read_durability_settings"].text)
    row = await connection.fetchrow(_SQL["read_server"].text)
    assert row is not None  # noqa: S101 - whoever asks has a role
    return ServerFacts(
        settings=tuple((item["name"], item["setting"], item["reset_val"]) for item in rows),
        ahead_s=ahead_s,
        uncertain_s=uncertain_s,
        **dict(row.items()),
    )


async def _clock(connection: Connection, now: Callable[[], dt.datetime]) -> tuple[float, float]:
    looks = []
    for _ in range(LOOKS):
        before = now()
        told: dt.datetime = await connection.fetchval(_SQL["read_clock"].text)
        after = now()
        way = (after - before) / 2
        looks.append((abs(way.total_seconds()), (told - before - way).total_seconds()))
    uncertain_s, ahead_s = min(looks)
    return ahead_s, uncertain_s
