"""Replaying the log into an empty projection gives the same entities, activities and delivery state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import (
    SECRET,
    TENANT,
    Doors,
    doors,
    event,
    looking,
    policy_event,
    settled,
    syncing,
    until,
)

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2
from headwater.kernel.pg.migrations import migrate, package_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

OPERATOR = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
STATE = {
    "records": "select tenant_id, object, source, external_id, entity_id, fields, deleted from sync.record",
    "entities": "select tenant_id, entity_id, object, state, merged_into, fields, policy_version from sync.entity",
    "references": "select * from sync.entity_reference",
    "deliveries": "select tenant_id, connector, entity_id, object, state, crm_object, crm_id, known from sync.delivery",
    "outcomes": "select tenant_id, event_key, poisoned from sync.projection",
}
"""What a replay must give again; versions and times count how often something was computed, and are left out."""


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxProcess]:
    """A sandbox without seeded records, and the secret that opens its accounts."""
    monkeypatch.setenv("HEADWATER_SECRET_HUBSPOT", SECRET)
    process = SandboxProcess(tmp_path / "sandbox").start()
    try:
        process.client.post(f"{process.url}/_sandbox/hubspot/{TENANT}/reset?seed=false").raise_for_status()
        yield process
    finally:
        process.client.close()
        process.stop()


def history() -> list[event_pb2.Event]:
    """Return a seeded mix: versions out of order, several sources of one person, references, deletes."""
    chance = random.Random(11)
    events = [event("erp", "account", f"a-{n}", name=f"Account {n}") for n in range(5)]
    for n in range(60):
        person = {"email": f"p{n}@one.example.com", "first_name": f"Ada{n}", "last_name": f"Byron{n}"}
        events.append(event("erp", "contact", f"c-{n}", chance.uniform(0, 900), **person, title="first"))
        events.append(event("erp", "contact", f"c-{n}", chance.uniform(0, 900), **person, title="second"))
        if n % 3 == 0:
            events.append(event("shop", "contact", f"s-{n}", 50, **person, phone=f"+4930123{n:04}"))
        if n % 5 == 0:
            events.append(
                event("erp", "deal", f"d-{n}", 10, name=f"Deal {n}", account=f"a-{n % 5}", stage="won")
            )
            mail = {"kind": "email", "subject": f"Hello {n}", "occurred_time": "2026-01-01T00:00:00Z"}
            people = [{"role": "from", "address": person["email"], "name": ""}, _stranger(n)]
            events.append(event("mail", "activity", f"m-{n}", 20, **mail, participants=people))
    chance.shuffle(events)
    gone = event("shop", "contact", "s-3", 2000)
    events.append(event_pb2.Event(source=gone.source, object=gone.object, external_id=gone.external_id,
                                  event_time=gone.event_time, operation=event_pb2.OPERATION_DELETE))  # fmt: skip
    return events


def _stranger(n: int) -> dict[str, str]:
    return {"role": "to", "address": f"stranger{n}@two.example.net", "name": "Grace Hopper"}


async def state_of(connection: Any) -> dict[str, list[str]]:
    """Return every row of the state as text, sorted."""
    return {
        name: sorted(repr([_in_order(value) for value in row]) for row in await connection.fetch(sql))
        for name, sql in STATE.items()
    }


def _in_order(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, dict) else value


async def merge_and_split(world: Doors, connection: Any) -> None:
    """Merge two pairs of contacts, and split one of them again."""
    rows = await connection.fetch(
        "select entity_id::text as id from sync.record where source = 'erp' and external_id = any($1) order by external_id",
        ["c-10", "c-11", "c-20", "c-21"],
    )
    one, two, three, four = (row["id"] for row in rows)
    merge = partial(
        identity_pb2.MergeRequest, tenant_id=TENANT, actor=OPERATOR, merge_reason="the same person"
    )
    await world.identity.Merge(merge(winner_entity_id=one, loser_entity_id=two), timeout=10)
    merged = await world.identity.Merge(merge(winner_entity_id=three, loser_entity_id=four), timeout=10)
    split = identity_pb2.SplitRequest(tenant_id=TENANT, merge_id=merged.merge_id, actor=OPERATOR)
    await world.identity.Split(split, timeout=10)

    async def told() -> bool:
        count = await connection.fetchval("select count(*) from ingest.event where object = 'identity'")
        return bool(count == 3 and await settled(connection))

    await until(told)


async def test_a_replay_into_an_empty_projection_gives_the_same_state_and_writes_nothing(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Entities, activities, references and deliveries are equal, and no CRM record is changed by the replay."""
    async with doors(migrated_database_url) as world, looking(migrated_database_url) as connection:
        await world.record([policy_event(sandbox.url)])
        async with syncing(migrated_database_url, world.identity_address):
            await world.record(history())
            await until(partial(settled, connection))
            await merge_and_split(world, connection)
            before = await state_of(connection)
        written = len(effective(sandbox))
        await connection.execute("drop schema sync cascade")
        await migrate(connection, "sync", package_of("sync"))
        async with syncing(migrated_database_url, world.identity_address):
            await until(partial(settled, connection))
            after = await state_of(connection)
    for name in STATE:
        assert after[name] == before[name], name
    assert written > 100
    assert len(effective(sandbox)) == written


def effective(sandbox: SandboxProcess) -> list[dict[str, Any]]:
    """Return the arrivals that changed a record."""
    answer = sandbox.client.get(f"{sandbox.url}/_sandbox/hubspot/{TENANT}/arrivals?limit=10000")
    items: list[dict[str, Any]] = answer.json()["arrivals"]
    return [item for item in items if item["effect"] in {"created", "updated", "deleted"}]
