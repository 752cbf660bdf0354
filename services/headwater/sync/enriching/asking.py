"""One round about one entity: providers are asked in their order, the answers are recorded, and it is kept how it ended.

Effects in an order that a crash anywhere leaves right: a call is counted before it is made, its answer kept before it
is used, its event in the log before the entity is settled. What is done again then finds the kept answer and makes the
same event.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.connectors.base.enriching import Proposed
from headwater.kernel.clock import Clock
from headwater.kernel.errors import InvalidInput
from headwater.policy.document import PolicyDocument
from headwater.policy.enrichment import Enrichment
from headwater.sync.domain.enriching import (
    Answer,
    Plan,
    Question,
    Task,
    Told,
    Value,
    change_of,
    clearing_of,
    ending,
    next_asked,
    outdated,
    plan,
)
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.polling import Change
from headwater.sync.enriching.ports import DayBudget, Due, EnrichmentStore, Fares, ValueLog
from headwater.sync.enriching.provider import Failure, OpenProvider

Opens = Callable[[str], Awaitable[OpenProvider]]


@dataclass(frozen=True, slots=True)
class AskerParts:
    """What a round needs.

    Args:
        opens: returns a provider of the tenant, opened when it is asked first.
    """

    store: EnrichmentStore
    log: ValueLog
    clock: Clock
    chance: random.Random
    opens: Opens


@dataclass(slots=True)
class _Round:
    """What a round has come to so far."""

    open: Plan
    told: dict[str, Told]
    changes: list[Change] = field(default_factory=list)
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class Asker:
    """Does rounds for one tenant under one policy."""

    def __init__(
        self, document: PolicyDocument, section: Enrichment, lease: Lease, parts: AskerParts
    ) -> None:
        self._document = document
        self._section = section
        self._lease = lease
        self._parts = parts

    async def round(self, due: Due) -> None:
        """Do one round about an entity.

        Raises: FenceLost, Unavailable, StoreRaced, StoreRefused.
        """
        task, now = due.task, self._parts.clock.now()
        open_ = plan(self._section, task, now)
        doing = _Round(open_, dict(open_.fresh))
        while (name := next_asked(open_, doing.told)) is not None:
            await self._ask(doing, task, name)
        cleared = outdated(self._section, task, open_, doing.told)
        for name in cleared:
            doing.changes.append(clearing_of(self._section, name, task))
            self._note(doing, name, "cleared", ())
        if doing.changes:
            await self._record(doing, task)
        now, chance = self._parts.clock.now(), self._parts.chance.random()
        end = ending(self._section, task, open_, doing.told, cleared, now, chance)
        await self._parts.store.settle(self._lease, due, end, doing.asked, self._document.version)

    async def _ask(self, doing: _Round, task: Task, name: str) -> None:
        question = doing.open.questions[name]
        answer, cached = await self._kept(task, name, question), True
        if answer is None:
            found, cached = await self._call(task, name, question), False
            if isinstance(found, Told):
                doing.told[name] = found
                await self._count(task, name, found, cached=False)
                if found.outcome != "budget" and task.tries == 0:
                    self._note(doing, name, found.outcome, ())
                return
            answer = found
        change, told = change_of(self._document, name, task, answer, question)
        doing.told[name] = told
        if change is not None:
            doing.changes.append(change)
        await self._count(task, name, told, cached=cached)
        self._note(doing, name, "cached" if cached else told.outcome, told.fields)

    async def _kept(self, task: Task, name: str, question: Question) -> Answer | None:
        if task.forced:
            return None
        now = self._parts.clock.now()
        found = await self._parts.store.find_answer(task.tenant_id, name, question.digest, now)
        days = self._section.providers[name].refresh_days
        if found is not None and days is not None and found.time + dt.timedelta(days=days) <= now:
            return None  # the values are to be refreshed
        return found

    async def _call(self, task: Task, name: str, question: Question) -> Answer | Told:
        """Make a call that the budget allows; return the answer, kept, or how there came none."""
        store, provider, now = self._parts.store, self._section.providers[name], self._parts.clock.now()
        budget = DayBudget(provider.calls_per_day, provider.budget_per_day)
        day = now.astimezone(dt.UTC).date()
        try:
            opened = await self._parts.opens(name)
        except InvalidInput as error:
            return Told("refused", "", now, reason=str(error)[:256])
        if not await store.reserve(task.tenant_id, name, day, provider.cost, budget):
            return Told("budget", "", now, reason="the day's budget is used up")
        found = await opened.ask(task.object, question.inputs)
        if opened.calls:
            await opened.keep_fares(_keeping(store, task.tenant_id, name))
        if isinstance(found, Failure):
            if not found.charged:
                await store.give_back(task.tenant_id, name, day, provider.cost)
            return Told(found.outcome, "", now, reason=found.reason)
        answer = _answer(question, self._parts.clock.now(), found)
        expires = answer.time + dt.timedelta(days=provider.cache_days)
        expires = max(expires, answer.time + MOMENT)
        await store.keep_answer(task.tenant_id, name, answer, expires, task.entity_id)
        return answer

    async def _count(self, task: Task, name: str, told: Told, *, cached: bool) -> None:
        day = self._parts.clock.now().astimezone(dt.UTC).date()
        await self._parts.store.count(task.tenant_id, name, day, told.outcome, cached=cached)

    async def _record(self, doing: _Round, task: Task) -> None:
        """Put the values into the log; where it does not take them, nobody is counted as having brought any."""
        recorded = await self._parts.log.record(task.tenant_id, doing.changes)
        if not recorded.refused and not recorded.quarantined:
            return
        reason = "; ".join(f"{item.reason}: {item.message}" for item in recorded.refused) or "quarantined"
        sources = {change.source for change in doing.changes}
        for name, told in doing.told.items():
            if self._section.providers[name].system in sources:
                doing.told[name] = Told("refused", told.digest, told.time, reason=reason[:256])

    def _note(self, doing: _Round, name: str, outcome: str, fields: tuple[str, ...]) -> None:
        """Put what a provider was asked into the audit, under the name of its system."""
        change = {
            "field": name,
            "before": None,
            "after": {"outcome": outcome, "fields": list(fields)},
            "rule": outcome,
        }
        doing.asked.setdefault(self._section.providers[name].system, []).append(change)


MOMENT = dt.timedelta(minutes=10)
"""Answers are kept so long at least: a round that a crash cut off must find them."""


def _keeping(store: EnrichmentStore, tenant_id: str, name: str) -> Callable[[Fares], Awaitable[None]]:
    async def keep(fares: Fares) -> None:
        await store.keep_fares(tenant_id, name, fares)

    return keep


def _answer(question: Question, now: dt.datetime, found: Proposed) -> Answer:
    values: Mapping[str, Value] = {
        word: Value(item.value, item.confidence) for word, item in found.values.items()
    }
    return Answer(question.digest, now, values, found.reference)
