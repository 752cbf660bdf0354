"""Renews the entities of a tenant once its policy has changed: a page at a time, each in one transaction.

Holds nothing between two pages: a restart or a second process goes on where the last one stopped, and two never work
on one version at once. Beside live traffic each entity is locked while it is renewed, as the projector locks it. What
was under way in the projector while the policy changed may still be written by the former one; so once that cannot
happen any more, what was changed since the beginning is looked at a second time. A tenant's first policy has nothing
to renew: without one, no entity is made.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import anyio

from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import PolicyRefused, load_policy
from headwater.policy.staging import load_staged
from headwater.sync.domain.renewing import (
    NOWHERE,
    PolicyVersion,
    RenewalState,
    change_notes,
    concerned,
    event_of,
    renew,
    stage_notes,
)
from headwater.sync.ports import StoreRaced, StoreRefused
from headwater.sync.versions.ports import VersionStore, VersionUnit
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

TICK_S: Final = 0.05
"""Shortest pause between two looks."""
POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
BACKOFF_S: Final = 2.0
"""Pause after the database could not be reached, or a race for locks was lost."""
REBUILD_S: Final = 30.0
"""Pause while the log is projected again: what entities show is decided by the newest policy then anyway."""
PAUSED_S: Final = 0.5
"""Pause between two looks at a stage that is held or taken back."""
DOCUMENTS_MAX: Final = 16
"""Policies that are kept read."""


@dataclass(frozen=True, slots=True)
class RenewalSettings:
    """How fast entities are renewed.

    Args:
        page_entities: of one transaction: live batches that touch them wait so long.
        entities_per_s: at most, over all processes.
        settle_s: after which no process can still write by the former policy: it takes a quarter of a second to be
            heard of, and identity at most 15 s to answer a batch that was read before.
    """

    page_entities: int = 200
    entities_per_s: float = 1_000.0
    settle_s: float = 20.0


class RenewalWorker:
    """Renews the entities of every tenant.

    Args:
        now: the time; the store's unless told otherwise, as processes' clocks differ.
    """

    def __init__(
        self,
        store: VersionStore,
        settings: RenewalSettings | None = None,
        now: Callable[[], Awaitable[dt.datetime]] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings or RenewalSettings()
        self._now = now or store.now
        self._documents: dict[str, PolicyDocument] = {}

    async def run(self, bell: Wakeup) -> None:
        """Renew for ever; ends by cancellation, which undoes a page under way whole.

        Args:
            bell: rung when a policy has come into force.
        """
        while True:
            try:
                await bell.wait(await self.step())
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("renewal under a new policy: %s", error)
                await anyio.sleep(BACKOFF_S)

    async def step(self) -> float:
        """Do all that may be done by now; return how long to wait for the next step."""
        while True:
            now = await self._now()
            async with self._store.taken(now) as unit:
                if unit is None:
                    break
                await unit.save(await self._move_on(unit, now))
        due = await self._store.next_time()
        if due is None:
            return POLL_S
        return min(POLL_S, max(TICK_S, (due - await self._now()).total_seconds()))

    async def _move_on(self, unit: VersionUnit, now: dt.datetime) -> PolicyVersion:
        version = unit.version
        if await unit.rebuilding():
            return replace(version, next_time=now + dt.timedelta(seconds=REBUILD_S))
        if version.state is RenewalState.WAITING:
            version = await self._begin(unit, now)
        if not version.open:
            return version
        if await unit.in_force() != version.event_key:
            return version.ended(RenewalState.SUPERSEDED, now, "a newer policy is in force")
        if version.begin_time == now and await unit.is_first():
            return version.ended(RenewalState.DONE, now)  # every entity was made by it
        return await self._page(unit, version, now)

    async def _begin(self, unit: VersionUnit, now: dt.datetime) -> PolicyVersion:
        version = unit.version
        try:
            document = self._read(version)
        except PolicyRefused as error:
            return version.ended(RenewalState.REFUSED, now, str(error)[:512])
        text, digest = await unit.before()
        try:
            before = load_policy(text) if text else None
        except PolicyRefused:  # of an older release; its digest is told all the same
            before = None
        if version.staged is not None:
            former = await unit.former()
            notes, named = stage_notes(version.staged, former[-1] if former else None), version.staged.text
            await unit.note_change(notes, load_policy(named).version)
        else:
            await unit.note_change(change_notes(before, digest, document, version.digest), document.version)
        return replace(
            version, state=RenewalState.RENEWING, version=document.version, begin_time=now, next_time=now
        )

    async def _page(self, unit: VersionUnit, version: PolicyVersion, now: dt.datetime) -> PolicyVersion:
        staged, renewing = version.staged, version.state is RenewalState.RENEWING
        if staged is not None and renewing and await unit.paused(staged.share.change_id):
            return replace(version, next_time=now + dt.timedelta(seconds=PAUSED_S))
        rate, limit = self._settings.entities_per_s, self._settings.page_entities
        since = None if renewing else version.begin_time
        of_it = concerned(version.holding, await unit.former())
        if (
            staged is not None and of_it is not None
        ):  # at the pace of the stage, not in bursts of a whole page
            rate = min(rate, staged.share.rate_per_s)
            limit = max(1, min(limit, math.ceil(rate)))
        workspace, place, more = await unit.load_page(self._read(version), limit, since, version.place, of_it)
        tally = renew(workspace, event_of(version))
        await unit.write(workspace)
        pause = dt.timedelta(seconds=len(workspace.entities) / rate)
        version = version.counted(tally, place, now + pause)
        if more:
            return version
        if version.state is RenewalState.SETTLING:
            return version.ended(RenewalState.DONE, now)
        settle = now + dt.timedelta(seconds=self._settings.settle_s)
        return replace(
            version, state=RenewalState.SETTLING, place=NOWHERE, settle_time=settle, next_time=settle
        )

    def _read(self, version: PolicyVersion) -> PolicyDocument:
        name = version.digest if version.staged is None else str(version.event_key)
        if name not in self._documents:
            if len(self._documents) >= DOCUMENTS_MAX:
                self._documents.clear()
            self._documents[name] = load_staged(version.document, version.staged)
        return self._documents[name]
