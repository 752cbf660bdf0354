"""From the driver's errors to the ports' words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from headwater.kernel.errors import Unavailable
from headwater.kernel.pg.pool import LOST
from headwater.sync.ports import StoreRaced, StoreRefused


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn what asyncpg raises inside the block into the errors of the ports."""
    try:
        yield
    except (
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.LockNotAvailableError,
    ) as error:
        raise StoreRaced(str(error)) from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise StoreRefused(f"{type(error).__name__}: {error}") from error
    except LOST as error:
        raise Unavailable(
            f"database: {type(error).__name__}: {error}", reason="DATABASE_UNAVAILABLE"
        ) from error


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """The same for what operators ask: a lost race is safe to send again, and told so."""
    try:
        async with translated():
            yield
    except StoreRaced as error:
        raise Unavailable(error.message, reason=error.reason) from error
