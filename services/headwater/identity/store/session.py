"""A connection that runs named statements, each with its span, and speaks of faults in our words.

Owns borrowing connections and translating the driver's errors. Must not know any statement.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

import asyncpg

from headwater.kernel.errors import Unavailable
from headwater.kernel.pg import queries
from headwater.kernel.pg.queries import Query
from headwater.kernel.telemetry import Spans

if TYPE_CHECKING:  # the names exist for type checkers only
    from headwater.kernel.pg.pool import Connection, Pool

FILES: Final = (
    "lock.sql",
    "resolve.sql",
    "entity.sql",
    "candidate.sql",
    "merge.sql",
    "change.sql",
    "review.sql",
    "weights.sql",
    "redo.sql",
    "group.sql",
    "erasure.sql",
)

SQL: Final[Mapping[str, Query]] = dict(
    chain.from_iterable(queries.load("headwater.identity", name).items() for name in FILES)
)
"""Every statement of the service, by name."""

_PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver makes of a command on a connection whose end was announced
    OSError,
    TimeoutError,
)
"""Faults that pass: the same call may succeed a moment later."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn faults of the database that pass into `Unavailable`; others are bugs and go on as they are."""
    try:
        yield
    except _PASSING as error:
        if isinstance(error, ValueError):  # an argument that the driver cannot encode will never pass
            raise
        message = f"the database did not answer ({type(error).__name__}); try again"
        raise Unavailable(message, reason="DATABASE_UNAVAILABLE") from error


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, for one call or one transaction."""

    connection: Connection
    spans: Spans

    async def fetch(self, name: str, *arguments: Any, rows: int | None = None) -> list[asyncpg.Record]:
        """Run a named statement and return its rows; *rows* is the batch size, for the span."""
        text = SQL[name].text
        with self.spans.db(text.split(maxsplit=1)[0], name, rows):
            return await self.connection.fetch(text, *arguments)

    async def fetch_one(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """Run a named statement and return its first row, or None."""
        rows = await self.fetch(name, *arguments)
        return rows[0] if rows else None


@dataclass(frozen=True, slots=True)
class Sessions:
    """Lends connections of a pool, waiting a bounded time.

    Args:
        held: the one session that is lent to everybody, while a snapshot is open.
    """

    pool: Pool
    spans: Spans
    acquire_timeout_s: float
    held: Session | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Session]:
        """Lend a connection; each statement commits by itself."""
        if self.held is not None:
            yield self.held
            return
        with translated():
            async with self.pool.acquire(timeout=self.acquire_timeout_s) as connection:
                yield Session(connection, self.spans)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Self]:
        """Hold a connection whose statements, which only read, all see the database as of one moment."""
        async with (
            self.open() as session,
            session.connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield replace(self, held=session)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Lend a connection in a transaction that commits at the end of the block."""
        async with self.open() as session, session.connection.transaction():
            yield session
