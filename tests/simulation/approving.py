"""Approval before a write, under faults: an engine whose every write a person has to approve, and its invariant."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.engine import PRODUCT
from tests.simulation.store.approvals import MemoryApprovals
from tests.simulation.swapping import Swap
from tests.simulation.weakening import with_policy

from headwater.sync.approvals import door
from headwater.sync.domain.approving import Judged
from headwater.sync.domain.delivering import Send

if TYPE_CHECKING:
    from tests.simulation.world import World

APPROVING: Final = replace(PRODUCT, document=with_policy(approval={"all": {}}), approvals=MemoryApprovals)
"""The engine as it is in product, with a policy by which every write waits for a person."""


def all_pass(sends: Sequence[Send], asks: Any, verdicts: Any) -> Judged:
    """Return that everything may go out, whatever was decided."""
    del asks, verdicts
    return Judged(tuple(sends))


UNHEEDED: Final = replace(APPROVING, swaps=(Swap(door, "judged", all_pass),))
"""The same without the safeguard: what was asked is not waited for."""


def approval_violations(world: World) -> Iterator[str]:
    """Yield what a CRM was told that nobody had approved by then."""
    tables = world.tables
    if not tables.approvals:
        return
    for account in world.plan.accounts:
        for effect in world.crms[account.crm].effects:
            granted = tables.granted.get((*account.place, uuid.UUID(effect.external_id)), [])
            told = {name: after for name, (_, after) in effect.changes.items() if name in _FIELDS}
            if told and not any(
                item.time_s <= effect.time and told.items() <= item.changes.items() for item in granted
            ):
                yield f"{account.crm}: {effect.external_id} got {told} at {effect.time:.3f}, which nobody approved"


_FIELDS: Final = frozenset({"Title", "Email", "Note", "State", "Winner"})
"""What the simulated mappings write."""
