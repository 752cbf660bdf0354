"""Failures grouped by cause: what is counted, what is shown, what would be written, what is put away."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tests.integration.sync.failing import bury, delivered, failed, settle, states
from tests.integration.sync.world import OTHER, World, refusal
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import TENANT, key

from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.settling import State
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio


async def groups(world: World, **wanted: Any) -> list[pb.ErrorGroup]:
    """Return the groups of a page."""
    request = pb.ListErrorGroupsRequest(**{"tenant_id": TENANT, **wanted})
    return list((await world.stub.ListErrorGroups(request)).groups)


async def test_failures_of_one_cause_are_one_group(world: World) -> None:
    """Messages that differ in addresses and ids alone are one cause; it says who answers and what to do."""
    await bury(world, 1, 2, 3)
    await settle(world, failed(3, try_count=2))
    (group,) = await groups(world)
    assert (group.message, group.endpoint) == ("Email <email> is taken by record <n>", "upsert Contact")
    assert (group.error_class, group.error_code, group.connector) == ("validation", "TAKEN", "salesforce")
    assert (group.failure_count, group.delivery_count, group.dead_count) == (4, 3, 3)
    assert sorted(group.sample_entity_ids) == [str(key(number)) for number in (1, 2, 3)]
    assert (group.owner, group.backup, group.runbook) == ("sales-ops", "platform", "https://runbooks/sf")
    assert group.last_message == "Email a3@x.io is taken by record 003"
    assert group.first_seen_time.ToDatetime() < group.last_seen_time.ToDatetime()


async def test_another_code_is_another_group_and_the_delivery_moves_there(world: World) -> None:
    """A delivery stands in the group of its last try; the group it left keeps what it counted."""
    await bury(world, 1, 2)
    await settle(world, failed(2, error_code="TOO_LONG"))
    newest, oldest = await groups(world)
    assert (newest.error_code, newest.delivery_count) == ("TOO_LONG", 1)
    assert (oldest.error_code, oldest.delivery_count, oldest.failure_count) == ("TAKEN", 1, 2)


async def test_a_group_is_resolved_when_its_last_delivery_recovers(world: World) -> None:
    """Success takes deliveries out; the group stays on record and opens again at the next failure."""
    await bury(world, 1)
    await settle(world, delivered(1))
    (group,) = await groups(world, state=pb.ERROR_GROUP_STATE_RESOLVED)
    assert (group.state, group.delivery_count) == (pb.ERROR_GROUP_STATE_RESOLVED, 0)
    assert await groups(world, state=pb.ERROR_GROUP_STATE_OPEN) == []
    await settle(world, failed(1))
    (again,) = await groups(world, state=pb.ERROR_GROUP_STATE_OPEN)
    assert (again.group_id, again.failure_count) == (group.group_id, 2)


async def test_groups_are_paged_by_newest_failure(world: World) -> None:
    """Pages join without gap or repetition, and stay within the tenant and the connector asked for."""
    await bury(world, 1)
    for number in range(5):
        await settle(world, failed(1, error_code=f"E{number}"))
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListErrorGroupsRequest(tenant_id=TENANT, page_size=2, page_token=token)
        page = await world.stub.ListErrorGroups(request)
        seen += [group.error_code for group in page.groups]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["E4", "E3", "E2", "E1", "E0", "TAKEN"]
    assert await groups(world, connector="hubspot") == []
    assert await groups(world, tenant_id=OTHER) == []


async def test_a_group_shows_its_deliveries_page_by_page(world: World) -> None:
    """By entity, with state and last error."""
    await bury(world, 1, 2, 3)
    (group,) = await groups(world)
    request = pb.GetErrorGroupRequest(tenant_id=TENANT, group_id=group.group_id, page_size=2)
    first = await world.stub.GetErrorGroup(request)
    request.page_token = first.next_page_token
    second = await world.stub.GetErrorGroup(request)
    shown = [item.entity_id for item in (*first.deliveries, *second.deliveries)]
    assert shown == [str(key(number)) for number in (1, 2, 3)]
    assert (second.next_page_token, second.group.dead_count) == ("", 3)
    assert first.deliveries[0].last_error == "validation: Email a1@x.io is taken by record 001"


async def test_an_unknown_group_is_not_found(world: World) -> None:
    """Nor is one of another tenant."""
    await bury(world, 1)
    (group,) = await groups(world)
    for tenant_id, group_id in ((TENANT, str(key(7))), (OTHER, group.group_id)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.stub.GetErrorGroup(pb.GetErrorGroupRequest(tenant_id=tenant_id, group_id=group_id))
        assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ERROR_GROUP")


async def test_a_preview_shows_the_exact_change_and_writes_nothing(world: World) -> None:
    """The plan against what the CRM is known to hold, the batch calls, and the day's quota."""
    await bury(world, 1, 2)
    await world.pool.execute(
        "update sync.delivery set crm_object = 'Contact', crm_id = '003', known = $1 where entity_id = $2",
        {"Email": "old@x.io", "LastName": "unknown"}, key(2),
    )  # fmt: skip
    (group,) = await groups(world)
    answer = await world.stub.PreviewDeliveries(
        pb.PreviewDeliveriesRequest(tenant_id=TENANT, group_id=group.group_id)
    )
    create, update = answer.previews
    assert (create.action, update.action, update.crm_object) == ("create", "update", "Contact")
    changes = [(item.field, item.before_json, item.after_json) for item in update.changes]
    assert changes == [("Email", '"old@x.io"', '"a2@x.io"')]
    assert {item.field for item in create.changes} == {"Email", "LastName"}
    assert (answer.predicted_calls, answer.quota_limit) == (1, 15000)
    assert await states(world) == {1: State.DEAD, 2: State.DEAD}


async def test_a_preview_says_that_a_lost_answer_is_looked_up_first(world: World) -> None:
    """A dead delivery whose write may have landed costs a look-up, then the write."""
    await bury(world, 1, outcome="in_doubt", error_class="network")
    answer = await world.stub.PreviewDeliveries(
        pb.PreviewDeliveriesRequest(tenant_id=TENANT, connector="salesforce", entity_ids=[str(key(1))])
    )
    assert (answer.previews[0].looks_up_first, answer.predicted_calls) == (True, 2)


async def test_a_wait_after_a_failure_leaves_the_group(world: World) -> None:
    """Nothing of the error stands on the delivery any more, so none may stand in the group."""
    await bury(world, 1)
    erred = claimed(entity_id=key(1), erred=True)
    waits = failed(
        1, claimed=erred, state=State.PENDING, outcome="", error_class="", error_message="", waits=True
    )
    await settle(world, waits)
    (group,) = await groups(world)
    assert group.state == pb.ERROR_GROUP_STATE_RESOLVED


async def test_a_turn_sent_again_counts_its_failures_once(world: World) -> None:
    """When the answer of a committed turn is lost the actor sends it again."""
    await bury(world, 1)
    lease = Lease(f"connector/{TENANT}/salesforce", 1)
    store = PostgresDeliveries(world.pool, TENANT, "salesforce", lease)
    await store.turn([failed(1)], Wanted(0, {}))
    store._numbers[0] -= 1  # noqa: SLF001 - as if the answer had not come
    await store.turn([failed(1)], Wanted(0, {}))
    (group,) = await groups(world)
    assert group.failure_count == 2
