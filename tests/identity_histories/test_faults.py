"""Histories under kill -9 of the service and of Postgres: linearizable, and no merge is half done."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from tests.identity_histories.calls import Merge, Merged, Resolve, Resolved
from tests.identity_histories.faults import run_faulted
from tests.identity_histories.oracles import half_done
from tests.identity_histories.services import service_on
from tests.identity_histories.tallying import Order
from tests.system.chaos.stack import POSTGRES

TENANT = "acme"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_histories_are_linearizable_while_service_and_postgres_are_killed(tmp_path: Path) -> None:
    """Four kills, one of them of Postgres: every answer fits one order, and the tables are whole."""
    found = run_faulted(Order(40, 3, tmp_path), kills=4)
    assert not found.tally.failures, "\n".join(found.tally.failures)
    assert found.broken == {}
    assert (sum(found.kills.values()), found.kills[POSTGRES]) == (4, 1)
    assert found.tally.unanswered > 0
    assert found.merges > 0


HALVES = {
    "records that never moved": "UPDATE identity.member SET entity_id = record_id",
    "a loser that does not know": "UPDATE identity.entity SET merged_into = NULL",
    "a merge that was never written": "UPDATE identity.merge SET split_time = now(), split_moved_count = 1, "
    "split_actor_type = 1, split_actor_id = 'x', split_actor_name = ''",
    "moves that were not noted": "DELETE FROM identity.merge_member",
    "a change that is not told": "DELETE FROM identity.change",
    "keys that are missing": "DELETE FROM identity.record_key",
}


@pytest.mark.anyio
@pytest.mark.parametrize("half", HALVES)
async def test_half_a_merge_is_seen_in_the_tables(migrated_database_url: str, half: str) -> None:
    """Whatever part of a merge is missing, some rule is broken; of a whole merge none is."""
    async with service_on(migrated_database_url) as service:
        found = await service.answer(TENANT, Resolve(("ann/1", "bob/1")))
        assert isinstance(found, Resolved)
        assert isinstance(await service.answer(TENANT, Merge(*found.entities)), Merged)
    assert await half_done(migrated_database_url) == {}
    connection = await asyncpg.connect(migrated_database_url)
    await connection.execute(HALVES[half])
    await connection.close()
    assert await half_done(migrated_database_url) != {}
