"""Learns every tenant's weights by the clock. Owns when, and who of several processes; loses nothing by failing."""

from __future__ import annotations

import datetime as dt
import logging
import random
from dataclasses import dataclass
from typing import Final, Literal, Never

import anyio

from headwater.identity.domain.weighing import OBJECTS
from headwater.identity.usecases.learning import Learned, Learner, Wish
from headwater.identity.usecases.resolve import ITSELF
from headwater.identity.weights_ports import WeightsStore
from headwater.kernel.clock import Clock
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.ids import TenantId

TENANTS_PAGE: Final = 100
LOOKS: Final = 24
"""How often in an interval it looks whether a tenant is due."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LearningJob:
    """Looks which tenants are due, and learns.

    Args:
        mode: propose keeps new versions for a person; auto makes those count that nothing speaks against.
    """

    store: WeightsStore
    learner: Learner
    clock: Clock
    chance: random.Random
    interval_s: float
    mode: Literal["propose", "auto"]

    async def run(self) -> Never:
        """Learn until cancelled; the first look comes only after a while, so that starts stay quick."""
        while True:
            await anyio.sleep(self.interval_s / LOOKS * self.chance.uniform(0.5, 1.5))
            try:
                await self.look()
            except HeadwaterError as error:
                _log.warning("learning of weights waits: %s", error.message)
            except Exception:  # noqa: BLE001 - the edge of the job: whatever comes, others go on resolving
                _log.exception("learning of weights failed; the next look comes all the same")

    async def look(self) -> int:
        """Learn the tenants that are due; return how many."""
        learnt, after = 0, ""
        while tenants := await self.store.list_tenants(after, TENANTS_PAGE):
            for tenant_id in tenants:
                learnt += await self._learn_if_due(tenant_id)
            after = tenants[-1]
        return learnt

    async def _learn_if_due(self, tenant_id: TenantId) -> bool:
        now = self.clock.now()
        if not await self.store.claim_run(tenant_id, now, now - dt.timedelta(seconds=self.interval_s)):
            return False
        wish = Wish(OBJECTS, ITSELF, activate=self.mode == "auto", by_clock=True)
        try:
            done = await self.learner.learn(tenant_id, wish, None, _unheard)
        except HeadwaterError as error:
            _log.warning("weights of tenant %s were not learnt: %s", tenant_id, error.message)
            return False
        for one in done:
            _log.info("weights of tenant %s: %s", tenant_id, _line(one))
        return True


def _line(one: Learned) -> str:
    state = "active" if one.active else "proposed" if one.number else one.lesson.outcome.value
    why = "".join(f"; {finding}" for finding in one.lesson.findings)
    return f"{one.object} {state}, {one.lesson.pairs} pairs, {one.lesson.answers} answers{why}"


async def _unheard(_object: str, _stage: str, _count: int) -> None:
    """Tell nobody."""
