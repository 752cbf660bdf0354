"""One run of a stream: what the CRM tells, kept, again and again, until it is stopped or will not go on.

A mark moves with the records that are to be read, in one transaction: a cut stream, a lost answer or a crash tells a
change again, and a record that is wanted twice is read once. What a stream cannot tell (an id that the vendor has
forgotten, a transaction too large, a first beginning) the pollers are called for, which go on from cursors of their own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, ErrorClass
from headwater.connectors.base.streaming import Hearing, Listener, MarkLost
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.scheduling import RunOutcome
from headwater.sync.domain.streaming import StreamPlan, StreamState, step_of
from headwater.sync.metering import StreamMeter
from headwater.sync.ports import StoreRaced, StoreRefused
from headwater.sync.streaming.ports import Stops, Streams

_log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""Pause between two looks at whether the account may be called still, and whether the pollers are to run."""
AGAIN_S: Final = 0.5
"""Pause after the first cut in a row; doubled with each, by chance between half of it and the whole."""
CUTS_MAX: Final = 5
"""Cuts in a row without a word between them, after which the run fails: its schedule tries again, later."""

Ended = tuple[RunOutcome, str]


@dataclass(frozen=True, slots=True)
class Listening:
    """Runs streams."""

    streams: Streams
    stops: Stops
    clock: Clock
    chance: random.Random
    meter: StreamMeter

    async def run(self, account: RunningAccount, plan: StreamPlan) -> Ended:
        """Listen for as long as the vendor and the account allow; return how it ended.

        Raises: CallFailed, FenceLost, HeadwaterError; what was kept stands.
        Cancellation: as a crash; what is not kept is told again.
        """
        if stop := await self.stop_of(account):
            return ("skipped", stop)
        async with account.connected() as connector:
            if not isinstance(connector, Listener):
                return ("skipped", f"vendor {account.policy.vendor} cannot be listened to")
            run = _Run(self, account, plan, connector)
            try:
                return await run.until_stopped()
            except CallFailed as held:
                if held.error.error_class is not ErrorClass.HELD:
                    raise
                return ("skipped", held.error.message)

    async def stop_of(self, account: RunningAccount) -> str:
        """Return why an account may not be called now; empty when it may."""
        return await self.stops.stop_of(account.tenant_id, account.name, self.clock.now())


@dataclass(slots=True)
class _Run:
    """One run."""

    parts: Listening
    account: RunningAccount
    plan: StreamPlan
    connector: Listener
    state: StreamState = field(default_factory=StreamState)
    ended: Ended | None = None
    failed: Exception | None = None

    async def until_stopped(self) -> Ended:
        """Listen until something says to stop. Raises: as `Listening.run`."""
        async with anyio.create_task_group() as tasks:
            for work in (self._listen, self._look):
                tasks.start_soon(self._first, work, tasks.cancel_scope)
        if self.failed is not None:
            raise self.failed
        assert self.ended is not None  # noqa: S101 - one of the two has ended
        return self.ended

    async def _first(self, work: Callable[[], Awaitable[Ended]], scope: anyio.CancelScope) -> None:
        """Let the end of *work* end the other; what it raises is kept as it is, not within a group."""
        try:
            self.ended = await work()
        except (CallFailed, HeadwaterError, FenceLost, StoreRaced, StoreRefused) as error:
            self.failed = error
        scope.cancel()

    async def _look(self) -> Ended:
        """Return when the account may not be called any more; call the pollers when they are due until then."""
        while True:
            await anyio.sleep(LOOK_S)
            if stop := await self.parts.stop_of(self.account):
                return ("skipped", stop)
            await self._catch_up_when_due()

    async def _catch_up_when_due(self) -> None:
        """Call the pollers for what the stream did not tell, once it must have shown."""
        due, now = self.state.catch_up_time, self.parts.clock.now()
        if due is not None and due <= now:
            await self.parts.streams.catch_up(*self._place, self.plan, now)
            if self.state.catch_up_time == due:
                self.state = StreamState(self.state.mark)

    async def _listen(self) -> Ended:
        cuts = 0
        while True:
            self.state = await self.parts.streams.read(*self._place[1:], self.plan.topic)
            try:
                async with AsyncExitStack() as stack:
                    opened = self.connector.listen(self.plan.listened, self.state.mark)
                    hearing: Hearing = await self.account.ask(
                        READ, partial(stack.enter_async_context, opened)
                    )
                    if not self.state.mark:
                        await self.parts.streams.catch_up(*self._place, self.plan, None)
                    while await self._hear(hearing):
                        cuts = 0
                    return ("failed", "the mark was set by another: the next run goes on from there")
            except MarkLost as lost:
                cuts += 1
                await self._lose(lost)
                if cuts > CUTS_MAX:
                    raise
            except CallFailed as failed:
                cuts += 1
                self.parts.meter.ended(self.account.name, failed.error.error_class)
                if failed.error.error_class is ErrorClass.HELD or cuts > CUTS_MAX:
                    raise
                _log.info("stream %s of %s was cut: %s", self.plan.topic, self.account.name, failed)
                await anyio.sleep(pause_s(cuts, self.parts.chance))

    async def _hear(self, hearing: Hearing) -> bool:
        """Keep what comes next; False when another moved the mark."""
        heard = await hearing.next()
        step = step_of(self.plan, self.state, heard, self.parts.clock.now())
        if heard.unreadable:
            _log.warning("%d changes of %s cannot be read: polled", heard.unreadable, self.plan.topic)
        state = await self.parts.streams.keep(*self._place, self.plan, step)
        if state is None:
            return False
        self.state = state
        self.parts.meter.heard(self.account.name, heard)
        return True

    async def _lose(self, lost: MarkLost) -> None:
        _log.warning(
            "stream %s of %s cannot go on from where it was (%s): the pollers catch up",
            self.plan.topic,
            self.account.name,
            lost.error.code,
        )
        self.parts.meter.lost(self.account.name)
        await self.parts.streams.lose(*self._place, self.plan, self.state.mark)

    @property
    def _place(self) -> tuple[Lease, str, str]:
        return (self.account.lease, self.account.tenant_id, self.account.name)


def pause_s(cuts: int, chance: random.Random) -> float:
    """Return the pause after *cuts* (1 and up) in a row."""
    whole_s: float = AGAIN_S * 2.0 ** min(cuts - 1, CUTS_MAX)
    return whole_s / 2 + chance.uniform(0, whole_s / 2)
