"""The ports `Leases` and `EventLog` over the tables of a simulation, seen from one process."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence

from headwater.sync.domain.log import START, LogEvent, Position
from tests.simulation.store.link import Link
from tests.simulation.store.tables import LeaseRow, Tables


class MemoryLeases:
    """The leases of one process."""

    def __init__(self, tables: Tables, link: Link, holder: str, ttl_s: float) -> None:
        self._tables = tables
        self._link = link
        self.holder = holder
        self.ttl_s = ttl_s

    async def acquire(self, names: Sequence[str]) -> dict[str, int]:
        """Return the fences of those of *names* that are ours now."""
        return await self._link.call("acquire", lambda: self._acquire(names))

    def _acquire(self, names: Sequence[str]) -> dict[str, int]:
        now = self._tables.now()
        ours: dict[str, int] = {}
        for name in sorted(names):
            row = self._tables.leases.get(name)
            if row is not None and row.holder != self.holder and row.expire_time >= now:
                continue
            fence = 1 if row is None else row.fence if row.holder == self.holder else row.fence + 1
            self._tables.leases[name] = LeaseRow(self.holder, fence, now + dt.timedelta(seconds=self.ttl_s))
            ours[name] = fence
        return ours

    async def release(self) -> None:
        """Let go of all leases, so that another process need not wait for them to lapse."""
        await self._link.call("release", self._release)

    def _release(self) -> None:
        for row in self._tables.leases.values():
            if row.holder == self.holder:
                row.expire_time = dt.datetime.min.replace(tzinfo=dt.UTC)


class MemoryLog:
    """The event log, as one process reads it."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self._tables = tables
        self._link = link

    async def shard_count(self) -> int:
        """Return the number of shards."""
        return await self._link.call("shard_count", lambda: self._tables.shard_count)

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """Return tenant, event key and payload of the newest policy event of every tenant."""
        return await self._link.call(
            "current_policies",
            lambda: [(tenant, *held) for tenant, held in sorted(self._tables.policies.items())],
        )

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """Return the position up to which each of *shards* is projected."""
        return await self._link.call(
            "read_cursors", lambda: {shard: self._tables.cursors.get(shard, START) for shard in shards}
        )

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Tell the log how far its shards are projected; nothing is ever dropped from this one."""
        await self._link.call("report_positions", lambda: dict(held))

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> list[LogEvent]:
        """Return the next events of several shards in commit order, up to *shard_limit* of each."""
        return await self._link.call("read_events", lambda: self._read(after, shard_limit))

    def _read(self, after: Mapping[int, Position], shard_limit: int) -> list[LogEvent]:
        found: list[LogEvent] = []
        for shard, place in after.items():
            behind = (event for event in self._tables.events.get(shard, ()) if event.position > place)
            found += [event for _, event in zip(range(shard_limit), behind, strict=False)]
        return sorted(found, key=lambda event: event.position)
