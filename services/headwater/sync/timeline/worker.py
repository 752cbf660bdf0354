"""Associates activities behind the projection: what has changed, what merges and splits have moved, what that touches.

Holds nothing between two pages: a restart or a second process goes on where the last one stopped. One process works at
a time, so each page sees all that the pages before it have written; whatever a page could not see yet is committed
later and leaves work of its own. Where nobody has a timeline in the policy, nothing is ever left.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import policy_digest
from headwater.sync.ports import Policies, StoreRaced, StoreRefused
from headwater.sync.timeline.making import Moves, Page, make
from headwater.sync.timeline.ports import BEGUN, NOWHERE, Change, Spread, TimelineStore, TimelineUnit
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
BACKOFF_S: Final = 2.0
"""Pause after the database could not be reached, or a race for locks was lost."""
REBUILD_S: Final = 30.0
"""Pause while the log is projected again: what it leaves is taken up at its end."""
MOVES_SHOWN: Final = 500
"""Activities told one by one in one entry of the audit: a page has no more."""


@dataclass(frozen=True, slots=True)
class TimelineSettings:
    """How much is done at once.

    Args:
        page_entities: of one transaction, at most.
        gather_s: shortest time between two looks, so that changes gather.
    """

    page_entities: int = 200
    gather_s: float = 0.05


class TimelineWorker:
    """Makes the timelines of every tenant."""

    def __init__(
        self,
        store: TimelineStore,
        policies: Policies,
        clock: Clock,
        settings: TimelineSettings | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._policies = policies
        self._settings = settings or TimelineSettings()
        self._digests: dict[str, str] = {}

    async def run(self, bell: Wakeup) -> None:
        """Work for ever; ends by cancellation, which undoes a page under way whole.

        Args:
            bell: rung when something was left.
        """
        while True:
            try:
                await bell.wait(await self.work_off())
                await anyio.sleep(self._settings.gather_s)
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("timeline: %s", error)
                await anyio.sleep(BACKOFF_S)

    async def work_off(self) -> float:
        """Do all that there is to do; return how long to wait for more."""
        policies = self._policies.current()
        if not any(policy.timeline is not None for policy in policies.values()):
            return POLL_S
        while True:
            async with self._store.alone() as unit:
                if unit is None:
                    return POLL_S
                if await unit.rebuilding():
                    return REBUILD_S
                await self._renew(unit, policies)
                if not await self._step(unit, policies):
                    return POLL_S

    async def _renew(self, unit: TimelineUnit, policies: Mapping[str, PolicyDocument]) -> None:
        digests = {
            tenant_id: policy_digest(policy.timeline.model_dump_json())
            for tenant_id, policy in policies.items()
            if policy.timeline is not None
        }
        if digests != self._digests:
            await unit.renew_policies(digests)
            self._digests = digests

    async def _step(self, unit: TimelineUnit, policies: Mapping[str, PolicyDocument]) -> bool:
        """Do the next page; return whether there was one."""
        limit = self._settings.page_entities
        due = await unit.take_due(limit)
        if due is not None:
            policy = policies.get(due.tenant_id)
            if policy is not None and policy.timeline is not None:
                await make(unit, policy, self._page(due.tenant_id, due.entities, due.event_key))
            return True
        change = await unit.first_change()
        if change is not None:
            await self._follow(unit, policies.get(change.tenant_id), change, limit)
            return True
        spread = await unit.first_spread()
        if spread is not None:
            await self._spread(unit, policies.get(spread.tenant_id), spread, limit)
        return spread is not None

    async def _follow(
        self, unit: TimelineUnit, policy: PolicyDocument | None, change: Change, limit: int
    ) -> None:
        """Associate the next page of what a merge or split concerns anew, with one entry in the audit."""
        if change.place == NOWHERE:  # what refers to its entities goes first: accounts of contacts, deals
            await unit.begin_change(change)
            await unit.save_change(change, BEGUN, 0, 0, done=False)
            return
        found = await unit.page_change(change, limit) if policy is not None and policy.timeline else []
        done = len(found) < limit
        if not found or policy is None:
            await unit.save_change(change, change.place, 0, 0, done=True)
            return
        page = self._page(change.tenant_id, found, change.event_key)
        moves = moves_of(await make(unit, policy, page), change.change)
        counts = [
            {"field": "examined", "before": None, "after": len(found), "rule": change.change},
            {"field": "moved", "before": None, "after": len(moves), "rule": change.change},
        ]
        await unit.note_change(change, [*counts, *moves[:MOVES_SHOWN]], policy.version)
        await unit.save_change(change, found[-1], len(found), len(moves), done=done)

    async def _spread(
        self, unit: TimelineUnit, policy: PolicyDocument | None, spread: Spread, limit: int
    ) -> None:
        if policy is None or policy.timeline is None:
            await unit.save_spread(spread, spread.place, done=True)
            return
        found = await unit.page_spread(spread, limit)
        if found and spread.kind != "all":
            await make(unit, policy, self._page(spread.tenant_id, found, spread.event_key))
        await unit.save_spread(spread, found[-1] if found else spread.place, done=len(found) < limit)

    def _page(self, tenant_id: str, entities: Sequence[uuid.UUID], event_key: uuid.UUID) -> Page:
        return Page(tenant_id, tuple(entities), event_key, self._clock.now())


def moves_of(moved: Moves, rule: str) -> list[dict[str, Any]]:
    """Return what the audit tells of each activity that concerns others than before."""
    return [
        {
            "field": str(activity_id),
            "before": [str(item.entity_id) for item in before],
            "after": [str(item.entity_id) for item in after],
            "rule": rule,
        }
        for activity_id, (before, after) in sorted(moved.items())
    ]
