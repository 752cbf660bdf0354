"""From driver errors to the port's two: not now, or not these rows. One table, one context manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from headwater.ingest.ports import LogUnavailable, RowsRejected

_NOT_NOW: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.InternalServerError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Connection lost, server ending, out of space, deadlock, read-only after a fail-over, pool exhausted, a day of
the log that was dropped in this moment.

InternalClientError is what the driver makes of a command on a connection whose end the server has announced.
"""

_NOT_THESE: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    ValueError,
    OverflowError,
    TypeError,
)
"""Rows that the server or the driver cannot take."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors that leave the block into `LogUnavailable` or `RowsRejected`."""
    try:
        yield
    except _NOT_THESE as error:
        # The driver's text may quote the row: it stays in the log.
        raise RowsRejected(f"the database cannot take this row ({type(error).__name__})") from error
    except _NOT_NOW as error:
        reason = f"the event log cannot be reached now ({type(error).__name__}); sending again is safe"
        raise LogUnavailable(reason) from error
