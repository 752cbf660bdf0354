"""Entries of the audit get numbers after their commit, none is skipped, and what they commit to is one form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.integration.sync.trail_world import ANN, BEN, FULL, TENANT, TrailWorld, trail_world

from headwater.audit.entries import leaf_of
from headwater.audit.merkle import Tree, includes, inclusion_spans
from headwater.sync.domain.leasing import FenceLost, Lease

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[TrailWorld]:
    """An empty audit of the test's own."""
    async with trail_world(migrated_database_url, tmp_path / "place") as world:
        yield world


async def test_the_database_and_the_verifier_have_one_form(world: TrailWorld) -> None:
    """The leaf that SQL has made of an entry, with and without its optional columns, is the one Python makes."""
    await world.write(actor="Zoë — 漢", entity_id=None, changes=[])
    await world.write(**FULL)
    await world.write(**{**FULL, "outcome": None, "version": None, "start_time": None, "object": None})
    assert await world.number() == 3
    entries = await world.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [leaf_of(entry) for entry in entries] == [entry.leaf for entry in entries]
    assert len({entry.salt for entry in entries}) == 3


async def test_text_of_changes_is_kept_as_it_stands(world: TrailWorld) -> None:
    """Blanks, line breaks and the order of names are part of what is committed to."""
    for text in ('[ {"b":1,\n "a":2} ]', '[{"a": 2, "b": 1}]'):
        await world.pool.execute(
            "insert into sync.audit (tenant_id, action, actor, changes) values ($1, 'a', 'b', ($2::text)::json)",
            TENANT,
            text,
        )
    await world.number()
    assert [leaf_of(entry) == entry.leaf for entry in await world.entries()] == [True, True]


async def test_a_transaction_under_way_is_never_skipped(world: TrailWorld) -> None:
    """Entries written after one that commits late wait for it, and get their numbers behind it."""
    statement = "insert into sync.audit (tenant_id, action, actor) values ('acme', $1, 'x')"
    async with world.pool.acquire() as late:
        transaction = late.transaction()
        await transaction.start()
        await late.execute(statement, "late")
        await world.write()
        assert await world.number() == 0
        assert (TENANT, False) in await world.trail.pending("", 10)
        await transaction.commit()
    assert await world.number() == 2
    assert [entry.action for entry in await world.entries()] == ["late", "field_changed"]


async def test_batches_of_any_size_grow_one_tree(world: TrailWorld) -> None:
    """Numbers have no gaps over tiles and batches; the root is that of a tree grown at once."""
    await world.write(700)
    counts = [await world.number(batch) for batch in (1, 255, 1, 300, 10_000)]
    assert counts == [1, 255, 1, 300, 143]
    entries = await world.entries()
    assert [entry.seq for entry in entries] == list(range(1, 701))
    tree = Tree()
    tree.append([entry.leaf for entry in entries])
    assert await world.trail.root(TENANT, 700) == tree.root()
    for index in (0, 255, 256, 511, 699):
        path = await world.audit.roots(TENANT, inclusion_spans(index, 700))
        assert includes(entries[index].leaf, index, 700, path, tree.root())


async def test_tenants_have_trees_of_their_own(world: TrailWorld) -> None:
    """One batch numbers several tenants, each from 1; neither salts nor roots are shared."""
    world.tenants.append("other")
    await world.write(3)
    await world.write(2, "other")
    assert await world.trail.pending("", 10) == [("acme", True), ("other", True)]
    assert await world.trail.pending("acme", 10) == [("other", True)]
    assert await world.number() == 5
    assert await world.trail.pending("", 10) == [("acme", False), ("other", False)]
    ours, theirs = await world.entries(), await world.entries("other")
    assert ([entry.seq for entry in ours], [entry.seq for entry in theirs]) == ([1, 2, 3], [1, 2])
    assert not {entry.salt for entry in ours} & {entry.salt for entry in theirs}


async def test_who_has_lost_the_lease_numbers_nothing(world: TrailWorld) -> None:
    """The fence is held before anything is taken."""
    await world.write()
    with pytest.raises(FenceLost):
        await world.trail.number(Lease(world.lease.name, world.lease.fence - 1), [TENANT], 10)
    assert (await world.audit.standing(TENANT)).size == 0


TABLES = ("audit", "audit_tile", "audit_checkpoint", "audit_key", "audit_erasure")
COLUMN = {
    "audit": "actor = 'x'",
    "audit_tile": "tier = 1",
    "audit_checkpoint": "size = 9",
    "audit_key": "create_time = now()",
    "audit_erasure": "seq = 9",
}


