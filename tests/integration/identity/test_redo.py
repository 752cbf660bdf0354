"""Records gone over by later rules: as if they had been told under them, whatever comes between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import anyio
import anyio.lowlevel
import pytest
from tests.integration.identity.redoing import (
    ACME,
    FAST,
    FIRST,
    FRESH,
    LATER,
    LINKED,
    NAMELESS,
    PARTING,
    STRICTER,
    Desk,
    described,
    desk_on,
    people,
)

from headwater.identity.domain.identifying import Normaliser
from headwater.identity.domain.redoing import BEFORE_ALL
from headwater.identity.domain.scoring.stored import load
from headwater.identity.store import PostgresRedoStore
from headwater.identity.store.redoing import PostgresRedoTransaction
from headwater.identity.store.resolving import SAID_MAX
from headwater.identity.usecases.redoing import TakenOver
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(migrated_database_url: str) -> AsyncIterator[Desk]:
    """The use cases on a database of the test's own."""
    async with desk_on(migrated_database_url) as found:
        yield found


@dataclass(frozen=True, slots=True)
class _Failing(PostgresRedoStore):
    """A store whose database goes away in the middle."""

    left: ClassVar[list[int]] = [0]

    @asynccontextmanager
    async def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AsyncIterator[PostgresRedoTransaction]:
        """Open transactions while some are left; the last one fails at its end."""
        async with PostgresRedoStore.alone(self, tenant_id, timeout_s) as transaction:
            yield transaction
            self.left[0] -= 1
            if self.left[0] < 0:
                raise Unavailable("the database went away", reason="DATABASE_UNAVAILABLE")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_gone_over_is_as_if_told_under_the_new_rules(desk: Desk, seed: int) -> None:
    """Records, keys, edges, groups, what is common and who holds what: all as of a tenant that never knew others."""
    records = people(45, seed)
    await desk.tell(ACME, records)
    before = await desk.state(ACME)
    await desk.redoer(LATER).redo_due()
    await desk.tell(FRESH, records, LATER)
    after, fresh = await desk.state(ACME), await desk.state(FRESH)
    assert before["groups"] != fresh["groups"]
    assert after == fresh


async def test_records_of_the_first_rules_are_found_by_the_names_that_they_have_since_the_second(
    desk: Desk,
) -> None:
    """Na Wang had no given name; gone over by the rules that ship, she has the keys, edges and group that she ought to."""
    await desk.tell(ACME, NAMELESS, FIRST)
    before = await desk.state(ACME)
    await desk.redoer().redo_due()
    await desk.tell(FRESH, NAMELESS)
    after, fresh = await desk.state(ACME), await desk.state(FRESH)
    assert before["keys"] < fresh["keys"]
    assert before["groups"] != fresh["groups"]
    assert after == fresh
    assert {row[-2] for row in _records(after)} == {2}


async def test_what_the_new_rules_no_longer_support_goes(desk: Desk) -> None:
    """Of records that are linked only, edges, keys and groups part as if they had never been linked."""
    await desk.tell(ACME, LINKED)
    await desk.redoer().redo_due()
    before = await desk.state(ACME)
    await desk.redoer(PARTING).redo_due()
    await desk.tell(FRESH, LINKED, PARTING)
    after, fresh = await desk.state(ACME), await desk.state(FRESH)
    assert len(before["edges"]) > len(fresh["edges"]) > 0
    assert after == fresh


async def test_what_was_common_only_by_the_old_rules_is_not_any_more(desk: Desk) -> None:
    """A number of three surnames is a switchboard; where two of them are one, it is a family's."""
    records = [
        (str(number), {"first_name": "Kaya", "last_name": family, "phone": "+12125550147"})
        for number, family in enumerate(("Santanov", "Ito", "Brunnel"))
    ]
    await desk.tell(ACME, records)
    assert (await desk.state(ACME))["uses"]
    await desk.redoer(LATER).redo_due()
    await desk.tell(FRESH, records, LATER)
    after = await desk.state(ACME)
    assert not after["uses"]
    assert after == await desk.state(FRESH)


