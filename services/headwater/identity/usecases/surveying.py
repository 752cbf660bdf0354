"""A whole tenant at once: its records as of one moment for a scan, and what the scan proposes put before a person."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.identity.domain.proposing import Outcome, propose
from headwater.identity.domain.records import RecordId, RecordRef, record_id_of
from headwater.identity.domain.redoing import BEFORE_ALL, Said
from headwater.identity.domain.resolving.values import Limits, Plan, Wanted, pair_of
from headwater.identity.redo_ports import SurveyStore
from headwater.identity.usecases.resolve import NEAR_RECORDS_MAX
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

PAGE_RECORDS: Final = 500
"""Records of one message of a stream."""


@dataclass(frozen=True, slots=True)
class Surveys:
    """Reads tenants whole, and takes proposals.

    Args:
        weights: taken once for all pairs of a call.
        stream_s: how long one stream may hold its moment: the database keeps what is changed meanwhile.
    """

    store: SurveyStore
    weights: WeightsSource
    limits: Limits
    clock: Clock
    stream_s: float

    async def stream(self, tenant_id: TenantId, object_name: str) -> AsyncGenerator[Sequence[Said], None]:
        """Yield all records of one object in the order of their ids, as of one moment, page by page.

        Raises:
            Unavailable: it took too long.
        """
        deadline = anyio.current_time() + self.stream_s
        async with self.store.snapshot() as store:
            after = BEFORE_ALL
            while True:
                page = await store.list_said(tenant_id, after, PAGE_RECORDS)
                wanted = [one for one in page if one.ref.object == object_name]
                if wanted:
                    yield wanted
                if len(page) < PAGE_RECORDS:
                    return
                after = page[-1].record_id
                if anyio.current_time() > deadline:
                    raise Unavailable(
                        f"the records were not taken within {self.stream_s:g} s", reason="STREAM_TOO_LONG"
                    )

    async def propose(
        self,
        tenant_id: TenantId,
        pairs: Sequence[tuple[RecordRef, RecordRef]],
        timeout_s: float | None,
        *,
        validate_only: bool = False,
    ) -> Sequence[Outcome]:
        """Put pairs before a person, in one transaction; idempotent.

        Args:
            validate_only: only say what would become of them.
        """
        named = [
            pair_of(record_id_of(tenant_id, one), record_id_of(tenant_id, other)) for one, other in pairs
        ]
        seeds: frozenset[RecordId] = frozenset(record for pair in named for record in pair)
        near_max = min(NEAR_RECORDS_MAX, self.limits.near_max * len(named))
        weights = await self.weights.of(tenant_id)
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            near = await transaction.load_near(Wanted(seeds, frozenset()), near_max, keys=False)
            homes = [near.records[one].entity_id for one in seeds if one in near.records]
            asked = await transaction.list_asked(homes)
            found = propose(named, near, asked, weights, self.limits.rules)
            if found.candidates and not validate_only:
                plan = Plan(candidates=list(found.candidates))
                await transaction.write(plan, self.clock.now())
        return found.outcomes
