"""CheckDuplicate, GetEntity, Explain, ListMergeCandidates and GetIdentityStatus through the running service."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import grpc
import pytest
from tests.integration.identity.conftest import Client, record

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

Record = Callable[..., pb.ResolveRecord]
NAMES = ("Nora", "Paul", "Ines", "Otto", "Vera")
COUNTS = """
SELECT
    (SELECT count(*) FROM identity.entity), (SELECT count(*) FROM identity.member),
    (SELECT count(*) FROM identity.record_key), (SELECT count(*) FROM identity.merge_candidate),
    (SELECT count(*) FROM identity.change), (SELECT count(*) FROM identity.edge)
"""


async def _check(identity: Client, **attributes: str) -> pb.CheckDuplicateResponse:
    return await identity.stub.CheckDuplicate(
        pb.CheckDuplicateRequest(tenant_id=identity.tenant, object="contact", attributes=attributes)
    )


async def _explain(identity: Client, left: str, right: str) -> pb.ExplainResponse:
    def ref(external_id: str) -> event_pb2.RecordRef:
        return event_pb2.RecordRef(source="crm", object="contact", external_id=external_id)

    return await identity.stub.Explain(
        pb.ExplainRequest(tenant_id=identity.tenant, left_record=ref(left), right_record=ref(right))
    )


async def test_a_duplicate_is_found_and_nothing_is_written(
    identity: Client, migrated_database_url: str
) -> None:
    """The answer names entity, rule and the normalised keys; no table changes."""
    (known,) = await identity.resolve(
        record("1", email="Ann@Firm.io", first_name="Ann", last_name="Lee", phone="+1 212 555 7812")
    )
    connection = await asyncpg.connect(migrated_database_url)
    before = await connection.fetchrow(COUNTS)
    found = await _check(identity, email="ann+news@firm.io", last_name="LEE", phone="(212) 555-7812")
    assert (found.exists, found.entity.entity_id, found.rule) == (True, known.entity_id, "contact.email")
    keys = {(key.kind, key.value): (key.joins, key.blocked_by) for key in found.matched_keys}
    assert keys["email", "ann@firm.io"] == (True, "")
    assert keys["phone", "+12125557812"] == (True, "")
    assert keys["family_domain", "lee|firm.io"] == (False, "weak")
    (best,) = found.candidates
    assert (best.record.external_id, best.tier, best.entity) == ("1", pb.MATCH_TIER_MERGE, found.entity)
    assert (found.answer, best.group_id) == (pb.DUPLICATE_ANSWER_EXISTS, known.group_id)
    assert best.bits > 10
    assert await connection.fetchrow(COUNTS) == before
    await connection.close()


async def test_a_role_address_is_no_duplicate(identity: Client) -> None:
    """Who shares info@ with somebody is not somebody."""
    await identity.resolve(record("1", email="info@firm.io", last_name="Lee"))
    found = await _check(identity, email="info@firm.io", last_name="Moss")
    assert not found.exists
    assert not found.HasField("entity")
    assert (found.answer, len(found.candidates)) == (pb.DUPLICATE_ANSWER_NEW, 0)


async def test_something_similar_is_told_as_such(identity: Client) -> None:
    """No identifier in common: the caller sees the entity, the bits and the weak keys, and decides."""
    (known,) = await identity.resolve(
        record("1", first_name="Mirela", last_name="Santanov", company="Acorn Freight", city="Leeds")
    )
    found = await _check(identity, first_name="Mirela", last_name="Santanov", company="Acorn Freight Ltd")
    assert (found.exists, found.answer) == (False, pb.DUPLICATE_ANSWER_SIMILAR)
    (best,) = found.candidates
    assert (best.entity.entity_id, best.rule) == (known.entity_id, "contact.similar")
    assert best.bits > 0
    assert {key.blocked_by for key in best.matched_keys} == {"weak"}


async def test_a_check_needs_attributes(identity: Client) -> None:
    """INVALID_ARGUMENT without any attribute."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _check(identity)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_entity_lists_its_records_in_order(identity: Client) -> None:
    """The founder comes first, without a rule; by id and by record it is the same entity."""
    await identity.resolve(record("1", email="a@firm.io"), record("2", email="a@firm.io"))
    entity = await identity.entity_of("2")
    assert [(m.record.external_id, m.rule) for m in entity.members] == [("1", ""), ("2", "contact.email")]
    assert await identity.entity(entity.entity_id) == entity
    assert entity.create_time == entity.members[0].resolve_time


