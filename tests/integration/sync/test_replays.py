"""Replays at a rate: how fast, how often, over restarts, and how operators hold and end them."""

from __future__ import annotations

import uuid
from typing import Any

import anyio
import grpc
import pytest
from tests.integration.sync.failing import bury, delivered, failed, settle, states
from tests.integration.sync.world import ACTOR, OTHER, World, refusal
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.settling import State
from headwater.sync.replaying.worker import ReplayWorker
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio

REPLAY = str(key(77))
ENDING = key(76)


def worker(world: World) -> ReplayWorker:
    """Return what a process that has just started works off replays with."""
    return ReplayWorker(PostgresReplays(world.pool), world.time)


async def start(world: World, **changed: Any) -> pb.Replay:
    """Begin a replay of the Salesforce account, one delivery a second."""
    fields = {
        "tenant_id": TENANT, "replay_id": REPLAY, "connector": "salesforce", "rate_per_s": 1.0, "actor": ACTOR,
    }  # fmt: skip
    return (await world.stub.StartReplay(pb.StartReplayRequest(**{**fields, **changed}))).replay


async def discard(world: World, replay_id: uuid.UUID = ENDING, **changed: Any) -> pb.Replay:
    """End dead deliveries of the Salesforce account, and see it through."""
    fields = {"replay_id": str(replay_id), "rate_per_s": 1000.0, "discard_reason": "obsolete"}
    begun = await start(world, **{**fields, **changed})
    world.clock.advance(1)
    await worker(world).step()
    return begun


async def read(world: World, replay_id: str = REPLAY) -> pb.Replay:
    """Return a replay as it stands."""
    return (await world.stub.GetReplay(pb.GetReplayRequest(tenant_id=TENANT, replay_id=replay_id))).replay


async def due(world: World) -> list[int]:
    """Return the numbers of the entities whose delivery waits for its actor."""
    return [number for number, state in (await states(world)).items() if state == State.PENDING]


async def group_of(world: World, number: int) -> str:
    """Return the group in which an entity's delivery stands."""
    value: uuid.UUID = await world.pool.fetchval(
        "select group_id from sync.error_member where entity_id = $1", key(number)
    )
    return str(value)


async def test_a_replay_keeps_its_rate_over_a_restart_in_the_middle(world: World) -> None:
    """Each second makes one due, whichever process looks; at the end it says so, once, in the audit."""
    await bury(world, 1, 2, 3)
    assert (await start(world)).total_count == 3
    await worker(world).step()
    await worker(world).step()
    assert await due(world) == [1]
    world.clock.advance(1)
    await worker(world).step()
    assert await due(world) == [1, 2]
    world.clock.advance(60)
    await worker(world).step()
    assert await due(world) == [1, 2, 3]
    replay = await read(world)
    assert (replay.state, replay.replayed_count, replay.total_count) == (pb.REPLAY_STATE_DONE, 3, 3)
    actions = await world.audit_actions()
    assert (actions.count("deliveries_replayed"), actions.count("replay_done")) == (3, 1)
    assert actions.count("replay_started") == 1


