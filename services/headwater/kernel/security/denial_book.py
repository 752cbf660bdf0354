"""Refused calls in the audit of the caller's tenant. Goes through what sync's schema publishes for it.

Must not fail a service: without the function, or without a database, it says so and the refusals are held on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.kernel.pg.pool import LOST
from headwater.kernel.security.denials import Denied
from headwater.kernel.tenancy import every_tenant

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.kernel.security", "denials.sql")
_log = logging.getLogger(__name__)


class PostgresDenialBook:
    """Keeps `denials.DenialBook`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, denied: Sequence[tuple[Denied, int]]) -> bool:
        """Write refusals, each with how often; return whether they are written."""
        columns = [
            [one.tenant_id for one, _ in denied],
            [one.subject for one, _ in denied],
            [one.method for one, _ in denied],
            [one.reason for one, _ in denied],
            [one.named for one, _ in denied],
            [count for _, count in denied],
        ]
        try:
            with every_tenant():
                await self._pool.execute(_SQL["note_denials"].text, *columns)
        except LOST as error:
            _log.warning("%d refusals wait for the audit: %s", len(denied), error)
            return False
        return True
