"""ResolveBatch through the running service: idempotence, joining, guards, concurrency, isolation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import anyio
import asyncpg
import grpc
import pytest
from tests.integration.identity.conftest import Client

from headwater.event.v1 import event_pb2
from headwater.identity.domain.locking import tenant_lock
from headwater.identity.v1 import identity_pb2 as pb
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio

Record = Callable[..., pb.ResolveRecord]
CREATED, MATCHED, KNOWN, UNMATCHED = (
    pb.RESOLUTION_KIND_CREATED,
    pb.RESOLUTION_KIND_MATCHED,
    pb.RESOLUTION_KIND_KNOWN,
    pb.RESOLUTION_KIND_UNMATCHED,
)


async def test_a_second_record_joins_by_email_when_it_comes_in_another_batch(
    identity: Client, new_record: Record
) -> None:
    """A record of another system with the same mailbox belongs to the same entity, and says why."""
    (first,) = await identity.resolve(new_record("1", email="Ann.Lee+x@Gmail.com"))
    (second,) = await identity.resolve(new_record("9", source="crm2", email="annlee@gmail.com"))
    assert (first.kind, second.kind) == (CREATED, MATCHED)
    assert second.entity_id == first.entity_id
    assert second.rule == "contact.email"
    assert second.matched_record.external_id == "1"


async def test_records_of_one_batch_join_each_other_when_they_share_a_key(
    identity: Client, new_record: Record
) -> None:
    """What the first record of a batch founds, the second one finds."""
    first, second = await identity.resolve(
        new_record("1", name="Acme Ltd", website="https://www.acme.co.uk", object_name="account"),
        new_record("2", name="ACME", domain="acme.co.uk", object_name="account"),
    )
    assert second.entity_id == first.entity_id
    assert second.rule == "account.domain"


async def test_entities_that_a_known_record_shows_to_be_one_are_merged(
    identity: Client, new_record: Record
) -> None:
    """A record resolved before says a mailbox that another entity has: the service merges, and tells the log."""
    (first,) = await identity.resolve(new_record("1", first_name="Ada", last_name="Byrne"))
    (other,) = await identity.resolve(new_record("2", email="ada@firm.example.co", last_name="Byrne"))
    (again,) = await identity.resolve(new_record("1", email="ada@firm.example.co"))
    assert again.kind == KNOWN
    entity = await identity.entity_of("1")
    assert entity.entity_id == again.entity_id == (await identity.entity_of("2")).entity_id
    (gone,) = {first.entity_id, other.entity_id} - {again.entity_id}
    assert (await identity.entity(gone)).merged_into == again.entity_id
    await identity.log.wait_for(1)
    _, event = identity.log.events[0]
    assert (json.loads(event.payload)["winner"], event.actor.type) == (
        again.entity_id,
        event_pb2.ACTOR_TYPE_SERVICE,
    )
    (third,) = await identity.resolve(new_record("3", email="ada@firm.example.co"))
    assert third.entity_id == again.entity_id


async def test_a_bare_number_joins_nobody(identity: Client, new_record: Record) -> None:
    """A record that tells a phone number alone may be anybody of the household."""
    (first,) = await identity.resolve(new_record("1", last_name="Byrne", phone="+12125557812"))
    (second,) = await identity.resolve(new_record("2", phone="+12125557812"))
    assert second.entity_id != first.entity_id
    assert (second.group_id, second.tier) == (first.group_id, pb.MATCH_TIER_LINK)


async def test_a_similar_record_is_linked_and_not_merged(identity: Client, new_record: Record) -> None:
    """Name and company agree and no identifier does: one group, two entities, and a person is asked."""
    (first,) = await identity.resolve(
        new_record("1", first_name="Mirela", last_name="Santanov", company="Acorn Freight", city="Leeds")
    )
    (second,) = await identity.resolve(
        new_record("2", first_name="Mirela", last_name="Santanov", company="Acorn Freight Ltd", city="Leeds")
    )
    assert second.entity_id != first.entity_id
    assert (second.kind, second.group_id) == (CREATED, first.group_id)
    assert (second.tier, second.bits > 0) == (pb.MATCH_TIER_LINK, True)
    (candidate,) = (await identity.candidates()).candidates
    assert (candidate.rule, candidate.bits) == ("contact.similar", second.bits)


async def test_the_same_batch_changes_nothing_when_sent_again(identity: Client, new_record: Record) -> None:
    """Sending a batch twice gives the same entities and writes no second row."""
    batch = [new_record(str(n), email=f"p{n}@firm.io", event_key=str(uuid.uuid4())) for n in range(20)]
    first = await identity.resolve(*batch)
    second = await identity.resolve(*batch)
    assert [one.entity_id for one in first] == [one.entity_id for one in second]
    status = await identity.stub.GetIdentityStatus(pb.GetIdentityStatusRequest(tenant_id=identity.tenant))
    assert [(c.object, c.entities, c.records, c.merged) for c in status.counts] == [("contact", 20, 20, 0)]


async def test_entity_ids_are_the_same_when_a_log_is_replayed_elsewhere(
    identity: Client, new_record: Record, migrated_database_url: str
) -> None:
    """Ids follow from tenant and founding record alone."""
    batch = [new_record("1", email="a@firm.io"), new_record("2", email="a@firm.io"), new_record("3")]
    first = [one.entity_id for one in await identity.resolve(*batch)]
    connection = await asyncpg.connect(migrated_database_url)
    await connection.execute(
        "TRUNCATE identity.entity, identity.record_key, identity.edge, identity.key_use CASCADE"
    )
    await connection.close()
    assert [one.entity_id for one in await identity.resolve(*batch)] == first


async def test_a_role_address_joins_nobody(identity: Client, new_record: Record) -> None:
    """Colleagues who share info@ stay apart, without a candidate."""
    one, two = await identity.resolve(
        new_record("1", email="info@firm.io", last_name="Ray"),
        new_record("2", email="info@firm.io", last_name="Moss"),
    )
    assert one.entity_id != two.entity_id
    assert not (await identity.candidates()).candidates


async def test_a_conflict_makes_a_candidate_that_says_what_is_against_it(
    identity: Client, new_record: Record
) -> None:
    """Father and son with one mailbox stay two, whatever the score, and a person is asked."""
    one, two = await identity.resolve(
        new_record("1", email="lee@web.de", first_name="Ann", last_name="Lee Sr."),
        new_record("2", email="lee@web.de", first_name="Ann", last_name="Lee Jr."),
    )
    assert one.entity_id != two.entity_id
    assert one.group_id != two.group_id
    (candidate,) = (await identity.candidates()).candidates
    assert (candidate.rule, candidate.blocked_by) == ("contact.email", "generation_conflict")
    assert candidate.bits >= 10


async def test_strangers_with_one_mailbox_stay_two(identity: Client, new_record: Record) -> None:
    """Two names that have nothing in common: neither joined nor linked."""
    one, two = await identity.resolve(
        new_record("1", email="house@web.de", first_name="Nora", last_name="Keller"),
        new_record("2", email="house@web.de", first_name="Paul", last_name="Brandt"),
    )
    assert one.entity_id != two.entity_id
    assert one.group_id != two.group_id


async def test_a_record_without_name_joins_none_of_two_strangers(
    identity: Client, new_record: Record
) -> None:
    """A mailbox that two strangers use does not make them one by way of a record that tells no name."""
    found = await identity.resolve(
        new_record("1", email="house@web.de", first_name="Nora", last_name="Keller"),
        new_record("2", email="house@web.de", first_name="Paul", last_name="Brandt"),
        new_record("3", email="house@web.de"),
    )
    assert found[0].entity_id != found[1].entity_id


async def test_a_record_to_be_found_only_stays_unplaced_when_nothing_matches(
    identity: Client, new_record: Record
) -> None:
    """match_only neither founds an entity nor leaves a trace; it joins once somebody matches."""
    (lost,) = await identity.resolve(new_record("1", email="z@firm.io", match_only=True))
    assert (lost.kind, lost.entity_id) == (UNMATCHED, "")
    (founder,) = await identity.resolve(new_record("2", email="z@firm.io"))
    (found,) = await identity.resolve(new_record("1", email="z@firm.io", match_only=True))
    assert (founder.kind, found.kind) == (CREATED, MATCHED)
    assert found.entity_id == founder.entity_id


async def test_concurrent_batches_end_with_one_entity_per_person(
    identity: Client, new_record: Record
) -> None:
    """Eight writers bring the same forty people at once, each under its own record names."""
    found: dict[str, set[str]] = {}

    async def bring(writer: int) -> None:
        batch = [new_record(f"{writer}-{n}", email=f"person{n}@firm.io") for n in range(40)]
        order = batch if writer % 2 else batch[::-1]
        for wanted, one in zip(order, await identity.resolve(*order), strict=True):
            found.setdefault(wanted.attributes["email"], set()).add(one.entity_id)

    async with anyio.create_task_group() as tasks:
        for writer in range(8):
            tasks.start_soon(bring, writer)
    assert len(found) == 40
    assert all(len(entities) == 1 for entities in found.values())


async def test_names_that_arrays_of_postgres_write_otherwise_are_kept(
    identity: Client, new_record: Record
) -> None:
    """Quotes, backslashes, braces, commas, `NULL` and the empty value come back as they were told."""
    names = ['a"b', "c\\d", "{e,f}", "NULL", " g ", "é\u2028"]
    resolved = await identity.resolve(
        *(new_record(name, email=f"p{number}@odd.example.co") for number, name in enumerate(names))
    )
    again = await identity.resolve(
        *(
            new_record(name, source="crm2", email=f"p{number}@odd.example.co")
            for number, name in enumerate(names)
        )
    )
    assert [one.entity_id for one in again] == [one.entity_id for one in resolved]
    assert [one.matched_record.external_id for one in again] == names


async def test_people_and_organisations_of_one_batch_join_their_own(
    identity: Client, new_record: Record
) -> None:
    """A batch of two objects meets the neighbours of both."""
    first = await identity.resolve(
        new_record("1", email="kim@mixed.example.co"),
        new_record("2", name="Mixed Goods Ltd", domain="mixed-goods.co.uk", object_name="account"),
    )
    then = await identity.resolve(
        new_record("3", source="crm2", email="kim@mixed.example.co"),
        new_record("4", source="crm2", name="Mixed Goods", domain="mixed-goods.co.uk", object_name="account"),
    )
    assert [one.entity_id for one in then] == [one.entity_id for one in first]


async def test_tenants_never_meet(identity: Client, new_record: Record) -> None:
    """Another tenant's records neither match nor can be read."""
    shared = {"email": "same@firm.io"}
    (ours,) = await identity.resolve(new_record("1", **shared))
    (theirs,) = await identity.resolve(new_record("1", **shared), tenant="globex")
    assert ours.entity_id != theirs.entity_id
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.entity(ours.entity_id, tenant="globex")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    check = await identity.stub.CheckDuplicate(
        pb.CheckDuplicateRequest(tenant_id="initech", object="contact", attributes=shared)
    )
    assert not check.exists


