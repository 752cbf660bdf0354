"""Tells the event log of merges and splits. Owns when to try and when to wait; loses nothing.

Each change is sent until the log has it; the log's idempotency makes a second sending harmless, so
several processes may relay at once.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from headwater.identity.ports import DueChange, EventLog, Outbox
from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

BATCH_CHANGES_MAX: Final = 32
"""Changes of one round; 32 payloads of 250 kB fit a message of 16 MiB."""

_EXPONENT_MAX: Final = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How often to look and how long to wait after failures, in seconds."""

    poll_s: float = 1.0
    backoff_base_s: float = 0.2
    backoff_max_s: float = 30.0


class Bell:
    """Wakes the relay: rings that come while it works count as one."""

    def __init__(self) -> None:
        self._rings: tuple[MemoryObjectSendStream[None], MemoryObjectReceiveStream[None]]
        self._rings = anyio.create_memory_object_stream[None](1)

    def notify(self) -> None:
        """Wake the relay; never waits."""
        try:
            self._rings[0].send_nowait(None)
        except anyio.WouldBlock:
            return

    async def wait(self, timeout_s: float) -> None:
        """Return at the next ring, or after *timeout_s*."""
        with anyio.move_on_after(timeout_s):
            await self._rings[1].receive()

    def close(self) -> None:
        """Give the streams back."""
        for stream in self._rings:
            stream.close()


def backoff_s(failures: int, settings: RelaySettings, chance: random.Random) -> float:
    """Return how long to wait after so many failures in a row: full jitter, put on after the cap."""
    ceiling = min(settings.backoff_max_s, settings.backoff_base_s * 2.0 ** min(failures, _EXPONENT_MAX))
    return chance.uniform(settings.backoff_base_s / 2, ceiling)


@dataclass(frozen=True, slots=True)
class Relay:
    """Sends due changes to the event log."""

    outbox: Outbox
    log: EventLog
    clock: Clock
    bell: Bell
    chance: random.Random
    settings: RelaySettings = RelaySettings()

    async def run(self) -> None:
        """Relay until cancelled; an unreachable log or database only delays."""
        failures = 0
        while True:
            try:
                sent = await self.relay_due()
            except Unavailable as error:
                failures += 1
                _log.warning("relay of merges and splits waits: %s", error.message)
                await anyio.sleep(backoff_s(failures, self.settings, self.chance))
                continue
            failures = 0
            if sent == 0:
                await self.bell.wait(self.settings.poll_s)

    async def relay_due(self) -> int:
        """Send what is due now; return how many changes the log took.

        Raises:
            Unavailable: the log or the database did not answer; what was taken before is noted.
        """
        due = await self.outbox.list_due(self.clock.now(), BATCH_CHANGES_MAX)
        taken = 0
        for tenant_id, own in groupby(due, key=lambda one: one.tenant_id):
            taken += await self._send(tenant_id, own)
        return taken

    async def _send(self, tenant_id: TenantId, due: Iterable[DueChange]) -> int:
        changes = list(due)
        refusals = await self.log.record(tenant_id, [one.change for one in changes])
        sent: list[uuid.UUID] = []
        for one, refusal in zip(changes, refusals, strict=True):
            if refusal:
                await self._postpone(one, refusal)
            else:
                sent.append(one.change.change_id)
        if sent:
            await self.outbox.mark_sent(tenant_id, sent, self.clock.now())
        return len(sent)

    async def _postpone(self, one: DueChange, refusal: str) -> None:
        wait_s = backoff_s(one.attempts + 1, self.settings, self.chance)
        _log.error(
            "the event log refused change %s of tenant %s: %s", one.change.change_id, one.tenant_id, refusal
        )
        until = self.clock.now() + dt.timedelta(seconds=wait_s)
        await self.outbox.postpone(one.tenant_id, one.change.change_id, until)
