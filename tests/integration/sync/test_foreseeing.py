"""A change of the policy looked at before it is made: exact where it can be, a stated sample where it is too much."""

from __future__ import annotations

import grpc
import pytest
from tests.integration.sync.renewing import NEW, OLD, Renewal
from tests.integration.sync.world import ENTITIES_MAX, World, refusal
from tests.unit.sync.tenant import POLICY, TENANT, key

from headwater.policy.loading import policy_digest
from headwater.sync.v1 import policies_pb2 as pb

pytestmark = pytest.mark.anyio


async def looked(world: World, text: str) -> list[pb.PreviewPolicyResponse]:
    """Return every step of a look ahead."""
    request = pb.PreviewPolicyRequest(tenant_id=TENANT, policy_document=text)
    return [step async for step in world.policies.PreviewPolicy(request, timeout=20)]


async def test_what_is_foreseen_is_what_comes(world: World) -> None:
    """The same entities, fields and deliveries, of entities that were delivered, never delivered, and dead."""
    renewal = Renewal(world)
    for number in (11, 12, 13):
        await renewal.contact(number)
    await renewal.contact(14, delivered=False)
    await renewal.contact(15, delivered=False)
    await world.add_delivery(15, 5, crm_object="Contact", crm_id="0035", known={})
    await world.add_entity(16, state="merged", merged_into=key(11))
    await world.enforce(OLD)
    impact = (await looked(world, NEW))[-1].impact
    assert (impact.exact, impact.entity_count, impact.changed_count) == (True, 6, 5)
    account = next(item for item in impact.accounts if item.connector == "salesforce")
    assert (account.delivery_count, account.write_count, account.create_count) == (5, 4, 1)
    assert (account.under_way_count, account.call_count, account.quota_limit) == (1, 1, 15_000)
    assert account.quota_left_share == pytest.approx(1 / 15_000)
    assert dict(account.field_counts)["Contact.FirstName"] == 4

    await renewal.apply(NEW, 2)
    await renewal.step()
    seen = await renewal.version(2)
    assert (seen.scanned, seen.changed, seen.restated) == (6, impact.changed_count, impact.restated_count)
    assert seen.fields == dict(impact.field_counts)
    assert seen.deliveries == {
        item.connector: item.delivery_count for item in impact.accounts if item.delivery_count
    }


async def test_looking_writes_nothing(world: World) -> None:
    """Neither entities, nor audit, nor deliveries, nor a version."""
    renewal = Renewal(world)
    await renewal.contact(11)
    await world.enforce(OLD)
    await looked(world, NEW)
    assert await renewal.names() == {11: "Rob"}
    for table in ("audit", "due", "policy_version"):
        assert await world.pool.fetchval(f"select count(*) from sync.{table}") == 0  # noqa: S608 - three names


async def test_a_mapping_alone_is_told_apart_from_values(world: World) -> None:
    """No entity changes; the records that a rollout would write again are counted by themselves."""
    renewal = Renewal(world)
    await renewal.contact(11)
    await world.enforce(OLD)
    other = POLICY.replace(
        "FirstName: {field: first_name}", "FirstName: {field: first_name, transform: upper}"
    )
    impact = (await looked(world, other))[-1].impact
    account = next(item for item in impact.accounts if item.connector == "salesforce")
    assert (impact.changed_count, account.delivery_count, account.mapping_count) == (0, 0, 1)


async def test_an_account_that_is_new_would_get_everything(world: World) -> None:
    """It is in no delivery yet: nothing is made due by values, all of it by the mapping."""
    renewal = Renewal(world)
    for number in (11, 12):
        await renewal.contact(number)
    await world.enforce(OLD)
    enabled = OLD.replace("  old:\n", "  fresh:\n").replace("    enabled: false\n", "")
    impact = (await looked(world, enabled))[-1].impact
    account = next(item for item in impact.accounts if item.connector == "fresh")
    assert (account.delivery_count, account.mapping_count, account.quota_limit) == (0, 2, 0)


async def test_more_than_it_computes_is_a_stated_sample(world: World) -> None:
    """Half of the entities would change: the estimate says so, within its interval, from a part of them."""
    total = ENTITIES_MAX * 2
    await world.enforce(OLD)
    await world.pool.execute(
        "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
        " select $1, md5(number::text)::uuid, 'contact', 'active', 1, '{}' from generate_series(1, $2) as number",
        TENANT,
        total,
    )
    await world.pool.execute(
        "insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted)"
        " select $1, 'contact', 'crm', entity_id::text, entity_id,"
        " jsonb_build_object('first_name', jsonb_build_array('Rob', 1, entity_id)), false"
        " from (select entity_id from sync.entity order by entity_id limit $2) as half (entity_id)",
        TENANT,
        total // 2,
    )
    steps = await looked(world, NEW)
    impact = steps[-1].impact
    assert not impact.exact
    assert impact.entity_count == total
    assert impact.scanned_count < total * 0.6
    assert impact.changed_count_min <= total // 2 <= impact.changed_count_max
    assert impact.changed_count_min < impact.changed_count < impact.changed_count_max
    assert [step.HasField("impact") for step in steps[:-1]] == [False] * (len(steps) - 1)


async def test_versions_are_listed_in_pages_the_newest_first(world: World) -> None:
    """By their place in the log, with who applied each."""
    renewal = Renewal(world)
    for number, text in ((1, OLD), (2, NEW), (3, OLD)):
        await renewal.apply(text, number)
    first = await world.policies.ListPolicyVersions(
        pb.ListPolicyVersionsRequest(tenant_id=TENANT, page_size=2), timeout=10
    )
    rest = await world.policies.ListPolicyVersions(
        pb.ListPolicyVersionsRequest(tenant_id=TENANT, page_size=2, page_token=first.next_page_token),
        timeout=10,
    )
    listed = [(item.log_seq, item.digest, item.actor) for item in (*first.versions, *rest.versions)]
    assert listed == [
        (3, policy_digest(OLD), "ann"),
        (2, policy_digest(NEW), "ann"),
        (1, policy_digest(OLD), "ann"),
    ]
    assert rest.next_page_token == ""


@pytest.mark.parametrize(("text", "reason"), [("", "INVALID_ARGUMENT"), (NEW, "NOT_FOUND")])
async def test_what_cannot_be_foreseen_is_refused(world: World, text: str, reason: str) -> None:
    """An empty document; a tenant without a policy."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await looked(world, text)
    assert refusal(refused.value)[0].name == reason
