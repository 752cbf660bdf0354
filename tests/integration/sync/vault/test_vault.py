"""Secrets are kept sealed, come back whole, and do not open when their rows were tampered with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.integration.sync.vaulted import OAUTH, TENANT, VaultWorld, vault_world

from headwater.kernel.errors import InvalidInput, NotFound
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.vault.envelope import NotOpened
from headwater.sync.vault.ports import KeyRingFault
from headwater.sync.vault.secrets import AccountSecrets, reopen_changed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[VaultWorld]:
    """A vault with its first key."""
    async with vault_world(migrated_database_url, tmp_path) as world:
        yield world


async def test_a_secret_comes_back_and_stands_nowhere_in_the_database(world: VaultWorld) -> None:
    """Not in the vault's tables, nor in the audit, which names the fields."""
    assert await world.put("hubspot", **OAUTH) == 1
    assert await world.opened("hubspot") == OAUTH
    dump = ""
    for table in ("vault_connection", "vault_field", "vault_key", "audit"):
        rows = await world.pool.fetch(f"select to_json(held)::text as row from sync.{table} as held")  # noqa: S608 - own names
        dump += "".join(row["row"] for row in rows)
    for value in OAUTH.values():
        assert value not in dump
        assert value.encode().hex() not in dump
    assert "secret_set" in dump
    assert "client_secret" in dump


async def test_set_again_replaces_every_field_under_a_new_data_key(world: VaultWorld) -> None:
    """Nothing of the old secret stays, and the version grows."""
    await world.put("crm", **OAUTH)
    [before] = await world.pool.fetch("select key_version, wrapped_key from sync.vault_connection")
    assert await world.put("crm", api_key="new") == 2
    assert await world.opened("crm") == {"api_key": "new"}
    [after] = await world.pool.fetch("select key_version, wrapped_key from sync.vault_connection")
    assert (before["key_version"], after["key_version"]) == (1, 2)
    assert before["wrapped_key"] != after["wrapped_key"]


@pytest.mark.parametrize(
    "tampering",
    [
        "update sync.vault_connection set tenant_id = 'rival'",
        "update sync.vault_connection set connection = 'b'",
        "update sync.vault_connection set key_version = key_version + 1",
        "update sync.vault_field set field = 'other' where field = 'client_id'",
        "update sync.vault_field set sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 1)",
        "update sync.vault_field set nonce = set_byte(nonce, 3, get_byte(nonce, 3) # 1)",
        "update sync.vault_connection set wrapped_key = set_byte(wrapped_key, 9, get_byte(wrapped_key, 9) # 1)",
    ],
)
async def test_tampered_rows_do_not_open(world: VaultWorld, tampering: str) -> None:
    """Who can write the database can destroy a secret, but not move it to where it would be used."""
    await world.put("a", **OAUTH)
    await world.pool.execute(
        "alter table sync.vault_field drop constraint vault_field_tenant_id_connection_fkey"
    )
    await world.pool.execute(tampering)
    moved = tampering.replace("sync.vault_connection", "sync.vault_field")
    if "tenant_id" in tampering or "connection =" in tampering:
        await world.pool.execute(moved)
    [row] = await world.pool.fetch("select tenant_id, connection from sync.vault_connection")
    with pytest.raises(NotOpened):
        await world.vault.read(row["tenant_id"], row["connection"])


async def test_a_missing_connection_a_missing_key_and_a_bad_name_are_told_apart(world: VaultWorld) -> None:
    """Each with what to do."""
    with pytest.raises(NotFound, match="headwater vault set crm"):
        await world.opened("crm")
    with pytest.raises(InvalidInput, match="must be a name"):
        await world.put("No Name", api_key="x")
    await world.put("crm", api_key="x")
    world.path.unlink()
    with pytest.raises(KeyRingFault, match="not in the key ring"):
        await world.opened("crm")


async def test_another_key_of_the_same_name_is_refused(world: VaultWorld) -> None:
    """A ring of another installation would otherwise seal what nobody can open."""
    ring = json.loads(world.path.read_text())
    world.path.write_text(json.dumps(dict.fromkeys(ring, "A" * 43 + "=")))
    with pytest.raises(KeyRingFault, match="not the one that was used before"):
        await world.put("crm", api_key="x")


async def test_two_who_set_at_once_do_not_mix(world: VaultWorld) -> None:
    """Both succeed, one after the other; what stands is one of them, whole."""
    await world.put("crm", who="nobody")

    async def put(who: str) -> None:
        await world.put("crm", who=who, mark=who)

    async with anyio.create_task_group() as tasks:
        for who in ("ann", "ben"):
            tasks.start_soon(put, who)
    held = await world.opened("crm")
    assert held["who"] == held["mark"] != "nobody"


async def test_remove_is_for_good(world: VaultWorld) -> None:
    """Fields go with their connection; removing twice says so."""
    await world.put("crm", **OAUTH)
    assert await world.vault.safe.remove(TENANT, "crm", "ann")
    assert not await world.vault.safe.remove(TENANT, "crm", "ann")
    assert await world.pool.fetchval("select count(*) from sync.vault_field") == 0


async def test_an_account_reads_by_reference_without_the_keepers_own_fields(world: VaultWorld) -> None:
    """From the vault with a keeper of its tokens; from the environment as ever."""
    await world.put("crm", **OAUTH, access_token="kept", instance_url="")
    secrets = AccountSecrets(EnvironmentSecrets({"CRM": '{"api_key": "x"}'}), world.vault, "p1")
    from_vault = await secrets.read(TENANT, "vault:crm")
    assert (dict(from_vault.values), from_vault.grants is None) == (OAUTH, False)
    assert "s3cret" not in repr(from_vault)
    from_environment = await secrets.read(TENANT, "env:CRM")
    assert (dict(from_environment.values), from_environment.grants) == ({"api_key": "x"}, None)


class Running:
    """An account that counts how often it was opened anew."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.reopened = 0

    def reopen(self) -> None:
        """Count."""
        self.reopened += 1


async def test_a_change_is_told_to_the_accounts_that_use_it_and_to_no_others(world: VaultWorld) -> None:
    """By notification, once the change is committed."""
    told: list[str] = []
    arrived = anyio.Event()

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        told.append(str(payload))
        arrived.set()

    accounts = {
        (TENANT, "a"): Running("vault:crm"),
        (TENANT, "b"): Running("vault:other"),
        ("rival", "c"): Running("vault:crm"),
        (TENANT, "d"): Running("env:CRM"),
    }
    async with world.pool.acquire() as connection:
        await connection.add_listener("headwater_vault", hear)
        await world.put("crm", **OAUTH)
        with anyio.fail_after(5):
            await arrived.wait()
        await connection.remove_listener("headwater_vault", hear)
    reopen_changed(accounts, told[0])
    assert [account.reopened for account in accounts.values()] == [1, 0, 0, 0]
    reopen_changed(accounts, "")  # after a lost connection anything may have been missed
    assert [account.reopened for account in accounts.values()] == [2, 1, 1, 0]
