"""What is asked of identity at a time: all of a batch, but for bulk turns beside live work."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import cast

import anyio
import pytest
from tests.unit.sync.accounts import OnePolicy
from tests.unit.sync.tenant import TENANT, event, key, policy
from tests.unit.sync.virtual_time import run_virtually

from headwater.kernel.clock import SteppedClock
from headwater.kernel.telemetry import Spans
from headwater.sync.domain.reading import Answers, Subject
from headwater.sync.lulls import ALONE_S, Lulls
from headwater.sync.ports import Projections
from headwater.sync.projector.batch import ASKED, BatchProjector, Prepared

EVENTS = 2 * ASKED + 3


class Asked:
    """Identity that notes how many records each call brings, and knows one more change at each."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Place each record in an entity of its number."""
        assert tenant_id == TENANT
        self.counts.append(len(subjects))
        return Answers(
            {item.key: key(int(item.key.external_id)) for item, _ in subjects}, revision=len(self.counts)
        )


@pytest.mark.parametrize(
    ("live", "counts"), [(True, [ASKED, ASKED, 3]), (False, [EVENTS])], ids=["beside live work", "alone"]
)
def test_a_bulk_turn_asks_in_small_steps_beside_live_work(
    live: bool,  # noqa: FBT001 - a parameter
    counts: list[int],
) -> None:
    """Identity takes a tenant's calls one after the other: a live one waits for a step, not for a batch."""
    asked, lulls = Asked(), Lulls()
    found: list[Prepared] = []
    projector = BatchProjector(
        cast("Projections", None), asked, OnePolicy((TENANT, policy())), Spans.off(), SteppedClock()
    )
    events = [event(n, external_id=str(n), email=f"p{n}@one.example.com") for n in range(1, EVENTS + 1)]

    async def main() -> None:
        if live:
            with lulls.live():
                await anyio.sleep(0.01)
        else:
            await anyio.sleep(ALONE_S)
        async with lulls.turn():
            found.append(await projector.prepare(events))

    run_virtually(main)
    (prepared,) = found
    assert asked.counts == counts
    assert prepared.told is not None
    assert {place.int for place in prepared.told.homes.values()} == set(range(1, EVENTS + 1))
    last = [prepared.told.revisions[item.record_key] for item in events]
    assert last == [number + 1 for number, count in enumerate(counts) for _ in range(count)]
