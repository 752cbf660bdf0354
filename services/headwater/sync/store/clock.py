"""The database's time: one clock for what several processes do together, as that of each may be off."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.store.faults import translated

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Pool

_READ: Final = queries.load("headwater.sync", "clock.sql")["read_time"].text


async def read_time(pool: Pool) -> dt.datetime:
    """Return the time. Raises: Unavailable."""
    async with translated():
        now: dt.datetime = await pool.fetchval(_READ)
    return now
