# ruff: noqa: ARG002 - doubles take what their ports take
"""Orders about backfills: what is refused, and what may follow what."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from tests.unit.sync.tenant import NOON, TENANT, policy
from tests.unit.sync.test_backfilling import reads

from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import InvalidInput, NotFound, PreconditionFailed
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.backfilling import FROM, Backfill, BackfillState
from headwater.sync.usecases.backfills import Backfills, Order


@dataclass
class Desk:
    """Backfills as operators order them."""

    held: dict[uuid.UUID, Backfill] = field(default_factory=dict)

    async def start(self, backfill: Backfill) -> None:
        """Begin once."""
        self.held.setdefault(backfill.backfill_id, backfill)

    async def read(self, tenant_id: str, backfill_id: uuid.UUID) -> Backfill | None:
        """Return one."""
        return self.held.get(backfill_id)

    async def list_backfills(self, tenant_id: str, limit: int) -> list[Backfill]:
        """Return all."""
        return list(self.held.values())

    async def steer(self, order: Any, backfill_id: uuid.UUID, state: BackfillState, share: float) -> bool:
        """Steer where that may be."""
        found = self.held.get(backfill_id)
        if found is None or found.state not in FROM[state]:
            return False
        self.held[backfill_id] = replace(found, state=state)
        return True


@dataclass
class Policies:
    """One policy."""

    document: PolicyDocument

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return it."""
        return {TENANT: self.document}

    async def refresh(self) -> None:
        """Nothing to read."""


def order(**wanted: Any) -> Order:
    """Return an order for everything of HubSpot."""
    return replace(Order(TENANT, uuid.UUID(int=1), "hubspot", None, None, (), 0.2, False, "me"), **wanted)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"connector": "nobody"}, NotFound),
        ({"crm_objects": ("deals",)}, InvalidInput),
        ({"since": NOON + dt.timedelta(1), "until": NOON}, InvalidInput),
        ({"since": NOON, "absences": True}, InvalidInput),
    ],
)
async def test_what_cannot_be_read_is_refused(wanted: dict[str, Any], error: type[Exception]) -> None:
    """An unknown account, an object that is not read, a stretch that ends before it begins; nothing is begun."""
    desk = Desk()
    with pytest.raises(error):
        await Backfills(desk, cast("Any", Policies(reads())), SteppedClock(NOON)).start(order(**wanted))
    assert desk.held == {}


@pytest.mark.anyio
async def test_an_account_that_is_only_written_cannot_be_backfilled() -> None:
    """The error says what to change in the policy."""
    with pytest.raises(PreconditionFailed, match="two_way or in"):
        await Backfills(Desk(), cast("Any", Policies(policy())), SteppedClock(NOON)).start(order())


@pytest.mark.anyio
async def test_orders_are_idempotent_and_a_cancelled_one_stays_so() -> None:
    """Twice paused is paused; what was cancelled cannot be resumed."""
    desk = Desk()
    backfills = Backfills(desk, cast("Any", Policies(reads())), SteppedClock(NOON))
    begun = await backfills.start(order())
    assert begun.backfill.until == NOON
    named = (TENANT, begun.backfill.backfill_id, "me")
    for _ in range(2):
        assert (await backfills.steer(*named, state=BackfillState.PAUSED)).backfill.state.name == "PAUSED"
    await backfills.steer(*named, state=BackfillState.CANCELLED)
    with pytest.raises(PreconditionFailed, match="cancelled"):
        await backfills.steer(*named, state=BackfillState.RUNNING)
