"""Who has which lead, what another policy would have done, how soon leads are looked after. Orders effects, holds no state.

NotFound      UNKNOWN_LEAD, NOT_ROUTED
InvalidInput  POLICY_REFUSED, NOT_ROUTED
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headwater.kernel.clock import Clock
from headwater.kernel.errors import InvalidInput, NotFound
from headwater.policy.loading import load_policy
from headwater.sync.domain.foreseeing import stride_of
from headwater.sync.domain.lead_reports import Counted, Loads, SlaReport, TimedLead, loads_of
from headwater.sync.domain.leads import LeadRow, LeadState
from headwater.sync.domain.renewing import NOWHERE
from headwater.sync.domain.routing_preview import PastLead, RoutingPreview, past_lead, preview
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.ports import Policies

PAGE_LEADS: Final = 500
LEADS_MAX: Final = 50_000
"""Past leads that are routed one by one; of more a sample of about so many."""
SLA_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Step:
    """How far a look back is; the last step has the preview."""

    scanned: int
    wanted: int
    preview: RoutingPreview | None = None


class RoutingDesk(Protocol):
    """What operators read of routing. Every method raises Unavailable."""

    async def list_rows(
        self, tenant_id: str, after: uuid.UUID, states: Sequence[LeadState], person: str, limit: int
    ) -> Sequence[LeadRow]:
        """Return the next rows behind an entity, of some states and of one person, or of all."""
        ...

    async def read_lead(self, tenant_id: str, entity_id: uuid.UUID) -> TimedLead | None:
        """Return a lead, or what stands for it; None when routing knows nothing of it."""
        ...

    async def count(self, tenant_id: str) -> tuple[Sequence[Counted], Mapping[str, str]]:
        """Return leads by state and person, and pool to who had the last turn."""
        ...

    async def count_leads(self, tenant_id: str, objects: Sequence[str]) -> int:
        """Count the living entities of some objects."""
        ...

    async def page_leads(
        self, tenant_id: str, after: uuid.UUID, limit: int, stride: int, objects: Sequence[str]
    ) -> Sequence[tuple[EntityState, Sequence[RecordState]]]:
        """Return the next entities with their records, one of *stride* drawn by hash."""
        ...

    async def sla(self, tenant_id: str, since: dt.datetime, limit: int) -> SlaReport:
        """Return timers that run, breaches, and how promises are kept since a time."""
        ...


class RoutingOffice:
    """Routing, for any tenant.

    Args:
        leads_max: past leads that are routed one by one.
    """

    def __init__(
        self, desk: RoutingDesk, policies: Policies, clock: Clock, leads_max: int = LEADS_MAX
    ) -> None:
        self._desk = desk
        self._policies = policies
        self._clock = clock
        self._leads_max = leads_max

    async def listed(
        self, tenant_id: str, after: uuid.UUID, states: Sequence[LeadState], person: str, page_size: int
    ) -> tuple[Sequence[LeadRow], bool]:
        """Return one page of leads, and whether there are more."""
        wanted = states or [state for state in LeadState if state is not LeadState.ENDED]
        found = await self._desk.list_rows(tenant_id, after, wanted, person, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def lead(self, tenant_id: str, entity_id: uuid.UUID) -> TimedLead:
        """Return one lead with its timers. Raises: NotFound."""
        found = await self._desk.read_lead(tenant_id, entity_id)
        if found is None:
            message = f"routing has never looked at entity {entity_id}"
            raise NotFound(message, reason="UNKNOWN_LEAD", metadata={"entity_id": str(entity_id)})
        return found

    async def loads(self, tenant_id: str) -> Loads:
        """Return how the people and the pools stand. Raises: NotFound."""
        document = self._policies.current().get(tenant_id)
        if document is None or document.routing is None:
            message = f"the policy of {tenant_id} gives leads to nobody: it has no part routing"
            raise NotFound(message, reason="NOT_ROUTED")
        counted, turns = await self._desk.count(tenant_id)
        return loads_of(document.routing, counted, turns, self._clock.now())

    async def sla(self, tenant_id: str, since: dt.datetime | None, limit: int) -> SlaReport:
        """Return how soon leads are looked after, by default in the last 30 days."""
        start = since or self._clock.now() - dt.timedelta(days=SLA_DAYS)
        return await self._desk.sla(tenant_id, start, limit)

    async def preview(
        self, tenant_id: str, text: str, since: dt.datetime | None, changes_max: int
    ) -> AsyncGenerator[Step]:
        """Yield who would have got past leads by the policy *text*, as far as it is read; the last step is whole.

        Raises: InvalidInput.
        """
        routing = load_policy(text).routing
        if routing is None:
            raise InvalidInput(
                "the policy gives leads to nobody: it has no part routing", reason="NOT_ROUTED"
            )
        objects = sorted(routing.objects)
        total = await self._desk.count_leads(tenant_id, objects)
        stride = stride_of(total, self._leads_max)
        wanted, place, leads, scanned = -(-total // stride), NOWHERE, list[PastLead](), 0
        while True:
            page = await self._desk.page_leads(tenant_id, place, PAGE_LEADS, stride, objects)
            found = [past_lead(routing, entity, members) for entity, members in page]
            leads += [
                item for item in found if item is not None and (since is None or item.lead_time >= since)
            ]
            scanned += len(page)
            if len(page) < PAGE_LEADS:
                break
            place = page[-1][0].entity_id
            yield Step(scanned, max(wanted, scanned))
        result = preview(routing, leads, changes_max)
        result.exact = stride == 1
        yield Step(scanned, scanned, result)
