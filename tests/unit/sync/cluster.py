"""Doubles of what several processes share: the leases in memory, and a queue that is asked what is due."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.domain.leasing import Beat
from headwater.sync.ports import DueAccount


@dataclass
class Cluster:
    """The leases of all processes, in memory; beats that stop lapse by the loop's time."""

    ttl_s: float = 1.2
    held: dict[str, tuple[str, int]] = field(default_factory=dict)
    beats: dict[str, float] = field(default_factory=dict)
    releases: list[tuple[str, str]] = field(default_factory=list)
    on_take: Callable[[str, int], None] = lambda _name, _fence: None

    def alive(self, holder: str) -> bool:
        """Whether a process's heartbeat lasts."""
        return self.beats.get(holder, float("-inf")) > anyio.current_time()

    def of(self, holder: str) -> set[str]:
        """Return what a process holds."""
        return {name for name, (owner, _) in self.held.items() if owner == holder and self.alive(holder)}


class MemoryLeases:
    """One process's leases in a cluster."""

    def __init__(self, cluster: Cluster, holder: str) -> None:
        self._cluster = cluster
        self._holder = holder
        self.ttl_s = cluster.ttl_s
        self.cut_off = False

    async def beat(self) -> Beat:
        """Prolong."""
        self._reach()
        unbroken = self._cluster.alive(self._holder)
        if not unbroken:
            await self._free(lambda owner: owner == self._holder)
        self._cluster.beats[self._holder] = anyio.current_time() + self.ttl_s
        return Beat(unbroken, sum(1 for holder in self._cluster.beats if self._cluster.alive(holder)))

    async def acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        """Take what is free."""
        self._reach()
        cluster, taken = self._cluster, dict[str, int]()
        for name in names:
            owner, fence = cluster.held.get(name, ("", 0))
            if len(taken) < limit and (owner == self._holder or not cluster.alive(owner)):
                taken[name] = fence + 1
                cluster.held[name] = (self._holder, fence + 1)
                cluster.on_take(name, fence + 1)
        return taken

    async def release(self, names: Collection[str]) -> None:
        """Let go."""
        self._reach()
        self._cluster.releases += [(self._holder, name) for name in names]
        for name in names:
            owner, fence = self._cluster.held.get(name, ("", 0))
            if owner == self._holder:
                self._cluster.held[name] = ("", fence)

    async def leave(self) -> None:
        """Let go of everything."""
        await self._free(lambda owner: owner == self._holder)
        self._cluster.beats.pop(self._holder, None)

    async def _free(self, whose: Callable[[str], bool]) -> None:
        for name, (owner, fence) in list(self._cluster.held.items()):
            if whose(owner):
                self._cluster.held[name] = ("", fence)

    def _reach(self) -> None:
        if self.cut_off:
            raise Unavailable("no route")


class NoDueTimes:
    """A queue in which nothing waits; counts how often it was asked, and about how many."""

    def __init__(self, found: Sequence[DueAccount] = ()) -> None:
        self.asked: list[int] = []
        self.found = list(found)

    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        """Return what was put in."""
        self.asked.append(len(accounts))
        return [item for item in self.found if (item.tenant_id, item.connector) in accounts]
