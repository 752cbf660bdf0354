"""Keys that know erased people again: one for a tenant, sealed by the vault, wrapped anew with everything else."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.integration.sync.vaulted import TENANT, VaultWorld, vault_world

from headwater.kernel.errors import InvalidInput, Unavailable
from headwater.kernel.pg.pool import open_pool
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.store.suppression_keys import CONNECTION, PostgresSuppressionKeys
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.vault import rotating
from headwater.sync.vault.secrets import AccountSecrets
from headwater.sync.vault.vault import check_free

pytestmark = pytest.mark.anyio

SUPPRESS = "insert into sync.suppression (tenant_id, digest, kind, erasure_id) values ($1, $2, 'email', $3)"


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[VaultWorld]:
    """A vault with its first key."""
    async with vault_world(migrated_database_url, tmp_path) as made:
        yield made


async def _beside(world: VaultWorld) -> int:
    return int(await world.pool.fetchval("select count(*) from sync.suppression_key"))


async def test_a_key_is_made_once_and_is_nowhere_in_plain(world: VaultWorld) -> None:
    """Four processes that want one at once, each for twenty callers, have the same; the database alone does not tell it."""
    found: list[bytes] = []

    async def want(keys: PostgresSuppressionKeys) -> None:
        found.append(await keys.key(TENANT))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            keys = PostgresSuppressionKeys(world.pool, world.another())
            for _ in range(20):
                tasks.start_soon(want, keys)
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert await _beside(world) == 0
    assert await PostgresSuppressionKeys(world.pool, world.vault).key("other") != found[0]


async def test_a_key_of_before_the_vault_is_sealed_and_stays_the_same(world: VaultWorld) -> None:
    """What was hashed with it is known afterwards, too; the hashes name the tenant whether its key is beside them or not."""
    before = await PostgresSuppressionKeys(world.pool).key(TENANT)
    assert await _beside(world) == 1
    await world.pool.execute(SUPPRESS, TENANT, bytes(16), uuid.uuid4())
    for _ in range(2):
        keys = PostgresSuppressionKeys(world.pool, world.another())
        standing = await PostgresSuppressions(world.pool, keys).standing([TENANT, "other"])
        assert standing.keys == {TENANT: before}
        assert await _beside(world) == 0
    assert await PostgresSuppressionKeys(world.pool, world.vault).key(TENANT) == before


async def test_rotation_wraps_it_anew(world: VaultWorld) -> None:
    """The former key of the ring is retired, and it opens all the same."""
    before = await PostgresSuppressionKeys(world.pool, world.vault).key(TENANT)
    (former,) = await world.states()
    done = await rotating.rotate(world.vault, world.clock.now(), lambda *_: None)
    assert (done.rewrapped, done.left) == (1, 0)
    await rotating.retire(world.vault, former)
    assert await PostgresSuppressionKeys(world.pool, world.another()).key(TENANT) == before


async def test_without_the_ring_nobody_is_taken_in(world: VaultWorld) -> None:
    """It is said what is missing, and comes right once the ring is back; no other key is made meanwhile."""
    before = await PostgresSuppressionKeys(world.pool, world.vault).key(TENANT)
    await world.pool.execute(SUPPRESS, TENANT, bytes(16), uuid.uuid4())
    kept = world.path.rename(world.path.with_suffix(".away"))
    lost = PostgresSuppressionKeys(world.pool, world.another())
    standing = await PostgresSuppressions(world.pool, lost).standing([TENANT])
    assert standing.keys == {}
    assert "does not open" in standing.closed[TENANT]
    with pytest.raises(Unavailable, match="does not open"):
        await lost.key(TENANT)
    kept.rename(world.path)
    assert await lost.key(TENANT) == before


async def test_a_key_that_is_gone_is_told(world: VaultWorld) -> None:
    """Hashes without their key know nobody: that is no reason to take everybody in."""
    await world.pool.execute(SUPPRESS, TENANT, bytes(16), uuid.uuid4())
    keys = PostgresSuppressionKeys(world.pool, world.vault)
    standing = await PostgresSuppressions(world.pool, keys).standing([TENANT])
    assert standing.keys == {}
    assert "is gone" in standing.closed[TENANT]
    with pytest.raises(Unavailable, match="is gone"):
        await keys.key(TENANT)


async def test_a_vault_without_a_key_leaves_it_beside_the_hashes(
    migrated_database_url: str, world: VaultWorld
) -> None:
    """As long as nobody called `headwater vault init`; processes agree then, too."""
    await world.pool.execute("delete from sync.vault_key")
    async with await open_pool(migrated_database_url, application_name="other", size_max=3) as pool:
        found = {await PostgresSuppressionKeys(pool, world.another()).key(TENANT) for _ in range(2)}
    assert len(found) == 1
    assert await _beside(world) == 1


async def test_nobody_sends_or_overwrites_it(world: VaultWorld) -> None:
    """Its name is not free: no policy may have a CRM's client log in with it."""
    with pytest.raises(InvalidInput, match=r"Headwater's own"):
        check_free(CONNECTION)
    secrets = AccountSecrets(EnvironmentSecrets({}), world.vault, "test")
    with pytest.raises(InvalidInput):
        await secrets.read(TENANT, f"vault:{CONNECTION}")
    with pytest.raises(InvalidInput):
        await secrets.read_field(TENANT, CONNECTION, "key")
