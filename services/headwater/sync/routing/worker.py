"""Routes leads right behind the projector: a page of a tenant in one transaction, then the log is told.

Holds nothing between two pages. One process at a time works on a tenant, under its row; what was decided is committed
before the log hears of it, and told again under the same name until it has. So a restart loses no lead and no timer,
and nobody is given a lead twice.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio
import msgspec

from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import OWN_SOURCE, ROUTING_SOURCE, SLA_OBJECT
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.leads import LeadRow
from headwater.sync.domain.renewing import NOWHERE
from headwater.sync.domain.sla import Outcome, TimerBook, told
from headwater.sync.domain.tending import Tending
from headwater.sync.ports import Policies, StoreRaced, StoreRefused
from headwater.sync.routing.ports import RoutingLog, RoutingStore, RoutingUnit, Told
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

TICK_S: Final = 0.02
"""Shortest pause between two looks."""
POLL_S: Final = 2.0
"""Longest wait for a wake-up that may have been missed."""
IDLE_S: Final = 5.0
"""Pause while no tenant's policy routes anything."""
BACKOFF_S: Final = 1.0
"""Pause after the database or ingest could not be reached."""
DETAILS: Final = "headwater.routing"
"""Where an assignment's event tells rule, pool and reason: no field can have a name with a dot."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How much is done at once.

    Args:
        page_leads: leads of one transaction.
        pages_max: pages of one tenant before the next one has its turn.
        sweep_leads: leads that a changed policy has looked at again in one transaction.
        told_events: events of one call to ingest.
    """

    page_leads: int = 200
    pages_max: int = 20
    sweep_leads: int = 1_000
    told_events: int = 500


class RoutingWorker:
    """Routes the leads of every tenant whose policy says so.

    Args:
        now: the time; the store's unless told otherwise, as processes' clocks differ.
    """

    def __init__(
        self,
        store: RoutingStore,
        log: RoutingLog,
        policies: Policies,
        settings: RoutingSettings | None = None,
        now: Callable[[], Awaitable[datetime]] | None = None,
    ) -> None:
        self._store = store
        self._log = log
        self._policies = policies
        self._settings = settings or RoutingSettings()
        self._now = now or store.now
        self._digests: dict[int, tuple[PolicyDocument, str]] = {}

    async def run(self, bell: Wakeup) -> None:
        """Route for ever; ends by cancellation, which undoes a page under way whole.

        Args:
            bell: rung when the projector has marked something.
        """
        while True:
            try:
                await bell.wait(await self.step())
            except (Unavailable, StoreRaced, StoreRefused) as error:
                _log.warning("routing: %s", error)
                await anyio.sleep(BACKOFF_S)

    async def step(self) -> float:
        """Do all that may be done by now; return how long to wait for the next step."""
        routed = self._routed()
        if not routed:
            return IDLE_S
        now = await self._now()
        digests = {tenant_id: digest for tenant_id, (_, digest) in routed.items()}
        more = False
        for tenant_id in await self._store.busy(digests, now):
            try:
                more = await self._work(tenant_id, *routed[tenant_id]) or more
            except (StoreRaced, StoreRefused) as error:  # one tenant's trouble is not the next one's
                _log.warning("routing of %s: %s", tenant_id, error)
        if more:
            return TICK_S
        due = await self._store.next_time(list(routed))
        wait_s = POLL_S if due is None else (due - await self._now()).total_seconds()
        return min(POLL_S, max(TICK_S, wait_s))

    def _routed(self) -> Mapping[str, tuple[PolicyDocument, str]]:
        """Return the tenants whose policy routes, with a digest of what it says about it."""
        current = {
            tenant_id: document
            for tenant_id, document in self._policies.current().items()
            if document.routing is not None
        }
        self._digests = {
            id(document): self._digests.get(id(document)) or (document, digest_of(document))
            for document in current.values()
        }
        return {tenant_id: self._digests[id(document)] for tenant_id, document in current.items()}

    async def _work(self, tenant_id: str, document: PolicyDocument, digest: str) -> bool:
        """Work on one tenant, up to so many pages; return whether more is left."""
        full = False
        for _ in range(self._settings.pages_max):
            async with self._store.taken(tenant_id, digest) as unit:
                if unit is None or await unit.rebuilding():
                    return False  # another process works on it, or the log is not through
                full = await self._page(unit, document, digest)
            await self._tell(tenant_id)
            if not full:
                break
        return full

    async def _page(self, unit: RoutingUnit, document: PolicyDocument, digest: str) -> bool:
        now = await self._now()
        if unit.digest != digest:
            unit.sweep_place = NOWHERE
        if unit.sweep_place is not None:
            await unit.sweep(self._settings.sweep_leads, now)
        await unit.save(digest)
        page = await unit.read_page(document, self._settings.page_leads, now)
        routing = document.routing
        if routing is None:
            return False
        timers = TimerBook(routing, document.sla)
        timers.load(page.timers)
        rows = {row.entity_id: row for row in page.rows}
        tending = Tending(document, now, page.loads, page.turns, timers, rows)
        tending.work(page.looks, page.touches)
        await unit.write(tending, list(tidings(tending)), page.marks)
        return page.full or unit.sweep_place is not None

    async def _tell(self, tenant_id: str) -> None:
        """Tell the log what it was not told yet, in order."""
        while waiting := await self._store.to_tell(tenant_id, self._settings.told_events):
            try:
                answers = await self._log.tell(tenant_id, waiting)
            except Unavailable as error:
                _log.warning("the log of %s is told later: %s", tenant_id, error)
                return
            for item, (key, refusal) in zip(waiting, answers, strict=True):
                if key is None:
                    _log.error("the log of %s does not take %s: %s", tenant_id, item.request_id, refusal)
            keys = [key for key, _ in answers]
            await self._store.note_told(tenant_id, list(zip(waiting, keys, strict=True)))


