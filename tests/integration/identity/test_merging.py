"""Merge and Split through the running service: exact, idempotent, told to the event log."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.identity.conftest import (
    ACTOR,
    Client,
    RecordingLog,
    client_of,
    ingest_of,
    record,
    settings_for,
)

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

Record = Callable[..., pb.ResolveRecord]
NOBODY = "00000000-0000-4000-8000-000000000000"


async def _three(identity: Client) -> tuple[str, str, str]:
    found = await identity.resolve(*[record(name, email=f"{name}@firm.io") for name in ("a1", "b1", "c1")])
    await identity.resolve(record("a2", email="a1@firm.io"), record("b2", email="b1@firm.io"))
    first, second, third = (one.entity_id for one in found)
    return first, second, third


def _names(entity: pb.Entity) -> set[str]:
    return {member.record.external_id for member in entity.members}


async def test_merge_moves_every_record_and_is_idempotent(identity: Client) -> None:
    """The loser's records go to the winner, the loser says where it went, a second call says the same."""
    a, b, _ = await _three(identity)
    merge = await identity.merge(a, b)
    assert merge.moved_count == 2
    assert _names(await identity.entity(a)) == {"a1", "a2", "b1", "b2"}
    assert (await identity.entity(b)).merged_into == a
    assert await identity.merge(a, b) == merge


async def test_resolving_finds_the_winner_after_a_merge(identity: Client) -> None:
    """A new record that shares the loser's key belongs to the winner."""
    a, b, _ = await _three(identity)
    await identity.merge(a, b)
    (new,) = await identity.resolve(record("b3", email="b1@firm.io"))
    assert new.entity_id == a


async def test_split_gives_back_exactly_what_the_merge_moved(identity: Client) -> None:
    """Records that came after the merge stay with the winner; a second split says the same."""
    a, b, _ = await _three(identity)
    merge = await identity.merge(a, b)
    await identity.resolve(record("b3", email="b1@firm.io"))
    split = await identity.split(merge.merge_id)
    assert (split.restored_entity_id, split.moved_count) == (b, 2)
    assert _names(await identity.entity(a)) == {"a1", "a2", "b3"}
    restored = await identity.entity(b)
    assert (_names(restored), restored.merged_into) == ({"b1", "b2"}, "")
    assert await identity.split(merge.merge_id) == split


async def test_a_pair_may_merge_again_when_it_was_split(identity: Client) -> None:
    """A split does not stand in the way of another merge, which has another id."""
    a, b, _ = await _three(identity)
    first = await identity.merge(a, b)
    await identity.split(first.merge_id)
    second = await identity.merge(a, b)
    assert second.merge_id != first.merge_id
    assert second.moved_count == 2


async def test_a_request_that_is_sent_again_does_not_undo_a_split(identity: Client) -> None:
    """A channel that heard nothing repeats a merge: it is answered as before, and what was split since stays split."""
    a, b, _ = await _three(identity)
    merge = await identity.merge(a, b, "r1")
    await identity.split(merge.merge_id)
    assert await identity.merge(a, b, "r1") == merge
    assert _names(await identity.entity(b)) == {"b1", "b2"}
    assert (await identity.merge(a, b, "r2")).merge_id != merge.merge_id


