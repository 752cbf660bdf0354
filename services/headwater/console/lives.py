"""Whom the console asks what became of events, and how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.console.asking import Asker
from headwater.console.life import EventLife

ASKED_AT_ONCE: Final = 4
"""Events that services are asked about side by side, of all pages together; further ones wait."""


@dataclass(frozen=True, slots=True)
class Lives:
    """Asks for events' lives, if there is anybody to ask.

    Args:
        asker: None where the console was told of no services.
        tenant_id: of events whose tenant nobody names.
    """

    asker: Asker | None = None
    tenant_id: str = ""
    why_not: str = "the console knows no services: set HEADWATER_INGEST_ADDRESS, HEADWATER_IDENTITY_ADDRESS and HEADWATER_SYNC_ADDRESS"

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return self.asker is not None

    async def of(self, named: Sequence[tuple[str, str]]) -> list[EventLife]:
        """Return the life of each (tenant, event key), in order; what a service does not tell is said in it."""
        asker = self.asker
        if asker is None:
            return []
        found: dict[tuple[str, str], EventLife] = {}
        limit = anyio.CapacityLimiter(ASKED_AT_ONCE)

        async def ask(tenant_id: str, event_key: str) -> None:
            async with limit:
                found[tenant_id, event_key] = await asker.life(tenant_id, event_key)

        async with anyio.create_task_group() as tasks:
            for pair in dict.fromkeys(named):
                tasks.start_soon(ask, *pair)
        return [found[pair] for pair in named]
