"""The ports `Leases`, `DueTimes` and `EventLog` over the tables of a simulation, seen from one process."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from tests.simulation.chance import mixed
from tests.simulation.store.claiming import next_due_s
from tests.simulation.store.link import Link
from tests.simulation.store.tables import LeaseRow, Tables

from headwater.sync.domain.leasing import Beat
from headwater.sync.domain.log import START, LogEvent, Position, Stretch
from headwater.sync.ports import DueAccount

_LONG_AGO: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
_FOR_EVER: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


class MemoryLeases:
    """The leases of one process, which stand and fall with its heartbeat."""

    def __init__(self, tables: Tables, link: Link, holder: str, ttl_s: float) -> None:
        self._tables = tables
        self._link = link
        self.holder = holder
        self.ttl_s = ttl_s

    async def beat(self) -> Beat:
        """Prolong the heartbeat, or begin a new one where it had lapsed: two transactions, as in Postgres."""
        beat = await self._link.call("beat", self._beat)
        if not beat.unbroken:
            await self._link.call("enter", self._enter)
        return beat

    def _beat(self) -> Beat:
        now, beats = self._tables.now(), self._tables.heartbeats
        unbroken = beats.get(self.holder, _LONG_AGO) > now
        if unbroken:
            beats[self.holder] = now + dt.timedelta(seconds=self.ttl_s)
        others = sum(1 for holder, end in beats.items() if holder != self.holder and end > now)
        return Beat(unbroken, 1 + others)

    def _enter(self) -> None:
        self._free()
        self._tables.heartbeats[self.holder] = self._tables.now() + dt.timedelta(seconds=self.ttl_s)

    def _free(self) -> None:
        for row in self._tables.leases.values():
            if row.holder == self.holder:
                row.expire_time = _LONG_AGO

    async def acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        """Take up to *limit* free ones of *names*; every new holding raises the fence."""
        return await self._link.call("acquire", lambda: self._acquire(names, limit))

    def _acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        tables = self._tables
        if tables.heartbeats.get(self.holder, _LONG_AGO) <= tables.now():
            return {}
        own = mixed(0, *self.holder.encode())
        free = [n for n in names if not tables.is_held(n) or tables.leases[n].holder == self.holder]
        free.sort(key=lambda name: mixed(own, *name.encode()))
        taken: dict[str, int] = {}
        for name in free[:limit]:
            row = tables.leases.get(name)
            taken[name] = 1 if row is None else row.fence + 1
            tables.leases[name] = LeaseRow(self.holder, taken[name], _FOR_EVER)
        return taken

    async def release(self, names: Sequence[str]) -> None:
        """Let go of *names*, so that another process may take them at once."""
        await self._link.call("release", lambda: self._release(names))

    def _release(self, names: Sequence[str]) -> None:
        for name in names:
            row = self._tables.leases.get(name)
            if row is not None and row.holder == self.holder:
                row.expire_time = _LONG_AGO

    async def leave(self) -> None:
        """Let go of everything and end the heartbeat."""
        await self._link.call("leave", self._leave)

    def _leave(self) -> None:
        self._free()
        self._tables.heartbeats.pop(self.holder, None)


class MemoryDueTimes:
    """When the deliveries of many accounts are due."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self._tables = tables
        self._link = link

    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        """Return those of *accounts* that have deliveries waiting."""
        return await self._link.call("due_accounts", lambda: self._due(accounts))

    def _due(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        waits = [(key, next_due_s(self._tables, key, ())) for key in accounts]
        return [DueAccount(*key, due_s) for key, due_s in waits if due_s is not None]


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

    async def read_projected(self, events: Sequence[LogEvent]) -> set[tuple[str, uuid.UUID]]:
        """Return tenant and key of those of *events* that are projected already."""
        wanted = {(event.tenant_id, event.event_key) for event in events}
        return await self._link.call(
            "read_projected", lambda: {key for key in wanted if key in self._tables.projections}
        )

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Tell the log how far its shards are projected; nothing is ever dropped from this one."""
        await self._link.call("report_positions", lambda: dict(held))

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """Return the next events of several shards in commit order, up to *shard_limit* of each.

        As beside writers without a pause: some may always be held back, so that it is looked again soon.
        """
        return await self._link.call(
            "read_events", lambda: Stretch(self._read(after, shard_limit), held=True)
        )

    def _read(self, after: Mapping[int, Position], shard_limit: int) -> list[LogEvent]:
        found: list[LogEvent] = []
        for shard, place in after.items():
            behind = (event for event in self._tables.events.get(shard, ()) if event.position > place)
            found += [event for _, event in zip(range(shard_limit), behind, strict=False)]
        return sorted(found, key=lambda event: event.position)