async def test_a_request_id_is_for_one_merge(identity: Client) -> None:
    """FAILED_PRECONDITION for a request that has merged two other entities."""
    a, b, c = await _three(identity)
    await identity.merge(a, b, "r1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.merge(a, c, "r1")
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert _names(await identity.entity(c)) == {"c1"}


async def test_what_is_split_below_a_later_merge_stays_apart(
    identity: Client, migrated_database_url: str
) -> None:
    """The records that go back leave the entity that a later merge made: they are told apart from it, key and all."""
    told: dict[str, Any] = {"first_name": "Ann", "last_name": "Bol", "company": "Firm"}
    page = "https://linkedin.com/in/ann-bol-7"
    found = await identity.resolve(
        record("a1", email="ann@one.io", linkedin_url=page, **told),
        record("b1", email="ann@two.io", **told),
        record("c1", email="ann@three.io", **told),
    )
    a, b, c = (one.entity_id for one in found)
    assert len({a, b, c}) == 3
    lower = await identity.merge(b, a)
    await identity.resolve(record("a2", email="ann@one.io", **told))
    await identity.merge(c, b)
    await identity.split(lower.merge_id)
    await identity.resolve(
        record("c2", email="ann@three.io", **told), record("b2", email="ann@two.io", **told)
    )
    assert _names(await identity.entity(a)) == {"a1"}
    assert _names(await identity.entity(c)) == {"a2", "b1", "b2", "c1", "c2"}
    connection = await asyncpg.connect(migrated_database_url)
    holders = await connection.fetch("SELECT entity_id FROM identity.exclusive_key")
    await connection.close()
    assert [str(one["entity_id"]) for one in holders] == [a]


async def test_a_ring_of_merges_ends_in_an_error(identity: Client, migrated_database_url: str) -> None:
    """What only damage can write is not followed for ever while the tenant is locked."""
    a, b, c = await _three(identity)
    merge = await identity.merge(b, a)
    await identity.merge(c, b)
    connection = await asyncpg.connect(migrated_database_url)
    ring = "UPDATE identity.entity SET merged_into = $2 WHERE entity_id = $1"
    await connection.execute(ring, uuid.UUID(c), uuid.UUID(b))
    await connection.close()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.split(merge.merge_id)
    assert refused.value.code() == grpc.StatusCode.INTERNAL


async def test_the_lower_merge_of_a_chain_can_be_undone_first(identity: Client) -> None:
    """A into b into c: undoing the first gives a back its own, and the second later gives b its own."""
    a, b, c = await _three(identity)
    lower = await identity.merge(b, a)
    upper = await identity.merge(c, b)
    await identity.split(lower.merge_id)
    assert _names(await identity.entity(a)) == {"a1", "a2"}
    assert _names(await identity.entity(c)) == {"b1", "b2", "c1"}
    assert (await identity.split(upper.merge_id)).moved_count == 2
    assert _names(await identity.entity(b)) == {"b1", "b2"}
    assert _names(await identity.entity(c)) == {"c1"}


@pytest.mark.parametrize("wrong", ["winner_elsewhere", "loser_elsewhere", "objects"])
async def test_merge_is_refused_when_the_state_does_not_allow_it(identity: Client, wrong: str) -> None:
    """FAILED_PRECONDITION for entities of two objects, or one that is in a third."""
    a, b, c = await _three(identity)
    (account,) = await identity.resolve(record("acc", object_name="account", name="Firm"))
    await identity.merge(a, b)
    winner, loser = {
        "winner_elsewhere": (b, c),
        "loser_elsewhere": (c, b),
        "objects": (a, account.entity_id),
    }[wrong]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.merge(winner, loser)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_unknown_things_are_not_found(identity: Client) -> None:
    """NOT_FOUND for an entity, a record or a merge that nobody knows."""
    a, _, _ = await _three(identity)
    calls = (
        lambda: identity.merge(a, NOBODY),
        lambda: identity.split(NOBODY),
        lambda: identity.entity_of("x9"),
    )
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_merge_needs_two_entities_and_an_actor(identity: Client) -> None:
    """INVALID_ARGUMENT for an entity merged into itself, or by nobody."""
    a, b, _ = await _three(identity)
    for request in (
        pb.MergeRequest(tenant_id="acme", winner_entity_id=a, loser_entity_id=a, actor=ACTOR),
        pb.MergeRequest(tenant_id="acme", winner_entity_id=a, loser_entity_id=b),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await identity.stub.Merge(request)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_the_event_log_hears_of_merge_and_split_in_order(identity: Client) -> None:
    """One event each, naming winner, loser, merge and the records moved."""
    a, b, _ = await _three(identity)
    merge = await identity.merge(a, b)
    await identity.split(merge.merge_id)
    await identity.log.wait_for(2)
    told = [json.loads(event.payload) for _, event in identity.log.events]
    assert [one["change"] for one in told] == ["merged", "split"]
    for (tenant, event), payload in zip(identity.log.events, told, strict=True):
        assert (tenant, event.source, event.object) == ("acme", "headwater", "identity")
        assert event.external_id == payload["merge_id"] == merge.merge_id
        assert event.request_id.startswith("identity:")
        assert event.operation == event_pb2.OPERATION_UPSERT
        assert (payload["winner"], payload["loser"], payload["object"]) == (a, b, "contact")
        assert {one["external_id"] for one in payload["moved"]} == {"b1", "b2"}
        assert event.actor.id == "reviewer"


async def test_a_refusing_log_only_delays(identity: Client) -> None:
    """The merge stands at once; the log hears of it when it answers again."""
    identity.log.refusals = 2
    a, b, _ = await _three(identity)
    await identity.merge(a, b)
    await identity.log.wait_for(1)
    assert identity.log.refusals == 0


async def test_an_unreachable_log_does_not_fail_a_merge(migrated_database_url: str) -> None:
    """Nobody listens at ingest's address: the change waits in the outbox and is told by a later process."""
    log = RecordingLog()
    async with client_of(settings_for(migrated_database_url, "127.0.0.1:1"), log) as client:
        a, b, _ = await _three(client)
        merge = await client.merge(a, b)
    async with ingest_of(log) as address, client_of(settings_for(migrated_database_url, address), log):
        await log.wait_for(1)
    assert log.events[0][1].external_id == merge.merge_id


async def test_candidates_follow_merges_and_splits(identity: Client) -> None:
    """A merged pair is off the list, and a pair that somebody split stays off."""
    await identity.resolve(
        record("1", email="lee@web.de", first_name="Ann", last_name="Lee Sr."),
        record("2", email="lee@web.de", first_name="Ann", last_name="Lee Jr."),
    )
    (candidate,) = (await identity.candidates()).candidates
    merge = await identity.merge(candidate.entity_id, candidate.other_entity_id)
    assert not (await identity.candidates()).candidates
    await identity.split(merge.merge_id)
    assert not (await identity.candidates()).candidates
    status = await identity.stub.GetIdentityStatus(pb.GetIdentityStatusRequest(tenant_id="acme"))
    assert status.merge_candidates == 0


Steps = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=Steps, seed=st.integers(0, 2**32))
async def test_splits_undo_merges_in_any_order(
    identity: Client, steps: list[tuple[bool, int, int]], seed: int
) -> None:
    """After any merges and splits, undoing what still stands, in any order, restores every record."""
    identity.tenant = f"t{uuid.uuid4().hex}"
    names = [f"{entity}{number}" for entity in "abcde" for number in (1, 2)]
    resolved = await identity.resolve(*[record(name, email=f"{name[0]}@firm.io") for name in names])
    home = {name: one.entity_id for name, one in zip(names, resolved, strict=True)}
    entities = list(dict.fromkeys(home.values()))
    standing: list[str] = []
    for merging, left, right in steps:
        if not merging and standing:
            await identity.split(standing.pop(left % len(standing)))
        elif left != right:
            merge = await _merge_if_allowed(identity, entities[left], entities[right])
            if merge is not None and merge.merge_id not in standing:
                standing.append(merge.merge_id)
    random.Random(seed).shuffle(standing)
    for merge_id in standing:
        await identity.split(merge_id)
    for name, entity_id in home.items():
        entity = await identity.entity_of(name)
        assert (entity.entity_id, entity.merged_into) == (entity_id, "")


async def _merge_if_allowed(identity: Client, winner: str, loser: str) -> pb.MergeResponse | None:
    try:
        return await identity.merge(winner, loser)
    except grpc.aio.AioRpcError as refused:
        if refused.code() != grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return None
