"""Events that wait beside the log's order, because something of their tenant alone is missing: taken up when it is there.

The cursors go on past them, so that no other tenant waits. What a tenant sends meanwhile waits with them; what comes when
it is over may be projected first: older news ends by the rules, as that of the bulk side does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import LogEvent
from headwater.sync.ports import StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.suppressing import Suppressions

_log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
"""Pause between two looks at whether somebody's events can go on."""
BATCH_EVENTS: Final = 200
"""Events of one transaction, at most."""


class ParkedEvents(Protocol):
    """What is set aside. Every method raises Unavailable."""

    async def tenants(self, shards: Sequence[int]) -> list[str]:
        """Return the tenants that have events set aside in *shards*; what was projected since is forgotten."""
        ...

    async def read(self, shards: Sequence[int], tenants: Sequence[str], limit: int) -> list[LogEvent]:
        """Return up to *limit* events of *tenants* that are set aside, in the order of the log."""
        ...


class Parking:
    """Takes up events that were set aside.

    Args:
        held: the shards of this process and their leases.
    """

    def __init__(
        self,
        parked: ParkedEvents,
        projector: BatchProjector,
        suppressions: Suppressions,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._parked = parked
        self._projector = projector
        self._suppressions = suppressions
        self._every_s = every_s

    async def run(self, held: Callable[[], Mapping[int, Lease]]) -> None:
        """Look now and then, until cancelled."""
        while True:
            await anyio.sleep(self._every_s)
            try:
                while await self.take_up(held()):
                    pass
            except (Unavailable, StoreRaced, StoreRefused, FenceLost) as error:
                _log.warning("what was set aside waits on: %s", error)

    async def take_up(self, held: Mapping[int, Lease]) -> int:
        """Project events that can go on, up to a batch; return how many went.

        Raises:
            FenceLost, Unavailable, StoreRaced, StoreRefused: as the projector; nothing was written.
        """
        if not held:
            return 0
        tenants = await self._parked.tenants(list(held))
        closed = await self._suppressions.closed(tenants) if tenants else {}
        going = [tenant_id for tenant_id in tenants if tenant_id not in closed]
        events = await self._parked.read(list(held), going, BATCH_EVENTS) if going else []
        if not events:
            return 0
        leases = [held[shard] for shard in sorted({event.shard for event in events})]
        ended = await self._projector.project(leases, events, parked=True)
        _log.info("events that were set aside went on", extra={"events": len(ended)})
        return len(ended)
