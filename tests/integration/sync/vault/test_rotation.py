"""Rotation: every data key under a new key behind live traffic, resumable, and the old key proven unused."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import asyncpg
import pytest
from tests.integration.sync.vaulted import TENANT, VaultWorld, vault_world

from headwater.kernel.errors import PreconditionFailed, Unavailable
from headwater.sync.ports import StoreRaced
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault import envelope, rotating
from headwater.sync.vault.envelope import Place, Sealed
from headwater.sync.vault.ports import Kept, Rewrapped, WrappedKey
from headwater.sync.vault.vault import Vault

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[VaultWorld]:
    """A vault with its first key."""
    async with vault_world(migrated_database_url, tmp_path) as world:
        yield world


def unheard(_done: int, _of: int) -> None:
    """Nobody watches."""


class LostSafe(PostgresSafe):
    """A database that goes away before a new key is made the active one."""

    async def promote(self, key_id: str, check_value: bytes, expected: str) -> bool:
        """Fail."""
        del key_id, check_value, expected
        raise Unavailable("gone")


class Killed(Exception):
    """The rotation's process is gone."""


async def test_rotation_wraps_everything_anew_and_the_old_key_can_be_retired(world: VaultWorld) -> None:
    """Payloads are not touched; progress is told; without the old key everything still opens."""
    await world.fill(25)
    [old] = await world.states()
    sealed = await world.pool.fetch("select nonce, sealed from sync.vault_field order by connection")
    seen: list[tuple[int, int]] = []
    done = await rotating.rotate(
        world.vault, world.clock.now(), lambda done, of: seen.append((done, of)), batch=10
    )
    assert (done.rewrapped, done.left, done.failed) == (25, 0, ())
    assert await world.states() == {old: ("decrypt_only", 0), done.key_id: ("active", 25)}
    assert seen == [(0, 25), (10, 25), (20, 25), (25, 25)]
    assert await world.pool.fetch("select nonce, sealed from sync.vault_field order by connection") == sealed
    await rotating.retire(world.vault, old)
    assert set(json.loads(world.path.read_text())) == {done.key_id}
    assert await world.opened("crm-00007") == {"token": "token-7"}


async def test_a_killed_rotation_goes_on_with_the_same_key(world: VaultWorld) -> None:
    """Half-way, and again right after the key was made: no second key, nothing lost, nothing done twice."""
    await world.fill(30)
    [old] = await world.states()

    def die(done: int, _of: int) -> None:
        if done >= 10:
            raise Killed

    with pytest.raises(Killed):
        await rotating.rotate(world.vault, world.clock.now(), die, batch=10)
    half = await world.states()
    assert half[old] == ("decrypt_only", 20)
    with pytest.raises(PreconditionFailed, match="still in use: 20"):
        await rotating.retire(world.another(), old)
    done = await rotating.rotate(world.another(), world.clock.now(), unheard, batch=10)
    assert (done.rewrapped, done.left) == (20, 0)
    assert await world.states() == {old: ("decrypt_only", 0), done.key_id: ("active", 30)}
    assert await world.opened("crm-00029") == {"token": "token-29"}


async def test_a_key_that_was_made_before_a_crash_is_the_one_that_wraps(world: VaultWorld) -> None:
    """The ring is written first: a key that the database does not know yet is taken, not made again."""
    await world.fill(1)
    crashing = Vault(LostSafe(world.pool), world.vault.ring)
    with pytest.raises(Unavailable):
        await rotating.rotate(crashing, world.clock.now(), unheard)
    made = set(json.loads(world.path.read_text()))
    done = await rotating.rotate(world.vault, world.clock.now(), unheard)
    assert set(json.loads(world.path.read_text())) == made
    assert done.key_id in made


async def test_a_prepared_key_is_used_by_the_next_rotation_and_not_before(world: VaultWorld) -> None:
    """So that the ring can be brought to other machines first; preparing twice makes one key."""
    await world.fill(2)
    [old] = await world.states()
    key_id = await rotating.prepare(world.vault, world.clock.now())
    assert await rotating.prepare(world.another(), world.clock.now()) == key_id
    await world.put("more", token="t")
    assert await world.states() == {old: ("active", 3)}
    done = await rotating.rotate(world.vault, world.clock.now(), unheard)
    assert (done.key_id, done.rewrapped) == (key_id, 3)


