"""Routing on Postgres, step by step: bounded, one process at a time, and nothing is lost between two processes."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import grpc
import pytest
from tests.integration.sync.routing_world import RoutingWorld, routing_world
from tests.integration.sync.world import refusal
from tests.unit.policy.routed import ROUTED
from tests.unit.sync.leads import TENANT, WORK, lead_id

from headwater.policy.loading import load_policy
from headwater.sync.domain.leads import LeadState
from headwater.sync.routing.worker import RoutingSettings
from headwater.sync.v1 import routing_pb2 as pb

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(migrated_database_url: str) -> AsyncIterator[RoutingWorld]:
    """Tables without leads, under the policy."""
    async with routing_world(migrated_database_url) as world:
        yield world


async def test_two_processes_give_each_lead_once_and_in_turn(desk: RoutingWorld) -> None:
    """Whoever comes first holds the tenant; 40 leads in pages of seven are told once each, and turns are even."""
    desk.settings = RoutingSettings(page_leads=7)
    for number in range(1, 41):
        await desk.lead(number, country="FR")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(desk.step)
    await desk.step()
    assert Counter(await desk.people()) == {"cid": 20, "dag": 20}
    told = [item for item in desk.log.told.values() if item.source == "routing"]
    assert len(told) == 40
    assert {item.number for item in told} == {1}
    assert await desk.pool.fetchval("select count(*) from sync.routing_mark") == 0
    assert await desk.pool.fetchval("select count(*) from sync.assignment where event_key is null") == 0


async def test_a_restart_loses_no_timer(desk: RoutingWorld) -> None:
    """Every step is another process's: due after a quarter of an hour, breached by the first that looks, once."""
    await desk.lead(1, country="FR", channel="demo form")
    wait_s = await desk.step()
    assert 0 < wait_s <= 2
    assert await desk.timers() == [(1, 2), (2, 1)]
    await desk.step(899)
    assert await desk.timers() == [(1, 2), (2, 1)]
    await desk.step(5000)
    await desk.step(5000)
    assert [item.payload["outcome"] for item in desk.log.told.values() if item.object == "sla"][:2] == [
        "met",
        "breached",
    ]
    actions = await desk.pool.fetch("select action, changes from sync.audit order by audit_id")
    breach = next(row for row in actions if row["action"] == "sla_breached")
    assert breach["changes"][1]["after"] == "dag"


async def test_what_the_log_could_not_be_told_is_told_later(desk: RoutingWorld) -> None:
    """While ingest is away leads are given; what was decided is told once it is back, under the same name."""
    desk.log.away = True
    entity_id = await desk.lead(1, country="DE")
    await desk.step()
    assert await desk.people() == ["ann"]
    assert desk.log.told == {}
    desk.log.away = False
    await desk.step(1)
    names = [name for name in desk.log.told if name.startswith("routing:")]
    assert names == [f"routing:{entity_id}:1:{int(WORK.timestamp() * 1000)}"]
    assert desk.log.told[names[0]].payload["owner"] == "ann"
    calls = desk.log.calls
    await desk.step(1)
    assert desk.log.calls == calls


async def test_what_the_log_refuses_is_audited_and_holds_nothing_up(desk: RoutingWorld) -> None:
    """A refusal is told to people; the events behind it go on."""
    first = await desk.lead(1, country="DE")
    await desk.lead(2, country="DE")
    desk.log.refuses = f"routing:{first}"
    await desk.step()
    rows = await desk.pool.fetch("select entity_id, event_key is null as untold from sync.assignment")
    assert {row["entity_id"]: row["untold"] for row in rows} == {first: True, lead_id(2): False}
    assert await desk.pool.fetchval("select count(*) from sync.audit where action = 'routing_refused'") == 1
    assert await desk.pool.fetchval("select count(*) from sync.routing_event") == 0


async def test_a_changed_policy_has_every_lead_looked_at_page_by_page(desk: RoutingWorld) -> None:
    """Somebody leaves: their leads move, all of them, however many pages that takes; the others stay."""
    desk.settings = RoutingSettings(page_leads=3, sweep_leads=4)
    for number in range(1, 13):
        await desk.lead(number, country="DE")
    await desk.step()
    before = await desk.people()
    assert Counter(before) == {"ann": 6, "bea": 6}
    left = ROUTED.replace("ann: {role: ae,", "ann: {role: ae, active: false,")
    desk.documents[TENANT] = load_policy(left)
    for _ in range(8):
        await desk.step(1)
    assert Counter(await desk.people()) == {"bea": 12}
    moved = await desk.pool.fetch("select entity_id from sync.audit where action = 'lead_reassigned'")
    assert len(moved) == before.count("ann")
    assert await desk.pool.fetchval("select sweep_place from sync.routing_tenant") is None


async def test_nothing_is_decided_while_the_log_is_projected_again(desk: RoutingWorld) -> None:
    """What the log says of owners may not be there yet."""
    await desk.pool.execute("insert into sync.rebuild values (0, 9, 9)")
    await desk.lead(1, country="DE")
    await desk.step()
    assert await desk.people() == []
    await desk.pool.execute("delete from sync.rebuild")
    await desk.step()
    assert await desk.people() == ["ann"]


async def test_a_tenant_whose_policy_routes_nothing_costs_nothing(desk: RoutingWorld) -> None:
    """The worker asks the database nothing at all."""
    desk.documents.clear()
    await desk.pool.close()
    assert await desk.step() == 5.0


