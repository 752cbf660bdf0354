"""Looking at enrichment, and having entities enriched again. Orders effects, holds no state.

NotFound             NO_POLICY, UNKNOWN_ENTITY
PreconditionFailed   NO_ENRICHMENT
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.policy.enrichment import Enrichment, EnrichmentProvider
from headwater.sync.domain.breaker import permit
from headwater.sync.domain.enriching import Plan, Task, plan
from headwater.sync.enriching.ports import EnrichmentDesk, Fares, Standing, Tally, Usage
from headwater.sync.ports import Policies

StepStanding = Literal["fresh", "ask", "lacks_input", "budget", "open"]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One provider's part in filling a field."""

    provider: str
    standing: StepStanding
    cost: float


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """Who may fill a field.

    Args:
        closed: nobody is asked: another's value stands, or a condition leaves the entity out.
    """

    field: str
    closed: bool
    steps: tuple[PlanStep, ...]


@dataclass(frozen=True, slots=True)
class EntityView:
    """An entity, and what would be asked about it now."""

    standing: Standing
    plan: tuple[FieldPlan, ...]


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider and how it fares."""

    name: str
    policy: EnrichmentProvider
    breaker: str
    fares: Fares
    today: Usage


class EnrichmentView:
    """Enrichment as operators use it."""

    def __init__(self, desk: EnrichmentDesk, policies: Policies, clock: Clock) -> None:
        self._desk = desk
        self._policies = policies
        self._clock = clock

    async def status(self, tenant_id: str) -> tuple[Sequence[Tally], Sequence[ProviderView]]:
        """Return how many entities wait, and how providers fare. Raises: NotFound, PreconditionFailed."""
        section, now = self._section(tenant_id), self._clock.now()
        fares, today = await self._desk.fares(tenant_id), await self._today(tenant_id, now)
        views = [
            ProviderView(
                name,
                policy,
                fares.get(name, Fares()).breaker.name(now),
                fares.get(name, Fares()),
                today.get(name, Usage(name, _day(now))),
            )
            for name, policy in section.providers.items()
        ]
        return await self._desk.tallies(tenant_id), views

    async def entity(self, tenant_id: str, entity_id: uuid.UUID) -> EntityView:
        """Return how an entity stands. Raises: NotFound, PreconditionFailed."""
        standing = await self._standing(tenant_id, entity_id)
        return EntityView(standing, await self._planned(tenant_id, standing.task))

    async def run(self, tenant_id: str, entity_id: uuid.UUID, actor: str, *, dry: bool) -> EntityView:
        """Have everybody asked again about an entity, or only say who would be. Raises: NotFound, PreconditionFailed."""
        standing = await self._standing(tenant_id, entity_id)
        planned = await self._planned(tenant_id, replace(standing.task, forced=True))
        if not dry:
            await self._desk.force(standing.task, actor)
        return EntityView(standing, planned)

    async def budget(self, tenant_id: str, days: int) -> Sequence[Usage]:
        """Return the ledger of the last days."""
        return await self._desk.usage(tenant_id, _day(self._clock.now()) - dt.timedelta(days=days - 1))

    def _section(self, tenant_id: str) -> Enrichment:
        document = self._policies.current().get(tenant_id)
        if document is None:
            raise NotFound(f"tenant {tenant_id!r} has no policy", reason="NO_POLICY")
        if document.enrichment is None:
            message = f"the policy of {tenant_id!r} has no part `enrichment`: nobody is asked"
            raise PreconditionFailed(message, reason="NO_ENRICHMENT")
        return document.enrichment

    async def _standing(self, tenant_id: str, entity_id: uuid.UUID) -> Standing:
        self._section(tenant_id)
        standing = await self._desk.read(tenant_id, entity_id)
        if standing is None:
            raise NotFound(f"there is no entity {entity_id}", reason="UNKNOWN_ENTITY")
        return standing

    async def _today(self, tenant_id: str, now: dt.datetime) -> Mapping[str, Usage]:
        return {item.provider: item for item in await self._desk.usage(tenant_id, _day(now))}

    async def _planned(self, tenant_id: str, task: Task) -> tuple[FieldPlan, ...]:
        section, now = self._section(tenant_id), self._clock.now()
        item = section.objects.get(task.object)
        if item is None:
            return ()
        today, fares = await self._today(tenant_id, now), await self._desk.fares(tenant_id)
        open_ = plan(section, task, now)

        def step(name: str) -> PlanStep:
            policy, used = section.providers[name], today.get(name, Usage(name, _day(now)))
            standing = _standing(name, policy, open_, used)
            if standing == "ask" and permit(fares.get(name, Fares()).breaker, "read", now).calls == "none":
                standing = "open"
            return PlanStep(name, standing, policy.cost)

        return tuple(
            FieldPlan(name, name not in open_.fields, tuple(map(step, open_.fields.get(name, ()))))
            for name in item.fields
        )


def _standing(name: str, policy: EnrichmentProvider, open_: Plan, used: Usage) -> StepStanding:
    if name not in open_.questions:
        return "lacks_input"
    if name in open_.fresh:
        return "fresh"
    if policy.calls_per_day is not None and used.calls >= policy.calls_per_day:
        return "budget"
    if policy.budget_per_day is not None and used.cost + policy.cost > policy.budget_per_day + 1e-9:
        return "budget"
    return "ask"


def _day(now: dt.datetime) -> dt.date:
    return now.astimezone(dt.UTC).date()