async def test_a_malformed_batch_names_every_field(identity: Client, new_record: Record) -> None:
    """All broken rules come back at once, with the path of each field."""
    bad = new_record("", object_name="person", event_key="no-uuid")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.resolve(new_record("1"), bad, tenant="Not A Tenant")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    trailers = dict(refused.value.trailing_metadata() or ())
    details = bytes(trailers["grpc-status-details-bin"])
    for path in (
        b"tenant_id",
        b"records[1].record.object",
        b"records[1].record.external_id",
        b"records[1].event_key",
    ):
        assert path in details


async def test_a_batch_beyond_the_bound_is_refused(identity: Client, new_record: Record) -> None:
    """2,001 records are too many."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.resolve(*[new_record(str(n)) for n in range(2_001)])
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_ends_at_its_deadline_and_leaves_nothing_behind(
    identity: Client, new_record: Record, migrated_database_url: str
) -> None:
    """A tenant that is locked by a long merge: the caller's deadline holds, and the next call succeeds."""
    connection = await asyncpg.connect(migrated_database_url)
    await connection.execute("SELECT pg_advisory_lock($1)", tenant_lock(TenantId(identity.tenant)))
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await identity.resolve(new_record("1"), timeout_s=0.3)
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await connection.close()
    (found,) = await identity.resolve(new_record("1"))
    assert found.kind == CREATED


async def test_a_record_that_says_nothing_new_is_answered_while_the_tenant_is_locked(
    identity: Client, new_record: Record, migrated_database_url: str
) -> None:
    """What is known needs no lock: a long merge keeps only those waiting that bring something."""
    (first,) = await identity.resolve(new_record("1", email="ann@firm.example.co"))
    connection = await asyncpg.connect(migrated_database_url)
    await connection.execute("SELECT pg_advisory_lock($1)", tenant_lock(TenantId(identity.tenant)))
    (again,) = await identity.resolve(new_record("1", email="ann@firm.example.co"), timeout_s=5)
    assert (again.entity_id, again.kind) == (first.entity_id, KNOWN)
    with pytest.raises(grpc.aio.AioRpcError):
        await identity.resolve(new_record("1", email="ann@other.example.co"), timeout_s=0.3)
    await connection.close()
