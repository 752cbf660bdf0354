"""Looking ahead at a change of the policy, and following it. Orders effects, holds no state.

NotFound      NO_POLICY
InvalidInput  POLICY_REFUSED
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.desk_ports import OperationsStore
from headwater.sync.domain.foreseeing import PolicyImpact, stride_of
from headwater.sync.domain.log import Position
from headwater.sync.domain.renewing import NOWHERE, PolicyVersion
from headwater.sync.domain.staging import seed_of
from headwater.sync.usecases.rollouts import quota_of
from headwater.sync.versions.ports import VersionDesk

PAGE_ENTITIES: Final = 500
ENTITIES_MAX: Final = 200_000
"""Entities that are computed one by one; of more a sample of about so many: some seconds either way."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a look ahead is.

    Args:
        impact: so far; the same object in every step.
        wanted: entities to compute.
        whole: it is through, and quotas are known.
    """

    impact: PolicyImpact
    wanted: int
    digest_in_force: str
    whole: bool = False


class Versions:
    """The versions of policies, for any tenant.

    Args:
        entities_max: entities that are computed; where there are more, about so many are drawn.
    """

    def __init__(
        self,
        desk: VersionDesk,
        operations: OperationsStore,
        clock: Clock,
        entities_max: int = ENTITIES_MAX,
    ) -> None:
        self._desk = desk
        self._operations = operations
        self._clock = clock
        self._entities_max = entities_max

    async def listed(
        self, tenant_id: str, before: Position, page_size: int
    ) -> tuple[tuple[PolicyVersion, ...], bool]:
        """Return one page of versions, the newest first, and whether there are more."""
        found = await self._desk.list_versions(tenant_id, before, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def preview(self, tenant_id: str, text: str) -> AsyncGenerator[Step]:
        """Yield what the policy *text* would do, as far as it is computed; the last step is whole.

        Each page is a snapshot of its own, so that nothing holds the database's past.

        Raises: NotFound, InvalidInput.
        """
        former = await self._desk.text_in_force(tenant_id)
        if not former:
            raise NotFound(f"tenant {tenant_id} has no policy yet", reason="NO_POLICY")
        seed = seed_of(tenant_id, policy_digest(former), policy_digest(text))
        impact = PolicyImpact(tenant_id, load_policy(former), load_policy(text), seed=seed)
        impact.total = await self._desk.count_entities(tenant_id)
        stride = stride_of(impact.total, self._entities_max)
        wanted, digest = -(-impact.total // stride), policy_digest(former)
        place, names = NOWHERE, list(impact.accounts)
        while True:
            page = await self._desk.read_page(tenant_id, place, PAGE_ENTITIES, stride, names)
            impact.add(page, self._clock.now())
            if len(page.entities) < PAGE_ENTITIES:
                break
            place = page.entities[-1].entity_id
            yield Step(impact, max(wanted, impact.scanned), digest)
        if stride == 1:
            impact.total = impact.scanned  # those that came or went meanwhile
        for name, account in impact.accounts.items():
            writes = account.writes
            writes.quota_used, writes.quota_limit = await quota_of(
                self._operations, tenant_id, name, account.policy, self._clock.now()
            )
        yield Step(impact, impact.scanned, digest, whole=True)
