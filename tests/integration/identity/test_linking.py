"""Tiers, groups and people's decisions through the running service, with the tables looked at."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from tests.integration.identity.conftest import (
    Client,
    RecordingLog,
    client_of,
    ingest_of,
    record,
    settings_for,
)

from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee"}


async def _apart(identity: Client) -> tuple[str, str, str]:
    """Let the service merge two entities and a person undo it; return both and the record that tied them."""
    first, second = await identity.resolve(
        record("1", email="ann@firm.io", **ANN), record("2", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    (third,) = await identity.resolve(
        record("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee", **ANN)
    )
    assert third.entity_id == first.entity_id
    await identity.log.wait_for(1)
    await identity.split(identity.log.events[0][1].external_id)
    return first.entity_id, second.entity_id, third.entity_id


async def test_what_a_person_split_is_not_merged_again(identity: Client) -> None:
    """Told apart: in two groups at once, and whatever comes later neither merges nor asks again."""
    first, second, _ = await _apart(identity)
    one, other = await identity.entity_of("1"), await identity.entity_of("2")
    assert (one.entity_id, other.entity_id) == (first, second)
    assert one.members[0].group_id != other.members[0].group_id
    await identity.resolve(record("4", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee", **ANN))
    assert (await identity.entity_of("2")).entity_id == second
    assert (await identity.entity_of("1")).entity_id == first
    assert not (await identity.candidates()).candidates


async def test_what_a_person_merges_again_is_one(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The newest word counts: one entity, one group, and nothing told apart any more."""
    first, second, _ = await _apart(identity)
    await identity.merge(first, second)
    entity = await identity.entity_of("2")
    assert entity.entity_id == first
    assert len({member.group_id for member in entity.members}) == 1
    assert not await tables.fetchval("SELECT count(*) FROM identity.told_apart WHERE retract_time IS NULL")


async def test_a_merge_by_a_person_holds_against_the_evidence(identity: Client) -> None:
    """Two strangers that a person says are one: one group from then on, also as others come."""
    one, two = await identity.resolve(
        record("1", email="a@firm.io", first_name="Nora", last_name="Keller"),
        record("2", email="b@firm.io", first_name="Paul", last_name="Brandt"),
    )
    await identity.merge(one.entity_id, two.entity_id)
    (third,) = await identity.resolve(record("3", email="b@firm.io", first_name="Paul", last_name="Brandt"))
    entity = await identity.entity_of("1")
    assert {member.record.external_id for member in entity.members} == {"1", "2", "3"}
    assert {member.group_id for member in entity.members} == {third.group_id}


async def test_an_exclusive_key_moves_with_its_records(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A merge takes the loser's profile to the winner, its undoing gives it back."""
    one, two = await identity.resolve(
        record("1", email="a@firm.io", first_name="Nora", last_name="Keller"),
        record("2", linkedin_url="linkedin.com/in/paul-brandt", first_name="Paul", last_name="Brandt"),
    )
    holder = "SELECT entity_id::text FROM identity.exclusive_key"
    assert await tables.fetchval(holder) == two.entity_id
    merge = await identity.merge(one.entity_id, two.entity_id)
    assert await tables.fetchval(holder) == one.entity_id
    await identity.split(merge.merge_id)
    assert await tables.fetchval(holder) == two.entity_id


async def test_two_strangers_with_one_profile_do_not_both_hold_it(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The first keeps it; the second is put before a person."""
    one, two = await identity.resolve(
        record("1", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Keller"),
        record("2", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Brandt"),
    )
    assert one.entity_id != two.entity_id
    assert [row[0] for row in await tables.fetch("SELECT entity_id::text FROM identity.exclusive_key")] == [
        one.entity_id
    ]
    (candidate,) = (await identity.candidates()).candidates
    assert (candidate.rule, candidate.blocked_by) == ("contact.linkedin", "name_conflict")


async def test_a_number_that_many_surnames_use_lets_go(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A switchboard links until enough surnames show what it is; then its edges are scored anew."""
    for n, family in enumerate(("Santanov", "Brunnel", "Chekwube", "Ekman")):
        await identity.resolve(record(str(n), first_name="Mirela", last_name=family, phone="+12125557812"))
    use = await tables.fetchrow("SELECT value, generic FROM identity.key_use")
    assert use is not None
    assert tuple(use) == ("+12125557812", True)
    groups = {(await identity.entity_of(str(n))).members[0].group_id for n in range(4)}
    assert len(groups) == 4


async def test_a_crowded_key_is_given_up(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Beyond 40 records a name brings nobody together: no rows, no edges, no group, and so it stays."""
    await identity.resolve(*[record(f"a{n}", **ANN) for n in range(30)])
    assert len(await _groups(tables)) == 1
    await identity.resolve(*[record(f"b{n}", **ANN) for n in range(15)])
    (late,) = await identity.resolve(record("late", **ANN))
    assert late.tier == pb.MATCH_TIER_NEW
    assert len(await _groups(tables)) == 46
    assert not await tables.fetchval("SELECT count(*) FROM identity.record_key")
    assert not await tables.fetchval("SELECT count(*) FROM identity.edge")


async def test_in_review_mode_nothing_merges_by_itself(migrated_database_url: str) -> None:
    """What the merge rule finds to be one becomes a candidate with its bits."""
    log = RecordingLog()
    async with (
        ingest_of(log) as address,
        client_of(
            settings_for(migrated_database_url, address, HEADWATER_IDENTITY_MERGE="review"), log
        ) as client,
    ):
        first, second = await client.resolve(
            record("1", email="ann@firm.io", **ANN), record("2", linkedin_url="linkedin.com/in/annlee", **ANN)
        )
        await client.resolve(record("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee", **ANN))
        (candidate,) = (await client.candidates()).candidates
        assert {candidate.entity_id, candidate.other_entity_id} == {first.entity_id, second.entity_id}
        assert (candidate.bits > 10, candidate.blocked_by) == (True, "")
        assert candidate.question == pb.CANDIDATE_QUESTION_MERGE
        assert not log.events


async def test_an_unchanged_record_writes_nothing(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Sent again, alone or beside a new record, its row stays the very same."""
    await identity.resolve(record("1", email="ann@firm.io", **ANN))
    row = "SELECT xmin::text, ctid::text FROM identity.member WHERE external_id = '1'"
    before = await tables.fetchrow(row)
    await identity.resolve(record("1", email="ann@firm.io", **ANN))
    await identity.resolve(record("1", email="ann@firm.io", **ANN), record("2", email="other@firm.io"))
    assert await tables.fetchrow(row) == before


async def _groups(tables: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
    return await tables.fetch("SELECT DISTINCT group_id FROM identity.member")
