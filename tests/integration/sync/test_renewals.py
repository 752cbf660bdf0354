"""Entities are renewed under a new policy: each once, resumably, beside live traffic, and nothing stays behind."""

from __future__ import annotations

import datetime as dt

import anyio
import pytest
from tests.integration.sync.renewing import NEW, OLD, Renewal
from tests.integration.sync.whole import until
from tests.integration.sync.world import World
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.domain.renewing import RenewalState
from headwater.sync.versions.worker import RenewalSettings

pytestmark = pytest.mark.anyio

FIVE = (11, 12, 13, 14, 15)


@pytest.fixture
def renewal(world: World) -> Renewal:
    """A worker on the test's own tables."""
    return Renewal(world)


async def test_every_entity_is_renewed_once_and_made_due(renewal: Renewal) -> None:
    """Values, provenance, audit in the name of who changed the policy, and deliveries behind live ones."""
    for number in FIVE:
        await renewal.contact(number)
    await renewal.apply(OLD, 1)
    await renewal.apply(NEW, 2)
    await renewal.step()
    found = await renewal.version(2)
    assert (found.state, found.scanned, found.changed, found.late) == (RenewalState.SETTLING, 5, 5, 0)
    assert (found.fields, found.deliveries) == ({"contact.first_name": 5}, {"salesforce": 5})
    assert await renewal.names() == dict.fromkeys(FIVE, "Robert")
    changes = [(None, "ann", "7"), (None, "ann", "8")]
    assert await renewal.notes() == [*changes, *((number, "ann", "8") for number in FIVE)]
    due = await renewal.world.pool.fetch("select lane from sync.due where connector = 'salesforce'")
    assert [row["lane"] for row in due] == [3] * 5
    assert (await renewal.version(1)).state is RenewalState.SUPERSEDED


async def test_a_second_look_ends_it(renewal: Renewal) -> None:
    """Once nobody can still write by the former policy, and with nothing changed twice."""
    await renewal.contact(11)
    await renewal.apply(NEW, 2)
    await renewal.step()
    await renewal.step(19.0)
    assert (await renewal.version(2)).state is RenewalState.SETTLING
    await renewal.step(2.0)
    found = await renewal.version(2)
    assert (found.state, found.scanned, found.changed, found.late) == (RenewalState.DONE, 1, 1, 0)
    assert len(await renewal.notes()) == 2


async def test_a_late_batch_by_the_former_policy_is_put_right(renewal: Renewal) -> None:
    """A process that had read the former policy writes behind the renewal: the second look finds the entity."""
    for number in FIVE:
        await renewal.contact(number)
    await renewal.apply(NEW, 2)
    await renewal.step()
    await renewal.world.pool.execute(
        'update sync.entity set fields = jsonb_set(fields::jsonb, \'{first_name}\', \'["Rob", "most_recent",'
        ' "crm", "00000000-0000-0000-0000-000000002334", 2000000]\')::json, change_time = $2'
        " where tenant_id = $1 and entity_id = $3",
        TENANT,
        renewal.world.clock.now(),
        key(13),
    )
    await renewal.step(21.0)
    found = await renewal.version(2)
    assert (found.state, found.changed, found.late) == (RenewalState.DONE, 6, 1)
    assert await renewal.names() == dict.fromkeys(FIVE, "Robert")


async def test_the_first_policy_renews_nothing(renewal: Renewal) -> None:
    """What was projected since it was recorded was projected by it; a policy behind it is no first one."""
    await renewal.apply(OLD, 1)
    await renewal.contact(11)
    await renewal.world.pool.execute(
        "update sync.entity set change_time = $1", NOON + dt.timedelta(milliseconds=1)
    )
    await renewal.step()
    found = await renewal.version(1)
    assert (found.state, found.scanned, found.changed) == (RenewalState.DONE, 0, 0)
    await renewal.apply(NEW, 2)
    await renewal.step()
    assert (await renewal.version(2)).scanned == 1


async def test_another_process_goes_on_where_one_stopped(renewal: Renewal) -> None:
    """A page a step by the pace, each step by a new process: every entity once."""
    renewal.settings = RenewalSettings(page_entities=2, entities_per_s=2.0)
    for number in FIVE:
        await renewal.contact(number)
    await renewal.apply(NEW, 2)
    await renewal.step()  # begins
    seen = [(await renewal.version(2)).scanned]
    for _ in range(3):
        await renewal.step(1.0)
        seen.append((await renewal.version(2)).scanned)
    assert seen == [2, 4, 5, 5]
    assert sorted(note[0] for note in (await renewal.notes())[1:] if note[0]) == list(FIVE)


async def test_a_newer_policy_ends_it_midway(renewal: Renewal) -> None:
    """What was not renewed yet is left to the newer one, which ends with all as they were."""
    renewal.settings = RenewalSettings(page_entities=2, entities_per_s=2.0)
    for number in FIVE:
        await renewal.contact(number)
    await renewal.apply(NEW, 2)
    await renewal.step()
    assert set((await renewal.names()).values()) == {"Rob", "Robert"}
    await renewal.apply(OLD, 3)
    for _ in range(6):
        await renewal.step()
    assert (await renewal.version(2)).state is RenewalState.SUPERSEDED
    found = await renewal.version(3)
    assert (found.scanned, found.changed) == (5, 2)
    assert await renewal.names() == dict.fromkeys(FIVE, "Rob")


async def test_nothing_is_renewed_while_the_log_is_projected_again(renewal: Renewal) -> None:
    """A rebuild decides by the newest policy anyway; afterwards the renewal goes on."""
    await renewal.contact(11)
    await renewal.world.pool.execute("insert into sync.rebuild (shard, xid, seq) values (0, 9, 9)")
    await renewal.apply(NEW, 2)
    await renewal.step()
    assert await renewal.names() == {11: "Rob"}
    await renewal.world.pool.execute("delete from sync.rebuild")
    await renewal.step(31.0)
    assert await renewal.names() == {11: "Robert"}


async def test_a_policy_that_changes_no_value_makes_nothing_due(renewal: Renewal) -> None:
    """Entities are looked at; none gets a new version, and no CRM is told."""
    await renewal.contact(11)
    await renewal.apply(OLD, 1)
    await renewal.step()
    found = await renewal.version(1)
    assert (found.scanned, found.changed, found.restated, found.deliveries) == (1, 0, 0, {})
    version = "select version from sync.entity where tenant_id = $1"
    assert await renewal.world.pool.fetchval(version, TENANT) == 1


async def test_an_entity_under_way_in_the_projector_is_waited_for(renewal: Renewal) -> None:
    """What a batch has locked is renewed after it, from what it wrote."""
    await renewal.contact(11)
    await renewal.apply(NEW, 2)
    pool = renewal.world.pool
    async with anyio.create_task_group() as tasks, pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select 1 from sync.entity where tenant_id = $1 and entity_id = $2 for update", TENANT, key(11)
        )
        tasks.start_soon(renewal.step)
        own = await connection.fetchval("select pg_backend_pid()")
        waiting = "select count(*) > 0 from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
        await until(lambda: pool.fetchval(waiting, own), 10)
        await connection.execute(
            "update sync.record set fields = jsonb_set(fields, '{first_name,0}', '\"Bobby\"')"
            " where source = 'site'"
        )
    assert await renewal.names() == {11: "Bobby"}
