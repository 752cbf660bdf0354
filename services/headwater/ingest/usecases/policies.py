"""The policies in force, at hand in memory: read at start, after each one accepted, and on word from others."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

import anyio
import anyio.to_thread
import msgspec

from headwater.ingest.domain.contract import judge_policy
from headwater.ingest.domain.days import Keeping
from headwater.ingest.domain.event import Outcome
from headwater.ingest.ports import LogUnavailable, PolicyPosition, PolicySource
from headwater.policy.document import PolicyDocument

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicyBookSettings:
    """How fresh the policies are.

    Args:
        poll_s: longest time until another process's policy is seen when its notification is lost.
        miss_interval_s: shortest time between two looks for the policy of tenants that have none.
        backoff_s_max: longest pause before listening again after the connection was lost.
    """

    poll_s: float = 15.0
    miss_interval_s: float = 0.2
    backoff_s_max: float = 2.0


class PolicyBook:
    """The newest policy of each tenant."""

    def __init__(self, source: PolicySource, settings: PolicyBookSettings, chance: random.Random) -> None:
        self._source = source
        self._settings = settings
        self._chance = chance
        self._policies: dict[str, tuple[PolicyPosition, PolicyDocument]] = {}
        self._looking = anyio.Lock()
        self._looked_at = float("-inf")

    async def find(self, tenant_id: str) -> PolicyDocument | None:
        """Return a tenant's policy, looking in the log when none is at hand; None when it has none.

        Raises:
            LogUnavailable: none is at hand, and the log cannot be asked.
        """
        if tenant_id not in self._policies:
            await self._look_once()
        known = self._policies.get(tenant_id)
        return known[1] if known else None

    def keepings(self) -> list[Keeping]:
        """Return how long tenants' events are kept, of tenants whose policy says it."""
        return [
            Keeping(tenant_id, document.retention.days, document.retention.archive)
            for tenant_id, (_, document) in self._policies.items()
            if document.retention is not None
        ]

    async def _look_once(self) -> None:
        """Return after a look into the log that began after this call: another process's policy is in it.

        Looks keep their distance, so that unknown tenants cost the database little; who waits shares the next.
        """
        arrived = anyio.current_time()
        async with self._looking:
            if self._looked_at >= arrived:
                return
            await anyio.sleep(max(0.0, self._looked_at + self._settings.miss_interval_s - arrived))
            self._looked_at = anyio.current_time()
            await self.refresh()

    async def refresh(self) -> None:
        """Read every policy that is newer in the log than here.

        Raises:
            LogUnavailable: the log cannot be read; what was at hand stays.
        """
        positions = await self._source.read_policy_positions()
        stale = [item.tenant_id for item in positions if self._is_news(item)]
        if not stale:
            return
        for position, payload in await self._source.read_policies(stale):
            judged = await anyio.to_thread.run_sync(_read, payload)
            if isinstance(judged, Outcome):
                # Accepted by an earlier release whose rules were laxer: the policy before it stays in force.
                _log.error("policy cannot be read", extra={"tenant": position.tenant_id})
            elif self._is_news(position):
                self._policies[position.tenant_id] = (position, judged)
                fields = {"tenant": position.tenant_id, "policy_version": judged.version}
                _log.info("policy in force", extra=fields)

    async def watch(self) -> None:
        """Follow the policies that other processes accept, until cancelled."""
        while True:
            try:
                async with self._source.watch() as watch:
                    while True:
                        await self.refresh()
                        with anyio.move_on_after(self._settings.poll_s):
                            await watch.changed()
            except LogUnavailable as error:
                _log.warning("not following policies for the moment: %s", error)
            await anyio.sleep(self._chance.uniform(0, self._settings.backoff_s_max))

    def _is_news(self, position: PolicyPosition) -> bool:
        known = self._policies.get(position.tenant_id)
        return known is None or (position.xid, position.seq) > (known[0].xid, known[0].seq)


def _read(payload: bytes) -> PolicyDocument | Outcome:
    return judge_policy(msgspec.json.decode(payload, type=dict))
