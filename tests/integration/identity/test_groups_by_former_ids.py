"""GetGroup through the running service: whoever holds an old id of a group finds the group now."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import grpc
import pytest
from tests.integration.identity.conftest import Client, record

from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _group(identity: Client, group_id: str) -> pb.GetGroupResponse:
    return await identity.stub.GetGroup(pb.GetGroupRequest(tenant_id=identity.tenant, group_id=group_id))


async def _home(identity: Client, name: str) -> str:
    return (await identity.entity_of(name)).members[0].group_id


async def test_an_absorbed_group_leads_to_the_one_that_took_it(identity: Client) -> None:
    """Both ids answer with the same group, the gone one by way of its records."""
    one, two = await identity.resolve(
        record("1", email="a@firm.io", first_name="Nora", last_name="Keller"),
        record("2", email="b@firm.io", first_name="Paul", last_name="Brandt"),
    )
    assert one.group_id != two.group_id
    await identity.merge(one.entity_id, two.entity_id)
    present = {await _home(identity, name) for name in ("1", "2")}
    answers = [await _group(identity, group) for group in (one.group_id, two.group_id)]
    assert {answer.group_id for answer in answers} == present
    for answer in answers:
        assert {member.record.external_id for member in answer.members} == {"1", "2"}
        assert not answer.split_into


async def test_a_group_that_was_parted_names_what_it_was_split_into(identity: Client) -> None:
    """The id that stays leads to itself, and says where the others are."""
    one, two = await identity.resolve(
        record("1", email="a@firm.io", first_name="Nora", last_name="Keller"),
        record("2", email="b@firm.io", first_name="Paul", last_name="Brandt"),
    )
    merge = await identity.merge(one.entity_id, two.entity_id)
    together = await _home(identity, "1")
    await identity.split(merge.merge_id)
    homes = {await _home(identity, name) for name in ("1", "2")}
    answer = await _group(identity, together)
    assert (len(homes), set(answer.split_into)) == (2, homes)
    assert answer.group_id == answer.split_into[0]


async def test_an_unknown_id_is_not_found(identity: Client) -> None:
    """Neither of the present nor of the past, nor another tenant's."""
    (one,) = await identity.resolve(record("1", email="a@firm.io"), tenant="other")
    for group_id in (NOBODY, one.group_id):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _group(identity, group_id)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_id_ever_answered_leads_to_where_its_records_are(identity: Client, seed: int) -> None:
    """Random records, merges and splits: each id leads to one present group, or names all that it came to."""
    chance = random.Random(seed)
    ever: dict[str, set[str]] = defaultdict(set)
    names: list[str] = []
    entities: list[str] = []
    merges: list[str] = []
    for number in range(40):
        kind = chance.random()
        if kind < 0.5 or len(entities) < 3:
            told: dict[str, Any] = {
                "first_name": "Mirela",
                "last_name": chance.choice(("Santanov", "Brunnel", "Dzhanov")),
                "email": f"m{chance.randrange(8)}@firm.io",
            }
            (found,) = await identity.resolve(record(f"r{number}", **told))
            names.append(f"r{number}")
            entities.append(found.entity_id)
        elif kind < 0.8 or not merges:
            winner, loser = chance.sample(entities, 2)
            merges += await _merged(identity, winner, loser)
        else:
            await identity.split(merges.pop(chance.randrange(len(merges))))
        for name in names:
            ever[await _home(identity, name)].add(name)
    homes = {name: await _home(identity, name) for name in names}
    assert len(ever) > len(set(homes.values()))
    for group_id, members in ever.items():
        answer = await _group(identity, group_id)
        reached = {homes[name] for name in members}
        assert answer.group_id in reached
        assert (set(answer.split_into) or {answer.group_id}) == reached
        if group_id in reached:
            assert answer.group_id == group_id
        assert {one.record.external_id for one in answer.members} == {
            name for name, home in homes.items() if home == answer.group_id
        }


async def _merged(identity: Client, winner: str, loser: str) -> list[str]:
    """Merge two entities; nothing where they are one already, or in a third."""
    try:
        return [(await identity.merge(winner, loser)).merge_id]
    except grpc.aio.AioRpcError as error:
        if error.code() in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT}:
            return []
        raise
