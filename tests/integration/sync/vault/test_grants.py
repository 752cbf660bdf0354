"""Tokens in the vault: one refresh among many processes, kept before it is used, and what a refusal leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.integration.sync.vaulted import OAUTH, TENANT, VaultWorld, vault_world

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.granting import Grant
from headwater.connectors.base.oauth import TokenSource
from headwater.kernel.errors import Unavailable
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault.grants import VaultGrants
from headwater.sync.vault.ports import Kept
from headwater.sync.vault.vault import Vault

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[VaultWorld]:
    """A vault with one OAuth connection."""
    async with vault_world(migrated_database_url, tmp_path) as world:
        await world.put("crm", **OAUTH)
        yield world


class Endpoint:
    """A token endpoint that rotates refresh tokens: each is good once."""

    def __init__(self, life_s: float | None = 1800.0) -> None:
        self.good = "refresh-0"
        self.seen: list[str] = []
        self.life_s = life_s
        self.gone = False

    async def __call__(self, refresh_token: str) -> Grant:
        """Give tokens for the good refresh token."""
        self.seen.append(refresh_token)
        await anyio.lowlevel.checkpoint()
        if self.gone or refresh_token != self.good:
            raise CallFailed(VendorError(ErrorClass.AUTH, "invalid_grant", "gone"))
        number = len(self.seen)
        self.good = f"refresh-{number}"
        return Grant(f"access-{number}", self.life_s, self.good, "https://na1.example.com")


def keeper(world: VaultWorld, holder: str) -> VaultGrants:
    """Return the connection's keeper as another process has it."""
    return VaultGrants(world.another(), TENANT, "crm", holder)


async def test_many_processes_share_one_refresh(world: VaultWorld) -> None:
    """A refresh token that is good once is sent once, whoever asks; all get the same token."""
    endpoint = Endpoint()
    got: list[Grant] = []

    async def process(number: int) -> None:
        tokens = TokenSource(endpoint, "", keeper=keeper(world, f"p{number}"))
        got.append(await tokens.current())

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(process, number)
    assert endpoint.seen == ["refresh-0"]
    assert {(one.access_token, one.base_url) for one in got} == {("access-1", "https://na1.example.com")}


async def test_a_refused_token_is_renewed_once_for_all(world: VaultWorld) -> None:
    """Those who were refused the same token wait for one renewal; the rotated refresh token is the one sent."""
    endpoint = Endpoint()
    sources = [TokenSource(endpoint, "", keeper=keeper(world, f"p{number}")) for number in range(4)]
    for source in sources:
        await source.current()
    got: list[str] = []

    async def refused(source: TokenSource) -> None:
        got.append((await source.renew("access-1")).access_token)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for source in sources:
                tasks.start_soon(refused, source)
    assert (endpoint.seen, set(got)) == (["refresh-0", "refresh-1"], {"access-2"})


async def test_a_rotated_refresh_token_is_kept_before_the_token_is_given_out(world: VaultWorld) -> None:
    """A process that dies right after it got a token has lost nothing: the next one goes on with what was kept."""
    endpoint = Endpoint()
    grant = await keeper(world, "p1").renewed("", endpoint)
    held = await world.opened("crm")
    assert (held["refresh_token"], held["access_token"]) == ("refresh-1", grant.access_token)
    assert (await keeper(world, "p2").renewed(grant.access_token, endpoint)).access_token == "access-2"
    assert endpoint.seen == ["refresh-0", "refresh-1"]


class AwaySafe(PostgresSafe):
    """A database that is away whenever new tokens are to be kept."""

    away = True

    async def settle_refresh(self, kept: Kept, holder: str, life_s: float | None) -> bool:
        """Fail, or keep them."""
        if self.away:
            raise Unavailable("database: away")
        return await super().settle_refresh(kept, holder, life_s)