@pytest.mark.parametrize("table", TABLES)
async def test_what_was_written_cannot_be_changed(world: TrailWorld, table: str) -> None:
    """UPDATE, DELETE and TRUNCATE of every table are refused, to the owner too, with rows or without."""
    await world.write(3)
    await world.seal()
    for statement in (
        f"update sync.{table} set {COLUMN[table]}",  # noqa: S608 - names of this file
        f"update sync.{table} set {COLUMN[table]} where false",  # noqa: S608
        f"delete from sync.{table}",  # noqa: S608
        f"truncate sync.{table}",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=rf"sync\.{table} is append-only"):
            await world.pool.execute(statement)
    assert (await world.verdict()).sealed == 3


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("audit", "update sync.audit set actor = 'x'"),
        ("audit", "update sync.audit set changes = '[]'"),
        ("audit", "update sync.audit set changes = sync.erased(), actor = 'x'"),
        ("audit_tile", "update sync.audit_tile set nodes = overlay(nodes placing '\\x00' from 1)"),
        ("audit_tile", "update sync.audit_tile set nodes = substr(nodes, 1, 32), audit_ids = audit_ids[1:1]"),
        ("audit_tile", "update sync.audit_tile set tile = 9"),
    ],
)
async def test_the_order_to_erase_or_grow_lets_nothing_else_through(
    world: TrailWorld, table: str, statement: str
) -> None:
    """Whoever sets what our functions set can put the mark of erasure and add to tiles, no more."""
    await world.write(3)
    await world.number()
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('headwater.audit_order', $1, true)", table)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)


async def test_proofs_stand_after_the_values_of_a_subject_are_erased(world: TrailWorld) -> None:
    """Values and salts are gone, leaves and root are what they were, and the verdict counts erased, not edited."""
    await world.write(300)
    await world.write(2, entity_id=BEN)
    await world.seal()
    before = await world.entries()
    erase = "select sync.erase_audit($1, $2, 'privacy desk', 'article 17')"
    assert await world.pool.fetchval(erase, TENANT, ANN) == 300
    assert await world.pool.fetchval(erase, TENANT, ANN) == 0
    after = await world.entries()
    assert [entry.leaf for entry in after] == [entry.leaf for entry in before]
    assert all(entry.is_erased and not entry.salt for entry in after[:300])
    assert not any(entry.is_erased for entry in after[300:])
    held = await world.pool.fetchval(
        "select count(*) from sync.audit where changes::text like '%ann@x.io%' and entity_id = $1", ANN
    )
    salts = await world.pool.fetchval("select string_agg(salts, '' order by tile) from sync.audit_salt")
    assert held == 0
    assert salts[: 300 * 16] == bytes(300 * 16)
    assert salts[300 * 16 :] == b"".join(entry.salt for entry in before[300:])
    unconfirmed = await world.verdict()
    assert (unconfirmed.is_sound, unconfirmed.erased, unconfirmed.unconfirmed) == (True, 0, 300)
    await world.seal()
    verdict = await world.verdict()
    assert (verdict.is_sound, verdict.erased, verdict.unconfirmed) == (True, 300, 0)
    assert verdict.sealed == verdict.entries == 304


async def test_what_was_erased_before_it_had_a_number_is_numbered_as_erased(world: TrailWorld) -> None:
    """Its leaf is made over the mark; nothing of the values is left anywhere."""
    await world.write()
    assert await world.pool.fetchval("select sync.erase_audit($1, $2, 'desk', 'asked')", TENANT, ANN) == 1
    await world.seal()
    verdict = await world.verdict()
    assert (verdict.is_sound, verdict.entries, verdict.erased) == (True, 2, 0)


async def test_values_taken_away_without_an_order_are_tampering(world: TrailWorld) -> None:
    """Erased by hand, with a commitment that fits, but no entry that orders it: edited."""
    await world.write(3)
    await world.seal()
    await world.damage(
        "insert into sync.audit_erasure (tenant_id, audit_id, seq, commitment, order_id)"
        " select $1, entry.audit_id, 2, sync.audit_commitment(substr(salts, 17, 16), entry.changes), 1"
        " from sync.audit as entry, sync.audit_salt as held"
        " where entry.audit_id = (select audit_ids[2] from sync.audit_tile)",
        TENANT,
    )
    finding = (await world.verdict()).finding
    assert finding is not None
    assert (finding.kind, finding.seq) == ("edited", 2)