async def test_two_processes_do_not_double_the_rate(world: World) -> None:
    """Portions of one replay are taken under its row's lock."""
    await bury(world, *range(1, 9))
    await start(world, rate_per_s=2.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(worker(world).step)
    assert await due(world) == [1]
    world.clock.advance(1)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(worker(world).step)
    assert await due(world) == [1, 2, 3]


async def test_a_replay_that_another_process_works_off_is_passed_over(world: World) -> None:
    """Nobody waits for the other's portion, and none is taken twice."""
    await bury(world, 1)
    await start(world)
    replays = PostgresReplays(world.pool)
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("select from sync.replay for update")
        with anyio.fail_after(5):
            assert not await replays.work_off(world.clock.now())
    assert await replays.work_off(world.clock.now())
    assert await due(world) == [1]


async def test_what_dies_again_is_not_replayed_twice(world: World) -> None:
    """One replay tries each delivery once: a cause that still stands ends the replay, not the other way."""
    await bury(world, 1, 2)
    await start(world)
    await worker(world).step()
    await settle(world, failed(1, try_count=2))
    await bury(world, 3)
    for _ in range(5):
        world.clock.advance(10)
        await worker(world).step()
    assert await due(world) == [2]
    assert (await read(world)).replayed_count == 2


async def test_attempt_numbers_go_on_and_the_budget_begins_anew(world: World) -> None:
    """Tries before stay counted; that the failures do not count any more stands in the audit."""
    await bury(world, 1, failure_count=9, try_count=9)
    await start(world)
    await worker(world).step()
    row = await world.pool.fetchrow("select try_count, failure_count from sync.delivery")
    assert row is not None
    assert tuple(row) == (9, 0)
    changes = await world.pool.fetchval("select changes from sync.audit where action = 'deliveries_replayed'")
    assert changes[1] == {
        "field": "failure_count", "before": 9, "after": 0, "rule": f"replay {REPLAY}",
    }  # fmt: skip


async def test_a_write_with_a_lost_answer_is_looked_up_when_replayed(world: World) -> None:
    """Also after it was discarded in between: nobody knows any better since."""
    await bury(world, 1, 2, outcome="in_doubt", error_class="network")
    await discard(world, entity_ids=[str(key(2))])
    await start(world, entity_ids=[str(key(1)), str(key(2))], rate_per_s=100.0)
    world.clock.advance(1)
    await worker(world).step()
    assert await states(world) == {1: State.IN_DOUBT, 2: State.IN_DOUBT}


async def test_a_replay_of_a_group_leaves_the_others_dead(world: World) -> None:
    """Only the cause that was fixed."""
    await bury(world, 1, 3)
    await bury(world, 2, error_code="OTHER")
    replay = await start(world, connector="", group_id=await group_of(world, 1), rate_per_s=100.0)
    assert (replay.total_count, replay.connector) == (2, "salesforce")
    world.clock.advance(1)
    await worker(world).step()
    assert await due(world) == [1, 3]


async def test_a_replay_of_everything_stays_within_the_tenant(world: World) -> None:
    """Every account of the tenant, no other tenant's."""
    await bury(world, 1)
    await world.add_delivery(2, State.DEAD, connector="hubspot")
    await world.add_delivery(3, State.DEAD, tenant_id=OTHER)
    await world.add_delivery(4, State.DISCARDED)
    assert (await start(world, connector="", rate_per_s=100.0)).total_count == 2
    world.clock.advance(1)
    await worker(world).step()
    assert await states(world) == {1: 1, 2: 1, 3: State.DEAD, 4: State.DISCARDED}


async def test_starting_twice_starts_once(world: World) -> None:
    """The caller's number makes it so; a dry run starts nothing."""
    await bury(world, 1)
    dry = await start(world, dry_run=True, replay_id="")
    assert (dry.total_count, dry.replay_id) == (1, "")
    assert await world.pool.fetchval("select count(*) from sync.replay") == 0
    await start(world)
    again = await start(world, rate_per_s=5.0)
    assert again.rate_per_s == 1.0
    assert (await world.audit_actions()).count("replay_started") == 1


async def test_a_paused_replay_stands_still_and_does_not_catch_up(world: World) -> None:
    """After an hour's pause it goes on at its rate."""
    await bury(world, *range(1, 6))
    await start(world)
    await worker(world).step()
    order: dict[str, Any] = {"tenant_id": TENANT, "replay_id": REPLAY, "actor": ACTOR}
    await world.stub.PauseReplay(pb.PauseReplayRequest(**order))
    world.clock.advance(3600)
    await worker(world).step()
    assert await due(world) == [1]
    await world.stub.ResumeReplay(pb.ResumeReplayRequest(**order))
    await worker(world).step()
    assert await due(world) == [1, 2]
    assert (await world.audit_actions())[-3:] == ["replay_paused", "replay_resumed", "deliveries_replayed"]


async def test_a_cancelled_replay_ends_for_good(world: World) -> None:
    """What it made due stays due; to cancel again is no error, to resume is."""
    await bury(world, 1, 2)
    await start(world)
    await worker(world).step()
    order: dict[str, Any] = {"tenant_id": TENANT, "replay_id": REPLAY, "actor": ACTOR}
    for _ in range(2):
        ended = await world.stub.CancelReplay(pb.CancelReplayRequest(**order))
        assert ended.replay.state == pb.REPLAY_STATE_CANCELLED
    world.clock.advance(60)
    await worker(world).step()
    assert await due(world) == [1]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.ResumeReplay(pb.ResumeReplayRequest(**order))
    assert refusal(caught.value)[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "REPLAY_ENDED")


async def test_replays_are_listed_newest_first(world: World) -> None:
    """Pages join; the counts are those of now."""
    for number in (81, 82, 83):
        await start(world, replay_id=str(key(number)))
    request = pb.ListReplaysRequest(tenant_id=TENANT, page_size=2)
    first = await world.stub.ListReplays(request)
    request.page_token = first.next_page_token
    second = await world.stub.ListReplays(request)
    shown = [item.replay_id for item in (*first.replays, *second.replays)]
    assert shown == [str(key(number)) for number in (83, 82, 81)]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rate_per_s": 0.0}, "rate_per_s"),
        ({"discard_reason": "x" * 256}, "discard_reason"),
        ({"discard_reason": " "}, "discard_reason"),
        ({"rate_per_s": float("nan")}, "rate_per_s"),
        ({"replay_id": ""}, "replay_id"),
        ({"entity_ids": [str(key(1))], "group_id": str(key(2))}, "entity_ids"),
        ({"entity_ids": [str(key(1))], "connector": ""}, "connector"),
    ],
)
async def test_a_senseless_replay_is_refused(world: World, changed: dict[str, Any], field: str) -> None:
    """Before anything is written, with the field named."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await start(world, **changed)
    assert refusal(caught.value)[2] == [field]


async def test_what_is_replayed_wakes_the_actors(world: World) -> None:
    """The worker's portion notifies the delivery actors as it commits."""
    rung = anyio.Event()
    await bury(world, 1)
    await start(world)
    async with world.pool.acquire() as connection:
        await connection.add_listener("headwater_delivery", lambda *_: rung.set())
        await worker(world).step()
        with anyio.fail_after(5):
            await rung.wait()
        await connection.reset()