async def test_tokens_that_the_database_did_not_take_are_kept_before_any_other_refresh(
    world: VaultWorld,
) -> None:
    """The database was away when the vendor had answered: the process holds on to what it got."""
    endpoint, safe = Endpoint(), AwaySafe(world.pool)
    process = VaultGrants(Vault(safe, world.vault.ring), TENANT, "crm", "p1", keep_pause_s=0.0)
    with pytest.raises(CallFailed) as failed:
        await process.renewed("", endpoint)
    assert failed.value.error.error_class is ErrorClass.NETWORK
    safe.away = False
    assert (await process.renewed("", endpoint)).access_token == "access-1"
    assert (await world.opened("crm"))["refresh_token"] == "refresh-1"
    assert endpoint.seen == ["refresh-0"]


async def test_a_refused_grant_asks_for_a_person_and_spares_the_vendor(world: VaultWorld) -> None:
    """The connection says that it must be authorised again, nobody tries meanwhile, and setting it anew heals it."""
    endpoint = Endpoint()
    endpoint.gone = True
    for number in range(3):
        with pytest.raises(CallFailed, match="gone") as failed:
            await keeper(world, f"p{number}").renewed("", endpoint)
        assert failed.value.error.error_class is ErrorClass.AUTH
    assert endpoint.seen == ["refresh-0"]
    [view] = await world.vault.safe.connections(TENANT)
    assert (view.state, view.finding) == ("reauthorize", "invalid_grant: gone")
    endpoint.gone = False
    await world.put("crm", **OAUTH)
    assert (await keeper(world, "p9").renewed("", endpoint)).access_token == "access-2"
    [view] = await world.vault.safe.connections(TENANT)
    assert (view.state, view.finding) == ("ready", "")


async def test_a_failure_that_says_nothing_about_the_grant_is_tried_again_soon(world: VaultWorld) -> None:
    """A vendor that is down leaves the connection as it is."""
    endpoint = Endpoint()

    async def down(_refresh_token: str) -> Grant:
        raise CallFailed(VendorError(ErrorClass.SERVER, "HTTP_503", "down"))

    with pytest.raises(CallFailed, match="down"):
        await keeper(world, "p1").renewed("", down)
    with anyio.fail_after(5):
        assert (await keeper(world, "p2").renewed("", endpoint)).access_token == "access-1"


async def test_a_claim_of_a_dead_process_lapses(world: VaultWorld) -> None:
    """It bars others for its time, and no longer."""
    kept, _ = await world.vault.read(TENANT, "crm")
    safe = world.vault.safe
    assert await safe.claim_refresh(TENANT, "crm", kept.version, "dead", 0.2)
    assert not await safe.claim_refresh(TENANT, "crm", kept.version, "p2", 60)
    with anyio.fail_after(5):
        assert (await keeper(world, "p2").renewed("", Endpoint())).access_token == "access-1"
    assert not await safe.settle_refresh(kept, "dead", None)


async def test_a_kept_token_that_ends_soon_is_not_given_out(world: VaultWorld) -> None:
    """One without a stated life is, until it is refused."""
    short, endless = Endpoint(life_s=20.0), Endpoint(life_s=None)
    await keeper(world, "p1").renewed("", short)
    await keeper(world, "p2").renewed("", short)
    assert short.seen == ["refresh-0", "refresh-1"]
    await world.put("crm", **OAUTH)
    await keeper(world, "p1").renewed("", endless)
    await keeper(world, "p2").renewed("", endless)
    assert endless.seen == ["refresh-0"]


async def test_a_secret_set_anew_during_a_refresh_wins(world: VaultWorld) -> None:
    """Tokens of the old grant do not stand beside the new one."""
    endpoint = Endpoint()

    async def slow(refresh_token: str) -> Grant:
        await world.put("crm", **{**OAUTH, "refresh_token": "brand-new"})
        return await endpoint(refresh_token)

    with pytest.raises(CallFailed, match="set anew"):
        await keeper(world, "p1").renewed("", slow)
    held = await world.opened("crm")
    assert (held["refresh_token"], "access_token" in held) == ("brand-new", False)