async def test_the_desk_tells_leads_loads_and_promises(desk: RoutingWorld) -> None:
    """One lead with its timers, pages of leads, who has what, whose turn is next, percentiles."""
    first = await desk.lead(1, country="DE")
    await desk.lead(2, country="DE", opt_out=True)
    await desk.lead(3, country="DE")
    await desk.step()
    desk.clock.advance(600)
    await desk.touch(1, first, "outgoing")
    await desk.step()
    lead = await desk.stub.GetAssignment(pb.GetAssignmentRequest(tenant_id=TENANT, entity_id=str(first)))
    assert (lead.assignment.person, lead.assignment.rule) == ("ann", "dach")
    assert [(item.kind, item.state, item.elapsed_s) for item in lead.timers] == [
        (pb.TIMER_KIND_ASSIGNMENT, pb.TIMER_STATE_MET, 0),
        (pb.TIMER_KIND_FIRST_TOUCH, pb.TIMER_STATE_MET, 600),
    ]
    loads = await desk.stub.GetLoads(pb.GetLoadsRequest(tenant_id=TENANT))
    assert {item.person: (item.open_count, item.untouched_count) for item in loads.people} == {
        "ann": (1, 0), "bea": (1, 1), "cid": (0, 0), "dag": (0, 0),
    }  # fmt: skip
    assert {item.pool: (item.last, item.next) for item in loads.pools} == {
        "dach": ("bea", "ann"), "world": ("", "cid"),
    }  # fmt: skip
    assert (loads.waiting_count, loads.suppressed_count, loads.done_count) == (0, 1, 0)
    asked = pb.ListAssignmentsRequest(tenant_id=TENANT, states=[pb.LEAD_STATE_ASSIGNED], page_size=1)
    page = await desk.stub.ListAssignments(asked)
    assert [item.person for item in page.assignments] == ["ann"]
    asked.page_token = page.next_page_token
    rest = await desk.stub.ListAssignments(asked)
    assert ([item.person for item in rest.assignments], rest.next_page_token) == (["bea"], "")
    sla = await desk.stub.GetSla(pb.GetSlaRequest(tenant_id=TENANT))
    assert [(item.entity_id, item.person) for item in sla.open_timers] == [(str(lead_id(3)), "bea")]
    touched = next(item for item in sla.summaries if item.kind == pb.TIMER_KIND_FIRST_TOUCH)
    assert (touched.met_count, touched.open_count, touched.p95_s) == (1, 1, 600)


async def test_what_another_policy_would_have_done(desk: RoutingWorld) -> None:
    """Past leads in their order, counted against today: dach goes to one person, who was given the others' too."""
    for number in range(1, 5):
        await desk.lead(number, country="DE")
        await desk.step(60)
        row = await desk.pool.fetchrow(
            "select person from sync.assignment where entity_id = $1", lead_id(number)
        )
        assert row is not None
        shown = [row["person"], "source_priority", "routing", str(lead_id(8)), 1]
        await desk.pool.execute(
            "update sync.entity set fields = jsonb_set(fields::jsonb, '{owner}', $2)::json where entity_id = $1",
            lead_id(number),
            shown,
        )
    text = ROUTED.replace("members: [ann, bea], overflow: world", "members: [bea], overflow: world")
    request = pb.PreviewRoutingRequest(tenant_id=TENANT, policy_document=text)
    steps = [step async for step in desk.stub.PreviewRouting(request)]
    found = steps[-1].preview
    assert (found.lead_count, found.exact, dict(found.rule_counts)) == (4, True, {"dach": 4})
    people = {item.person: (item.before_count, item.after_count) for item in found.people}
    assert people == {"ann": (2, 0), "bea": (2, 4)}
    assert [(item.before, item.after) for item in found.changes] == [("ann", "bea"), ("ann", "bea")]
    request.since_time.FromDatetime(WORK + dt.timedelta(seconds=90))
    recent = [step async for step in desk.stub.PreviewRouting(request)][-1].preview
    assert recent.lead_count == 2
    same = pb.PreviewRoutingRequest(tenant_id=TENANT, policy_document=ROUTED)
    assert [step async for step in desk.stub.PreviewRouting(same)][-1].preview.changed_count == 0
    assert await desk.people() == ["ann", "bea", "ann", "bea"]


async def test_the_desk_refuses_what_it_cannot_answer(desk: RoutingWorld) -> None:
    """Unknown leads, tenants without routing, policies without it, states that there are not."""
    lead = pb.GetAssignmentRequest(tenant_id=TENANT, entity_id=str(lead_id(1)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.stub.GetAssignment(lead)
    assert refusal(caught.value)[1] == "UNKNOWN_LEAD"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.stub.GetLoads(pb.GetLoadsRequest(tenant_id="other"))
    assert refusal(caught.value)[1] == "NOT_ROUTED"
    states = [pb.LeadState.ValueType(77)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.stub.ListAssignments(pb.ListAssignmentsRequest(tenant_id=TENANT, states=states))
    assert refusal(caught.value)[2] == ["states"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.stub.ListAssignments(pb.ListAssignmentsRequest(tenant_id=TENANT, person="ann\0"))
    assert refusal(caught.value)[2] == ["person"]
    bare = pb.PreviewRoutingRequest(tenant_id=TENANT, policy_document="format: headwater/v1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [step async for step in desk.stub.PreviewRouting(bare)]
    assert refusal(caught.value)[1] == "POLICY_REFUSED"
    assert [(state.name, int(state)) for state in LeadState] == [
        (name.removeprefix("LEAD_STATE_"), value) for name, value in pb.LeadState.items() if value
    ]