async def test_discarding_ends_the_dead_that_are_named_with_a_reason(world: World) -> None:
    """A dry run counts them; each is noted in the audit with the reason; what retries or is discarded stays."""
    await bury(world, 1, 2, 3)
    await settle(world, failed(2, state=State.RETRYING))
    named: dict[str, Any] = {"entity_ids": [str(key(1)), str(key(2))]}
    dry = await start(world, **named, discard_reason="obsolete", dry_run=True, replay_id="")
    assert (dry.total_count, dry.discard_reason) == (1, "obsolete")
    await discard(world, **named)
    assert await states(world) == {1: State.DISCARDED, 2: State.RETRYING, 3: State.DEAD}
    page = await world.stub.ListAudit(pb.ListAuditRequest(tenant_id=TENANT, entity_id=str(key(1))))
    (entry,) = page.entries
    assert (entry.action, entry.actor) == ("deliveries_discarded", ACTOR.id)
    assert (entry.changes[1].field, entry.changes[1].after_json) == ("discard_reason", '"obsolete"')
    again = await discard(world, key(78), **named)
    assert again.total_count == 0


@pytest.mark.parametrize(("outcome", "told"), [("in_doubt", [("", "in_doubt")]), ("failed", [])])
async def test_a_discard_tells_when_nobody_knows_what_became_of_the_last_write(
    world: World, outcome: str, told: list[tuple[str, str]]
) -> None:
    """Nobody will look it up any more: the audit says that the CRM may have it."""
    await bury(world, 1, outcome=outcome, error_class="network")
    await discard(world)
    changes = await world.pool.fetchval(
        "select changes from sync.audit where action = 'deliveries_discarded'"
    )
    assert [(change["field"], change["after"]) for change in changes[2:]] == told


async def test_a_discarded_delivery_is_replayed_when_named(world: World) -> None:
    """Its reason is gone then, and the audit says from where it came."""
    await bury(world, 1)
    await discard(world)
    await start(world, entity_ids=[str(key(1)), str(key(9))])
    await worker(world).step()
    row = await world.pool.fetchrow("select state, discard_reason from sync.delivery")
    assert row is not None
    assert tuple(row) == (State.PENDING, "")
    changes = await world.pool.fetchval("select changes from sync.audit where action = 'deliveries_replayed'")
    assert (changes[0]["before"], changes[0]["after"]) == ("discarded", "pending")


async def test_discarding_a_group_closes_it_and_leaves_what_retries(world: World) -> None:
    """The cause stays open for as long as one of its deliveries is tried."""
    await bury(world, 1, 2)
    await settle(world, failed(2, state=State.RETRYING))
    group_id = await group_of(world, 1)
    assert (await discard(world, connector="", group_id=group_id)).total_count == 1
    assert await states(world) == {1: State.DISCARDED, 2: State.RETRYING}
    shown = await world.stub.GetErrorGroup(pb.GetErrorGroupRequest(tenant_id=TENANT, group_id=group_id))
    assert (shown.group.delivery_count, shown.group.state) == (1, pb.ERROR_GROUP_STATE_OPEN)


async def test_what_a_removed_account_left_can_be_discarded(world: World) -> None:
    """An account that the policy no longer names cannot be replayed, but can be tidied up."""
    await world.add_delivery(1, State.DEAD, "removed")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await start(world, connector="removed")
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONNECTOR")
    assert (await discard(world, connector="removed")).total_count == 1
    assert await states(world) == {1: State.DISCARDED}


async def test_a_delivery_that_recovered_is_passed_over(world: World) -> None:
    """A replay makes nothing due that is not dead any more when its turn comes."""
    await bury(world, 1, 2)
    await start(world)
    await settle(world, delivered(1))
    world.clock.advance(10)
    await worker(world).step()
    assert await states(world) == {1: State.DELIVERED, 2: State.PENDING}