async def test_explain_adds_up(identity: Client) -> None:
    """The bits of the fields sum exactly to the score, and it is the score that resolving came to."""
    await identity.resolve(record("1", email="a@firm.io", first_name="Ann", last_name="Lee", city="York"))
    (second,) = await identity.resolve(
        record("2", email="a@firm.io", first_name="A.", last_name="Lee", city="Leeds")
    )
    found = await _explain(identity, "1", "2")
    assert (found.same_entity, found.same_group, found.rule) == (True, True, "contact.email")
    assert sum(one.bits for one in found.fields) == found.bits == second.bits
    assert found.fields[0].field == "before evidence"
    assert {found.left_record.external_id, found.right_record.external_id} == {"1", "2"}
    assert found.tier == pb.MATCH_TIER_MERGE


async def test_explain_names_what_is_against_it(identity: Client) -> None:
    """Two people with one mailbox are two because their names conflict."""
    await identity.resolve(
        record("1", email="house@web.de", first_name="Nora", last_name="Keller"),
        record("2", email="house@web.de", first_name="Paul", last_name="Brandt"),
    )
    found = await _explain(identity, "1", "2")
    assert not found.same_entity
    assert [(key.kind, key.value) for key in found.shared_keys] == [("email", "house@web.de")]
    assert "name_conflict" in found.verdict


async def test_explain_compares_entities_too(identity: Client) -> None:
    """Entities are compared by the keys of all their records; different objects never join."""
    contact, account = await identity.resolve(
        record("1", email="a@firm.io"), record("2", object_name="account", domain="firm.io")
    )
    found = await identity.stub.Explain(
        pb.ExplainRequest(
            tenant_id="acme", left_entity_id=contact.entity_id, right_entity_id=account.entity_id
        )
    )
    assert found.verdict == "Two objects, contact and account, are never one entity."
    assert not found.shared_keys


async def test_candidates_come_in_pages_without_loss(identity: Client) -> None:
    """Pages of two tell of all five pairs once, oldest first."""
    for n in range(5):
        await identity.resolve(
            record(f"a{n}", email=f"h{n}@web.de", first_name=NAMES[n], last_name="Keller Sr."),
            record(f"b{n}", email=f"h{n}@web.de", first_name=NAMES[n], last_name="Keller Jr."),
        )
    seen: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await identity.candidates(page_size=2, page_token=token)
        seen += [one.record.external_id for one in page.candidates]
        token, pages = page.next_page_token, pages + 1
    assert seen == [f"b{n}" for n in range(5)]
    assert pages == 3


@pytest.mark.parametrize("token", ["nonsense", "c2VxOi0x", "c2VxOjk5OTk5OTk5OTk5OTk5OTk5OTk5"])
async def test_a_foreign_page_token_is_refused(identity: Client, token: str) -> None:
    """INVALID_ARGUMENT for a token that is none of ours."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.candidates(page_token=token)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_the_status_counts_by_object(identity: Client) -> None:
    """Entities that stand, records, and entities merged away."""
    found = await identity.resolve(
        record("1", email="a@firm.io"),
        record("2"),
        record("3", object_name="deal"),
        record("4", email="a@firm.io"),
    )
    await identity.merge(found[0].entity_id, found[1].entity_id)
    status = await identity.stub.GetIdentityStatus(pb.GetIdentityStatusRequest(tenant_id="acme"))
    counts = {one.object: (one.entities, one.records, one.merged) for one in status.counts}
    assert counts == {"contact": (1, 3, 1), "deal": (1, 1, 0)}