def digest_of(document: PolicyDocument) -> str:
    """Return 16 hex digits by which what a policy says about routing is known."""
    parts = document.model_dump(mode="json", by_alias=True, include={"routing", "sla"})
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]


def tidings(tending: Tending) -> Sequence[Told]:
    """Return what the log is to be told of a page: who got what, then which timers ended."""
    objects = {row.entity_id: row.object for row in tending.rows.values()}
    given = [_given(tending, row) for row in tending.given]
    return [*given, *(_outcome(tending, item, objects) for item in tending.timers.outcomes)]


def _given(tending: Tending, row: LeadRow) -> Told:
    owner = tending.routing.owner_of(row.object) or ""
    moment = row.assign_time or tending.now
    details = {
        "rule": row.rule, "pool": row.pool, "lane": row.lane, "reason": row.reason, "number": row.number,
        "policy_version": row.policy_version,
    }  # fmt: skip
    return Told(
        f"routing:{row.entity_id}:{row.number}:{int(moment.timestamp() * 1000)}",
        row.entity_id,
        row.number,
        ROUTING_SOURCE,
        row.object,
        str(row.entity_id),
        {owner: row.person, DETAILS: details},
        moment,
        f"rule {row.rule}",
        row.reason[:255],
    )


def _outcome(tending: Tending, item: Outcome, objects: Mapping[uuid.UUID, str]) -> Told:
    timer = item.timer
    word, name = item.word, timer.kind.name.lower()
    return Told(
        f"sla:{timer.entity_id}:{timer.number}:{name}:{word}:{int(timer.start_time.timestamp() * 1000)}",
        timer.entity_id,
        0,
        OWN_SOURCE,
        SLA_OBJECT,
        str(timer.entity_id),
        told(item, objects.get(timer.entity_id, "")),
        tending.now,
        f"sla {timer.target}",
        f"{name.replace('_', ' ')} {word.replace('_', ' ')}",
    )