async def test_what_is_set_and_read_meanwhile_neither_fails_nor_is_lost(world: VaultWorld) -> None:
    """Readers and writers of these very secrets go on while every data key is exchanged."""
    await world.fill(40)
    [old] = await world.states()
    failures: list[Exception] = []
    turning = anyio.Event()

    async def read() -> None:
        number = 0
        while not turning.is_set():
            number = (number + 7) % 40
            held = await world.another().read(TENANT, f"crm-{number:05}")
            if not held[1]["token"].reveal().startswith("token-"):
                failures.append(AssertionError(number))

    async def write() -> None:
        number = 0
        while not turning.is_set():
            await world.put("busy", token=f"token-{number}")
            number += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        for _ in range(3):
            await rotating.rotate(world.another(), world.clock.now(), unheard, batch=3)
        turning.set()
    assert not failures
    uses = {state: uses for state, uses in (await world.states()).values() if uses}
    assert uses == {"active": 41}
    assert (await world.opened("busy"))["token"].startswith("token-")
    await rotating.retire(world.vault, old)


async def test_a_secret_set_anew_between_reading_and_writing_a_batch_is_left_alone(world: VaultWorld) -> None:
    """The wrapping that was read is not the one that stands there: it would bring back another data key."""
    await world.fill(2)
    [old] = await world.states()
    read = await world.vault.safe.wrapped_by([old], ("", ""), 10)
    await world.put("crm-00001", token="brand-new")
    material = (await world.vault.ring.read())[old]
    stale = [
        Rewrapped(item, envelope.wrap(material, item.place, b"d" * 32, os.urandom))
        for item in read
        if item.place.connection == "crm-00001"
    ]
    assert await world.vault.safe.rewrap(old, stale) == 0
    assert await world.opened("crm-00001") == {"token": "brand-new"}


async def test_two_rotations_at_once_make_one_key(world: VaultWorld) -> None:
    """The second goes on with the first one's."""
    await world.fill(20)

    async def rotate() -> None:
        await rotating.rotate(world.another(), world.clock.now(), unheard, batch=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rotate)
        tasks.start_soon(rotate)
    states = await world.states()
    assert sorted(states.values()) in (
        [("active", 20), ("decrypt_only", 0)],
        [("active", 20), ("decrypt_only", 0), ("decrypt_only", 0)],
    )
    assert await world.opened("crm-00003") == {"token": "token-3"}


async def test_the_database_lets_nobody_wrap_with_an_old_key(world: VaultWorld) -> None:
    """Not even a process that never heard of the rotation: so a count of 0 stays 0."""
    await world.fill(1)
    [old] = await world.states()
    await rotating.rotate(world.vault, world.clock.now(), unheard)
    late = WrappedKey(Place(TENANT, "late", 1), old, Sealed(b"n" * 12, b"w" * 48))
    with pytest.raises(StoreRaced, match="is not the active one"):
        await world.vault.safe.write(Kept(late, 0, {}), "ann")
    with pytest.raises(asyncpg.SerializationError):
        await world.pool.execute("update sync.vault_connection set key_id = $1", old)


async def test_a_data_key_that_does_not_open_is_told_and_keeps_the_old_key(world: VaultWorld) -> None:
    """The others are wrapped anew all the same."""
    await world.fill(5)
    [old] = await world.states()
    await world.pool.execute(
        "update sync.vault_connection set wrapped_key = key_nonce || key_nonce || key_nonce || key_nonce "
        "where connection = 'crm-00002'"
    )
    done = await rotating.rotate(world.vault, world.clock.now(), unheard, batch=2)
    assert (done.rewrapped, done.left) == (4, 1)
    assert [item[:2] for item in done.failed] == [(TENANT, "crm-00002")]
    with pytest.raises(PreconditionFailed, match="still in use: 1"):
        await rotating.retire(world.vault, old)


async def test_the_active_key_is_not_retired(world: VaultWorld) -> None:
    """Not even when it wraps nothing."""
    [active] = await world.states()
    with pytest.raises(PreconditionFailed, match="is the active one"):
        await rotating.retire(world.vault, active)
