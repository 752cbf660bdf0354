"""Works off rollouts in this process, and puts their policies into the log.

Holds nothing between two steps: a restart or a second process goes on where the last one stopped, with the same
records, and two never work off one rollout at once. No transaction is held while the log is asked.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio

from headwater.kernel.errors import InvalidInput, Unavailable
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.domain.changing import PolicyChange, way_back
from headwater.sync.domain.rollout import RolloutKind
from headwater.sync.domain.staging import WHOLE, may_put, way_back_of_stages
from headwater.sync.ports import StoreRaced
from headwater.sync.rollouts.course import move_on
from headwater.sync.rollouts.ports import PolicyLog, RolloutStore
from headwater.sync.rollouts.stages import move_stages
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

TICK_S: Final = 0.1
"""Shortest pause between two looks."""
POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
BACKOFF_S: Final = 2.0
"""Pause after the database or the log could not be reached."""
DOCUMENTS_MAX: Final = 64
"""Policies that are kept read."""
STEPS_MAX: Final = 100
"""Steps before policies are looked at again."""


class RolloutWorker:
    """Works off the rollouts of every tenant.

    Args:
        now: the time; the store's unless told otherwise, as processes' clocks differ and the stages are one for all.
    """

    def __init__(
        self,
        store: RolloutStore,
        policies: PolicyLog,
        now: Callable[[], Awaitable[dt.datetime]] | None = None,
    ) -> None:
        self._store = store
        self._policies = policies
        self._now = now or store.now
        self._documents: dict[str, PolicyDocument] = {}

    async def run(self, bell: Wakeup) -> None:
        """Work off rollouts for ever; ends by cancellation, which undoes a step under way whole.

        Args:
            bell: rung when a rollout was begun or steered.
        """
        while True:
            try:
                await bell.wait(await self.step())
            except (Unavailable, StoreRaced, InvalidInput) as error:
                _log.warning("rollouts: %s", error)
                await anyio.sleep(BACKOFF_S)

    async def step(self) -> float:
        """Do all that may be done by now; return how long to wait for the next step."""
        due = await self._store.next_time()
        if due is None:
            return POLL_S
        for change in await self._store.waiting_changes():
            try:
                await self._send(change)
            except (Unavailable, InvalidInput) as error:  # the others' rollouts do not wait for it
                _log.warning("policy of rollout %s is not in the log: %s", change.change_id, error)
        for _ in range(STEPS_MAX):
            if not await self._move_one():
                break
        due = await self._store.next_time()
        if due is None:
            return POLL_S
        return min(POLL_S, max(TICK_S, (due - await self._now()).total_seconds()))

    async def _move_one(self) -> bool:
        now = await self._now()
        async with self._store.taken(now) as unit:
            if unit is None:
                return False
            if unit.rollout.kind is RolloutKind.VALUES:
                await move_stages(unit.staging(), self._read, now)
            else:
                await move_on(unit, self._read, now)
        return True

    async def _send(self, change: PolicyChange) -> None:
        """Put a new policy, or its next stage, in force; or, once its rollout was aborted, the one before.

        What may have been begun is finished before it is taken back: a late request can then not undo that.
        """
        if change.by_stages:
            await self._send_stage(change)
            return
        if change.apply_time is None:
            if await self._store.begin_change(change, await self._now()):
                await self._put(change, change.new_text, "new")
                await self._store.applied(change, await self._now())
            else:  # aborted before it was begun: there is nothing to take back
                await self._store.taken_back(change, await self._now(), replaced=False)
            return
        way = way_back(change, policy_digest(await self._store.text_in_force(change.tenant_id)))
        if way == "put_back":
            await self._put(change, change.former_text, "former")
        await self._store.taken_back(change, await self._now(), replaced=way == "leave")

    async def _send_stage(self, change: PolicyChange) -> None:
        """Tell the log the stage that is wanted, unless another policy is in force; then go back, if that is wanted."""
        in_force = await self._store.in_force(change.tenant_id)
        waits = change.wanted_stage != change.put_stage and may_put(change, in_force)
        if waits and await self._store.begin_change(change, await self._now()):
            text = change.new_text if change.wanted_stage == WHOLE else change.former_text
            await self._put(change, text, f"stage:{change.wanted_stage}", change.staged)
            await self._store.told(change, await self._now())
            in_force = await self._store.in_force(change.tenant_id)
        if change.aborting:
            way = way_back_of_stages(change, in_force)
            if way == "put_back":
                await self._put(change, change.former_text, "former")
            await self._store.taken_back(change, await self._now(), replaced=way == "leave")

    async def _put(
        self, change: PolicyChange, text: str, which: str, staged: Mapping[str, Any] | None = None
    ) -> None:
        await self._policies.put(
            change.tenant_id,
            text,
            request_id=f"rollout:{change.change_id}:{which}",
            actor=change.actor,
            event_time=change.create_time,
            staged=staged,
        )

    def _read(self, text: str) -> PolicyDocument:
        digest = policy_digest(text)
        if digest not in self._documents:
            if len(self._documents) >= DOCUMENTS_MAX:
                self._documents.clear()
            self._documents[digest] = load_policy(text)
        return self._documents[digest]
