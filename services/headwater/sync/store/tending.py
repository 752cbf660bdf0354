"""What the projector leaves for routing: marks of entities that it has to look at, in the projection's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.states import Tended

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection

_SQL: Final = queries.load("headwater.sync", "routing.sql")


async def write_tended(connection: Connection, tended: Iterable[Tended]) -> None:
    """Mark entities, and wake who routes once the transaction commits."""
    columns = list(zip(*(astuple(item) for item in tended), strict=True))
    await connection.execute(_SQL["add_marks"].text, *columns)
    await connection.execute(_SQL["notify_routing"].text)
