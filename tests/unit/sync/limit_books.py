"""Books of limits in memory, under virtual time; held to what Postgres does by the tests of the store."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace

from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.usage import Usage, from_json, to_json


class Shelf:
    """What all processes share."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self.ticks = ticks
        self.fence = 0
        self.windows = "{}"
        self.write_ns = 0
        self.ledgers: dict[dt.date, tuple[Ledger, Reserve]] = {}
        self.writes = 0


class MemoryBooks:
    """The books as the actor of one fence may use them."""

    def __init__(self, shelf: Shelf, fence: int) -> None:
        self._shelf = shelf
        self._fence = fence

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books."""
        shelf = self._shelf
        if shelf.fence > self._fence:
            raise FenceLost(["account"])
        shelf.fence = self._fence
        ledger, reserve = shelf.ledgers.get(day, (Ledger(day), Reserve(0, 0)))
        seen = replace(
            ledger,
            calls=ledger.calls + reserve.calls,
            tokens=ledger.tokens + reserve.tokens,
            vendor_used=ledger.vendor_count,
            since_told=max(reserve.calls, reserve.tokens),
        )
        return from_json(json.loads(shelf.windows), shelf.ticks() - shelf.write_ns), seen

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write under the fence."""
        shelf = self._shelf
        if shelf.fence != self._fence:
            raise FenceLost(["account"])
        shelf.windows = json.dumps(to_json(usage))
        shelf.write_ns = shelf.ticks()
        shelf.ledgers[ledger.day] = (ledger, reserve)
        shelf.writes += 1
