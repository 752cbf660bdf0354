"""What identity is told and asked: every statement once, a batch at a time, but in steps in bulk turns beside live work."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import cast

import anyio
import pytest
from tests.unit.sync.accounts import OnePolicy
from tests.unit.sync.tenant import TENANT, event, key, policy
from tests.unit.sync.virtual_time import run_virtually

from headwater.kernel.clock import SteppedClock
from headwater.kernel.telemetry import Spans
from headwater.sync.domain.log import Position, RecordKey
from headwater.sync.domain.reading import Answers, RecordReading, Subject
from headwater.sync.lulls import ALONE_S, Lulls
from headwater.sync.ports import Projections
from headwater.sync.projector.asking import ASKED, Asking
from headwater.sync.projector.batch import BatchProjector, Prepared
from headwater.sync.projector.moments import Moments, RecordedPolicy

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


class Placed:
    """Identity that places only those records that it has heard of; notes what it is told."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.told: list[tuple[str, str, bool]] = []

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:
        """Place who is known, and whom something is said of that is not to be found only."""
        assert tenant_id == TENANT
        for item, _ in subjects:
            name = item.key.external_id
            self.told.append((name, item.attributes.get("email", ""), item.match_only))
            if not item.match_only:
                self.known.add(name)
        known = (item.key for item, _ in subjects if item.key.external_id in self.known)
        return Answers({one: key(int(one.external_id)) for one in known}, revision=1)


class Again:
    """A log that was projected before up to some event; nothing is placed again yet."""

    async def recorded_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Return where it ended."""
        return dict.fromkeys(shards, event(10).position)

    async def recorded_policies(self) -> Sequence[RecordedPolicy]:
        """Return none."""
        return ()

    async def homes_of(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, uuid.UUID]:
        """Return none."""
        del keys
        return {}


def said(number: int, name: str, email: str) -> RecordReading:
    """Return what an event says of a record."""
    told = event(number, external_id=name, email=email)
    return RecordReading(told, {}, Subject(told.record_key, {"email": email}))


@pytest.mark.anyio
async def test_identity_hears_every_statement_in_the_order_of_the_log() -> None:
    """What is said twice in a row is told once; what was said before something else is told, too."""
    identity = Placed()
    readings = [
        said(n, "7", email) for n, email in enumerate(("a@x.io", "a@x.io", "b@x.io", "a@x.io"), start=1)
    ]
    found = await Asking(identity).resolve([*readings, said(5, "8", "a@x.io")])
    assert identity.told == [
        (*one, False) for one in (("7", "a@x.io"), ("7", "b@x.io"), ("7", "a@x.io"), ("8", "a@x.io"))
    ]
    assert set(found.homes.values()) == {key(7), key(8)}


@pytest.mark.anyio
async def test_a_log_that_is_projected_again_tells_identity_nothing_that_it_has_heard() -> None:
    """It is asked where records are; whom it does not know it is told about, and what comes behind the end of then."""
    identity, moments = Placed("7", "8"), Moments(Again())
    readings = [
        said(1, "7", "old@x.io"),
        said(2, "9", "lost@x.io"),
        said(10, "8", "b@x.io"),
        said(11, "8", "new@x.io"),
    ]
    await moments.look([reading.event for reading in readings])
    found = await Asking(identity, moments).resolve(readings)
    asked = [("7", "", True), ("9", "", True), ("8", "", True)]
    assert identity.told == [*asked, ("9", "lost@x.io", False), ("8", "new@x.io", False)]
    assert set(found.homes.values()) == {key(7), key(8), key(9)}
