"""A person's value, planted wherever the sync service keeps values, is after an erasure only where it came from."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.integration.sync.canary import tables_of, tables_with
from tests.integration.sync.world import World
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.sync.auditing.ports import Erased
from headwater.sync.store.provable import PostgresProvableAudit

pytestmark = pytest.mark.anyio

CANARY: Final = "canary-4711@one.example.com"
SUBJECT, OTHER = 21, 22

KEPT: Final = {
    "sync.record": "what sources said, made from the log",
    "sync.entity": "made from the records",
    "sync.delivery": "what the CRM is known to hold: what the next write is compared with",
    "sync.activity": "made from the log",
    "sync.activity_domain": "made from the log",
    "sync.activity_person": "made from the log",
    "sync.activity_thread": "made from the log",
    "sync.association": "made from the log",
    "sync.timeline_key": "made from the log",
    "sync.touch": "said of a record by the log, kept as long as that",
    "sync.erasure": "names of a person's records, until they are erased everywhere",
    "sync.erasure_target": "ids of a person's records in CRMs, until they are erased there",
    "sync.projection": "how events of the log ended, by event",
    "sync.routing_event": "on its way into the log; gone once it is there",
    "sync.rollout": "conditions that an operator chose",
    "sync.poll_cursor": "a place in the CRM's own order",
}
"""Tables that may hold values of an entity that is not deleted, and why. They go when it is, with the log."""
CLEARED: Final = {
    "sync.approval", "sync.assignment", "sync.attempt", "sync.audit", "sync.enrichment", "sync.enrichment_answer",
    "sync.drift", "sync.error_group", "sync.merge_question", "sync.parity_run", "sync.poll_refusal", "sync.record_merge",
}  # fmt: skip
"""Tables that hold values of an entity besides, until they are erased."""
WITHOUT: Final = {
    "sync.backfill", "sync.backfill_listed", "sync.backfill_part", "sync.bulk_job", "sync.bulk_member",
    "sync.parity_order", "sync.parity_range", "sync.parity_usage", "sync.parked", "sync.rebuild_scope",
    "sync.record_fetch", "sync.audit_checkpoint", "sync.audit_erasure", "sync.audit_head", "sync.audit_key",
    "sync.audit_salt", "sync.audit_tile", "sync.connector_state", "sync.due", "sync.enrichment_provider",
    "sync.enrichment_usage", "sync.entity_reference", "sync.error_member", "sync.expiry", "sync.former_record",
    "sync.held_delivery", "sync.inflight", "sync.inspection", "sync.lease", "sync.policy_change",
    "sync.policy_version", "sync.process", "sync.quality", "sync.quota", "sync.reassociation", "sync.rebuild",
    "sync.replay", "sync.rollout_member", "sync.rollout_stage", "sync.routing_mark", "sync.routing_tenant",
    "sync.routing_turn", "sync.ruling", "sync.schedule", "sync.schema_migration", "sync.shard_cursor", "sync.sla_timer", "sync.stream", "sync.suppression", "sync.suppression_key", "sync.timeline_due",
    "sync.timeline_policy", "sync.timeline_spread", "sync.usage", "sync.vault_connection", "sync.vault_field",
    "sync.vault_key",
}  # fmt: skip
"""Tables that hold no value of an entity: ids, hashes, counts, times, and what concerns a whole account."""


async def plant(world: World, number: int, text: str) -> None:
    """Put *text* into every table that keeps values of an entity."""
    changes = [{"field": "email", "before": None, "after": text, "rule": "source_priority"}]
    entity: dict[str, Any] = {"tenant_id": TENANT, "entity_id": key(number)}
    account = {**entity, "connector": "salesforce"}
    await world.add_record(number, "crm", f"c{number}", email=text)
    await world.add_entity(
        number, fields={"email": [text, "source_priority", "crm", str(key(9000 + number)), 1]}
    )
    await world.add_delivery(
        number, 4, known={"Email": text}, crm_object="Contact", crm_id=f"003{number}", last_error=f"{text} is taken",
        last_error_class="validation",
    )  # fmt: skip
    await world.add_audit("entity_created", entity_id=key(number), changes=changes)
    await world.add_attempt(number, "failed", error_message=f"{text} is taken")
    await world.insert(
        "approval", **account, subject="write", approval_id=key(100 + number), object="contact", crm_object="Contact",
        crm_id="", kind="create", rule="all", version=1, event_key=key(number), policy_version="7", changes=changes,
        on_expiry="reject", expire_time=NOON,
    )  # fmt: skip
    told = {"register": {"outcome": "hit", "digest": f"digest-{number}", "reason": text}}
    await world.insert("enrichment", **entity, object="contact", wanted_version=1, told=told)
    for digest, asker in ((f"digest-{number}", None), (f"older-{number}", key(number))):
        await world.insert(
            "enrichment_answer", tenant_id=TENANT, provider="register", digest=digest, entity_id=asker,
            answer={"values": {"email": [text, 1.0]}}, answer_time=NOON, expire_time=NOON,
        )  # fmt: skip
    await world.insert(
        "error_group", tenant_id=TENANT, group_id=key(200 + number), connector="salesforce", endpoint="upsert",
        error_class="validation", error_code="DUPLICATE", message="… is taken", last_message=f"{text} is taken",
        failure_count=1, sample_entity_ids=[],
    )  # fmt: skip
    await world.insert("error_member", **account, group_id=key(200 + number), in_doubt=False)
    await world.insert(
        "poll_refusal", tenant_id=TENANT, connector="salesforce", crm_object="Contact", crm_id=f"003{number}",
        reason="INVALID", message=f"{text} is no address", modify_time=NOON,
    )  # fmt: skip
    await world.insert(
        "assignment", **entity, home_id=key(number), object="contact", state=2, reason=f"rule: {text}", lead_time=NOON
    )  # fmt: skip
    await world.insert(
        "merge_question", tenant_id=TENANT, connector="salesforce", question_id=key(300 + number),
        body={"winner": str(key(number)), "email": text},
    )  # fmt: skip
    await world.insert(
        "drift", **account, crm_object="Contact", crm_id=f"003{number}", kind="field", state="open",
        fields=[{"field": "Email", "ours": text, "theirs": "x"}], detect_time=NOON, run_id=key(number),
    )  # fmt: skip
    examples = [
        {
            "kind": "field",
            "crm_id": f"003{one}",
            "entity_id": str(key(one)),
            "fields": [{"field": "Email", "found": said}],
        }
        for one, said in ((number, text), (900, "x"))
    ]
    await world.insert(
        "parity_run", tenant_id=TENANT, run_id=key(600 + number), connector="salesforce", job="daily", dry=False,
        begin_time=NOON, report={"objects": {"Contact": {"records": 2, "examples": examples}}, "calls": 1},
    )  # fmt: skip
    await merge(world, number, 400 + number, "merged", text)


async def merge(world: World, number: int, merge_number: int, state: str, text: str) -> None:
    """Put a merge of records in, with snapshots of both."""
    await world.insert(
        "record_merge", tenant_id=TENANT, connector="salesforce", merge_id=key(merge_number), number=merge_number,
        object="contact", winner_id=key(500), loser_id=key(number), event_key=key(number), wanted="merged",
        state=state, merged={"loser": {"Email": text}}, finding=f"lost {text}",
    )  # fmt: skip


async def erase(world: World, number: int, *, dry_run: bool = False) -> Erased:
    """Erase as `headwater audit erase` does."""
    audit = PostgresProvableAudit(world.pool)
    if dry_run:
        return await audit.erasable(TENANT, key(number))
    return await audit.erase(TENANT, key(number), "privacy desk", "request 4711")


async def test_every_table_is_one_that_keeps_is_cleared_or_has_no_values(world: World) -> None:
    """A table that is new must be told of here: whether values are in it, and who takes them out."""
    async with world.pool.acquire() as connection:
        tables = {table for table in await tables_of(connection) if table.startswith("sync.")}
    assert tables == {*KEPT, *CLEARED, *WITHOUT}


async def test_a_value_is_left_only_where_it_came_from(world: World) -> None:
    """Planted in every table, found in every table, and erased from all that are not its source; the other's stays."""
    await plant(world, SUBJECT, CANARY)
    await plant(world, OTHER, "somebody-else@one.example.com")
    async with world.pool.acquire() as connection:
        planted = await tables_with(connection, CANARY)
        others = await tables_with(connection, "somebody-else@one.example.com")
        assert planted >= CLEARED
        assert planted - CLEARED == {"sync.record", "sync.entity", "sync.delivery"}
        dry = await erase(world, SUBJECT, dry_run=True)
        assert await tables_with(connection, CANARY) == planted
        assert await erase(world, SUBJECT) == dry == Erased(entries=1, traces=13, held=0)
        left = await tables_with(connection, CANARY)
        assert left <= set(KEPT)
        assert left == {"sync.record", "sync.entity", "sync.delivery"}
        known = "select last_error from sync.delivery where tenant_id = $1 and entity_id = $2"
        assert await connection.fetchval(known, TENANT, key(SUBJECT)) == ""
        assert await tables_with(connection, "somebody-else@one.example.com") == others
    assert await erase(world, SUBJECT) == Erased(0, 0, 0)


async def test_a_merge_under_way_keeps_what_it_needs_and_that_is_told(world: World) -> None:
    """Its snapshots are what a crash in the middle is put right by; once it has ended they go."""
    await merge(world, SUBJECT, 401, "merging", CANARY)
    assert await erase(world, SUBJECT) == Erased(0, 0, 1)
    async with world.pool.acquire() as connection:
        assert await tables_with(connection, CANARY) == {"sync.record_merge"}
        await connection.execute("update sync.record_merge set state = 'merged'")
        assert await erase(world, SUBJECT) == Erased(0, 1, 0)
        assert await tables_with(connection, CANARY) == set()
