"""Rotations of many stored secrets by the real command, while accounts deliver with tokens from the same vault.

The accounts' tokens live for seconds and every refresh rotates the refresh token, so the vault is read and written
all the time. The first rotation runs to its end; the second is killed half-way and called again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio import to_thread
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.ground import Ground, World
from tests.load.sync.latency import until_settled
from tests.load.sync.pacing import offer

from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.secret import Secret
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault import rotating
from headwater.sync.vault.rings import FileRing
from headwater.sync.vault.vault import Vault

TOKEN_TTL_S: Final = 4
RATE: Final = 50.0
LEAD_S: Final = 4.0
RECORDS: Final = 2_000
WRITERS: Final = 8
COMMAND_S_MAX: Final = 120.0
FAILED: Final = "select count(*) from sync.try where outcome in ('failed', 'in_doubt') and tenant_id = $1"
DELIVERED: Final = "select count(*) from sync.delivery where state = 2 and tenant_id = $1"
REFRESHED: Final = "select sum(version) - count(*) from sync.vault_connection where connection = any($1)"
FINDINGS: Final = "select count(*) from sync.connector_state where finding <> ''"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a round came to.

    Args:
        seconds: of the rotation that was not killed.
        failed: tries of deliveries that failed or are in doubt, and accounts with a finding.
        refreshed: token refreshes during the round, each written to the vault.
        at_kill: data keys that the killed rotation had wrapped anew.
        resumed: data keys that the call after it wrapped anew.
        unopened: secrets that do not open without the old keys.
        left: data keys under an old key at the end.
    """

    secrets: int
    seconds: float
    events: int
    failed: int
    refreshed: int
    at_kill: int
    resumed: int
    unopened: int
    left: int


async def measure(ground: Ground, count: int) -> Rotated:
    """Do one round.

    Raises: MeasurementFailed.
    """
    async with ground.world(facts.TWO, started=()) as world:
        directory = ground.directory / f"vault-{count}-{time.monotonic_ns()}"
        directory.mkdir()
        ring = directory / "vault-keys.json"
        for child in world.children.values():
            child.environment = {**child.environment, "HEADWATER_SYNC_VAULT_KEYS": str(ring)}
        async with await open_pool(world.database_url, application_name="bench", size_max=WRITERS) as pool:
            vault = Vault(PostgresSafe(pool), FileRing(ring), os.urandom)
            await _fill(vault, count)
            return await _round(world, vault, count)


async def _fill(vault: Vault, count: int) -> None:
    await rotating.initialise(vault, SystemClock().now())
    for one in facts.TWO:
        secret = json.loads(facts.secrets([one])[f"{facts.SECRET}_{one.name.upper()}"])
        await _put(vault, one.name, secret)
    numbers = iter(range(count - len(facts.TWO)))

    async def put_some() -> None:
        for number in numbers:
            await _put(vault, f"stored-{number:06}", {"api_key": f"key-{number}"})

    async with anyio.create_task_group() as tasks:
        for _ in range(WRITERS):
            tasks.start_soon(put_some)


async def _put(vault: Vault, name: str, fields: Mapping[str, str]) -> None:
    await vault.put(facts.TENANT, name, {key: Secret(value) for key, value in fields.items()}, "bench")


async def _round(world: World, vault: Vault, count: int) -> Rotated:
    for one in facts.TWO:
        place = f"/_sandbox/{one.vendor}/{one.name}/options"
        options = {"calls_max": None, "search_calls_max": None, "calls_daily_max": 1_000_000_000}
        options |= {"token_ttl_s": TOKEN_TTL_S, "rotate_refresh_tokens": True}
        (await world.sandbox.put(place, json=options)).raise_for_status()
    for name in ("ingest", "identity", "sync"):
        await world.start(name)
    await world.apply_policy(in_vault=True)
    await world.until_connected()
    environment = {**os.environ, **world.children["sync"].environment}
    offered = 0
    stop = anyio.Event()

    async def deliver() -> None:
        nonlocal offered
        while not stop.is_set():
            done = await offer(world, rate=RATE, seconds=1.0, first=offered, records=RECORDS)
            offered += len(done.numbers)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver)
        await anyio.sleep(LEAD_S)
        began_s = time.perf_counter()
        await _rotate(environment)
        seconds = time.perf_counter() - began_s
        at_kill = await _kill_half_way(vault, environment, count)
        resumed = int((await _rotate(environment))["rewrapped"])
        await anyio.sleep(TOKEN_TTL_S)  # so that tokens are refreshed after the last rotation, too
        stop.set()
    await until_settled(world, offered)
    left = await _retire_old(vault)
    await _offer_again(world, offered)
    return Rotated(
        secrets=count,
        seconds=seconds,
        events=offered,
        failed=await world.look.fetchval(FAILED, facts.TENANT) + await world.look.fetchval(FINDINGS),
        refreshed=int(await world.look.fetchval(REFRESHED, [one.name for one in facts.TWO])),
        at_kill=at_kill,
        resumed=resumed,
        unopened=await _unopened(vault),
        left=left,
    )


async def _offer_again(world: World, offered: int) -> None:
    """Deliver with the new key alone: the old ones are gone from the ring."""
    more = await offer(world, rate=RATE, seconds=1.0, first=offered, records=RECORDS)
    await until_settled(world, offered + len(more.numbers))
    if not await world.look.fetchval(DELIVERED, facts.TENANT):
        raise MeasurementFailed("nothing was delivered")


async def _rotate(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Run the command to its end."""

    def run() -> Mapping[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "headwater.sync.vault"],
            check=False,
            input=json.dumps({"command": "rotate"}),
            capture_output=True,
            text=True,
            env=dict(environment),
            timeout=COMMAND_S_MAX,
        )
        last: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        if "report" not in last:
            raise MeasurementFailed(f"the rotation failed: {last or done.stderr[-400:]}")
        return dict(last["report"])

    return await to_thread.run_sync(run)


async def _kill_half_way(vault: Vault, environment: Mapping[str, str], count: int) -> int:
    """Run the command until half is done, then SIGKILL; return how many it had wrapped anew."""

    def run() -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "headwater.sync.vault"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        ) as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"command": "rotate"}))
            process.stdin.close()
            for line in process.stdout:
                done = json.loads(line).get("progress", [0])[0]
                if done >= count // 2:
                    break
            process.kill()

    await to_thread.run_sync(run)
    active = [view for view in await vault.safe.keys() if view.state == "active"]
    done = sum(view.connections for view in active)
    if not count // 2 <= done < count:
        raise MeasurementFailed(f"the rotation was killed at {done} of {count}")
    return done


async def _retire_old(vault: Vault) -> int:
    """Retire every old key; return how many data keys keep one from it."""
    left = 0
    for view in await vault.safe.keys():
        if view.state == "decrypt_only":
            left += view.connections
            if not view.connections:
                await rotating.retire(vault, view.key_id)
    return left


async def _unopened(vault: Vault) -> int:
    """Open every secret with the ring as it is now; return how many do not."""
    failed = 0
    names = [view.connection for view in await vault.safe.connections(facts.TENANT)]
    for name in names:
        try:
            _, fields = await vault.read(facts.TENANT, name)
            wanted = f"key-{int(name.removeprefix('stored-'))}" if name.startswith("stored-") else ""
            failed += bool(wanted) and fields["api_key"].reveal() != wanted
        except HeadwaterError:
            failed += 1
    return failed