async def test_a_second_look_finds_nothing_to_do(desk: Desk) -> None:
    """The work is known to be done; every record was gone over twice, once in each phase."""
    await desk.tell(ACME, people(20, 4))
    job = desk.redoer(LATER)
    assert await job.store.list_due(LATER.version, 10) == [ACME]
    await job.redo_due()
    assert await job.store.list_due(LATER.version, 10) == []
    redo, behind = await job.status(ACME)
    assert redo is not None
    assert (redo.phase, redo.records, redo.seen, behind) == ("done", 20, 40, False)
    assert redo.changed > 0


@pytest.mark.parametrize("batches", [0, 1, 3, 4, 8])
async def test_stopped_half_way_another_process_goes_on(desk: Desk, batches: int) -> None:
    """Wherever it was stopped: nothing is done twice or left out, and the end is the same."""
    records = people(30, 5)
    await desk.tell(ACME, records)
    _Failing.left[0] = batches
    with pytest.raises(Unavailable):
        await desk.redoer(LATER, store=_Failing).redo_due()
    stopped = await desk.redoer(LATER).store.find(ACME)
    assert stopped is not None
    assert (stopped.phase == "resolve") == (batches > 4)
    other = desk.redoer(LATER, holder="two")
    await other.redo_due()
    held = await other.store.find(ACME)
    assert held is not None
    assert (held.holder, held.seen) == ("one", stopped.seen)
    desk.clock.advance(FAST.lease_s + 1)
    await other.redo_due()
    redo = await other.store.find(ACME)
    assert redo is not None
    assert (redo.phase, redo.holder, redo.seen) == ("done", "two", 60)
    await desk.tell(FRESH, records, LATER)
    assert await desk.state(ACME) == await desk.state(FRESH)


async def test_a_process_that_ends_gives_the_lease_back(desk: Desk) -> None:
    """Another one goes on at once, from where it was."""
    await desk.tell(ACME, people(20, 5))
    slow = desk.redoer(LATER, settings=replace(FAST, batch_records=5, records_per_s=0.01))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.redo_due)
        with anyio.fail_after(10):
            while (redo := await slow.store.find(ACME)) is None or redo.seen == 0:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    other = desk.redoer(LATER, holder="two")
    await other.redo_due()
    done = await other.store.find(ACME)
    assert done is not None
    assert (done.phase, done.holder, done.seen) == ("done", "two", 40)


async def test_who_lost_the_lease_writes_nothing_more(desk: Desk) -> None:
    """A batch of a process that another one has taken over from is rolled back whole."""
    await desk.tell(ACME, people(20, 6))
    slow, quick = desk.redoer(LATER), desk.redoer(LATER, holder="two")
    now = desk.clock.now()
    taken = await slow.store.take(ACME, LATER.version, "one", now, now)
    assert taken is not None
    desk.clock.advance(1)
    until = desk.clock.now().replace(year=2100)
    assert await quick.store.take(ACME, LATER.version, "two", desk.clock.now(), until) is not None
    before = await desk.state(ACME)
    with pytest.raises(TakenOver):
        await slow.go_on(taken)
    assert await desk.state(ACME) == before


