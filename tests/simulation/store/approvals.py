"""Approvals, as the statements of `approval.sql` do them, and the person who decides about each after a while."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.chance import stream
from tests.simulation.store.link import Link

from headwater.sync.domain.approving import ApprovalState, Ask, Verdict
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import State

if TYPE_CHECKING:
    from tests.simulation.world import World

DECIDE_S_MAX: Final = 6.0
"""Longest time that the person takes."""
REJECTED: Final = 0.1
"""Share of what is rejected."""
ApprovalKey = tuple[str, str, uuid.UUID]


@dataclass(slots=True)
class ApprovalRow:
    """`sync.approval`: what was asked last about an entity in an account."""

    ask: Ask
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Granted:
    """What was approved, and when; for the checker."""

    time_s: float
    changes: Mapping[str, Any]


class MemoryApprovals:
    """The port `ApprovalBook` over the tables of a simulation, seen from one process."""

    def __init__(self, world: World, link: Link) -> None:
        self._world = world
        self._link = link

    async def waiting(self, tenant_id: str, connector: str) -> Mapping[str, int]:
        """Return how many writes wait; no simulated approval counts them."""
        del tenant_id, connector
        return {}

    async def ask(self, asks: Sequence[Ask]) -> Mapping[uuid.UUID, Verdict]:
        """Ask what was not asked before, in place of what was; return how all stand."""
        return await self._link.call("ask", lambda: {ask.approval_id: self._ask(ask) for ask in asks})

    def _ask(self, ask: Ask) -> Verdict:
        world, key = self._world, (ask.tenant_id, ask.connector, ask.entity_id)
        held = world.tables.approvals.get(key)
        if held is None or held.ask.approval_id != ask.approval_id:
            held = world.tables.approvals[key] = ApprovalRow(ask, Verdict(ApprovalState.ASKED))
            dice = stream(world.plan.seed, f"approval/{ask.approval_id}")
            pause_s, rejects = dice.uniform(0.0, DECIDE_S_MAX), dice.random() < REJECTED
            world.loop.call_later(pause_s, _decide, world, held, rejects, context=contextvars.Context())
        return held.verdict


def _decide(world: World, row: ApprovalRow, rejects: bool) -> None:  # noqa: FBT001 - of a timer
    """Decide about an ask, unless another one has taken its place, and let its delivery go on."""
    ask, tables = row.ask, world.tables
    key = (ask.tenant_id, ask.connector, ask.entity_id)
    if tables.approvals[key] is not row:
        return
    row.verdict = Verdict(ApprovalState.REJECTED if rejects else ApprovalState.APPROVED, "user:ann", "so")
    if not rejects:
        changes = {change["field"]: change["after"] for change in ask.changes}
        tables.granted.setdefault(key, []).append(Granted(world.loop.time(), changes))
    delivery = tables.account(key[:2])[ask.entity_id]
    if delivery.state is State.HELD:
        delivery.state, delivery.lane, delivery.due_time = State.PENDING, Lane.LIVE, tables.now()
    elif delivery.is_due:
        delivery.reference_came = True
    tables.notify("headwater_delivery")
