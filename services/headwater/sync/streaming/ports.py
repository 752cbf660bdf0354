"""What listening needs of the store, in its own words. Every method may raise Unavailable."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.streaming import StreamPlan, StreamState, StreamStep


class Streams(Protocol):
    """How far streams are heard; whoever writes shows the account's lease. May raise FenceLost."""

    async def read(self, tenant_id: str, connector: str, topic: str) -> StreamState:
        """Return where a stream goes on."""
        ...

    async def keep(
        self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, step: StreamStep
    ) -> StreamState | None:
        """Keep a step in one transaction: records to read, polls to run, and the mark; None when another moved it."""
        ...

    async def lose(self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, mark: str) -> None:
        """Forget a mark that the vendor cannot go on from, and have the pollers run now."""
        ...

    async def catch_up(
        self, lease: Lease, tenant_id: str, connector: str, plan: StreamPlan, due: dt.datetime | None
    ) -> None:
        """Have the pollers run now; with *due*, what was to be caught up with by then is."""
        ...


class Stops(Protocol):
    """What keeps an account from being called."""

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return why an account may not be called now; empty when it may."""
        ...