async def test_live_calls_go_on_meanwhile(desk: Desk) -> None:
    """Records that come, and records that say more, before, between and after the batches: the same end."""
    records = people(40, 7)
    early, late = records[:24], records[24:]
    more = [(name, {**told, "city": "London"}) for name, told in early[::3]]
    await desk.tell(ACME, early)
    job = desk.redoer(LATER, settings=replace(FAST, batch_records=3, records_per_s=400.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job.redo_due)
        for name, told in [*more, *late]:
            await job.resolver.resolve(ACME, [described(name, told)], None)
    await desk.tell(FRESH, [*early, *more, *late], LATER)
    assert await job.store.list_due(LATER.version, 10) == []
    after, fresh = await desk.state(ACME), await desk.state(FRESH)
    for what in ("records", "groups", "edges", "keys", "said"):
        assert after[what] == fresh[what], what


async def test_an_older_process_does_not_hold_records_back(desk: Desk) -> None:
    """What it writes beside a newer one is found behind, and gone over again."""
    records = people(20, 8)
    await desk.tell(ACME, records[:10])
    job = desk.redoer(LATER)
    await job.redo_due()
    await desk.tell(ACME, records[10:])
    assert await job.store.list_due(LATER.version, 10) == [ACME]
    await job.redo_due()
    assert {row[-2] for row in _records(await desk.state(ACME))} == {LATER.version}
    await desk.redoer().redo_due()
    assert {row[-2] for row in _records(await desk.state(ACME))} == {LATER.version}


async def test_what_the_new_rules_would_part_is_put_before_a_person(desk: Desk) -> None:
    """An entity stays one until somebody splits it; the question is on the list."""
    told = {"first_name": "Kaya", "last_name": "Santanov"}
    await desk.tell(
        ACME,
        [
            ("1", {"email": "info@acorn.test", "first_name": "Kaya", "last_name": "Santanov"}),
            ("2", {"email": "kaya+a@gmail.com", **told}),
            ("3", {"email": "kaya+b@gmail.com", "first_name": "K.", "last_name": "S."}),
        ],
    )
    query = "SELECT DISTINCT entity_id FROM identity.member WHERE external_id = ANY(ARRAY['2', '3'])"
    assert len(await desk.rows(query)) == 1
    await desk.redoer(STRICTER).redo_due()
    assert len(await desk.rows(query)) == 1
    assert await desk.rows("SELECT FROM identity.merge_candidate WHERE question = 'split'")


async def test_a_preview_counts_and_writes_nothing(desk: Desk) -> None:
    """Page by page it says how many records would say something else, as the going over then finds."""
    await desk.tell(ACME, people(30, 9))
    before = await desk.state(ACME)
    found = await _preview(desk, LATER)
    assert await desk.state(ACME) == before
    await desk.redoer(LATER).redo_due()
    redo = await desk.redoer(LATER).store.find(ACME)
    assert redo is not None
    assert found == (30, 30, redo.changed)
    assert await _preview(desk, LATER) == (30, 0, 0)


async def _preview(desk: Desk, rules: Normaliser) -> tuple[int, int, int]:
    job = desk.redoer(rules)
    records = behind = changed = 0
    page = await job.preview(ACME, BEFORE_ALL, 7)
    while True:
        records, behind, changed = records + page.records, behind + page.behind, changed + page.changed
        if page.after is None:
            return records, behind, changed
        page = await job.preview(ACME, page.after, 7)


def _records(state: object) -> list[tuple[object, ...]]:
    assert isinstance(state, dict)
    return list(state["records"].values())


async def test_what_a_record_said_is_kept_within_a_bound(desk: Desk) -> None:
    """Told back and forth, the first and the last telling stay; beyond it the oldest become one, their newest on top."""
    one, other = {"email": "a@firm.io", "city": "Lima"}, {"email": "b@firm.io", "city": "Rome"}
    for number in range(24):
        await desk.tell(ACME, [("1", (one, other)[number % 2])])
    (row,) = await desk.rows("SELECT statements FROM identity.evidence")
    assert len(row["statements"]) <= SAID_MAX
    for number in range(24):
        await desk.tell(ACME, [("1", {"email": f"p{number}@firm.io", "city": f"Town {number}"})])
    (row,) = await desk.rows("SELECT statements FROM identity.evidence")
    assert len(row["statements"]) == SAID_MAX
    assert '"Town 23"' in row["statements"][-1]
    (before,) = await desk.rows("SELECT parts FROM identity.member")
    await desk.redoer(LATER).redo_due()
    (after,) = await desk.rows("SELECT parts FROM identity.member")
    assert load(after["parts"]).mailboxes == load(before["parts"]).mailboxes
    assert load(after["parts"]).city == "town 23"
