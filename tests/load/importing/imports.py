"""One import by the real command into a Salesforce org that takes live changes all the while.

Live changes are offered at a steady rate before the import, during it and after it; what they take is compared within
the one run. The import ends when its last contact is in the org and settled.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from tests.load.figures import percentile
from tests.load.ingest.stages import MeasurementFailed
from tests.load.sync import facts
from tests.load.sync.facts import AccountOf
from tests.load.sync.ground import Ground, World, until
from tests.load.sync.latency import until_settled
from tests.load.sync.pacing import Offered, latencies, offer

ORG: Final = AccountOf("salesforce", "salesforce")
SOURCE: Final = "files"
RATE: Final = 20.0
"""Live changes a second."""
RECORDS: Final = 400
ALONE_S: Final = 25.0
"""Seconds of live changes alone, before the import and after it."""
STEP_S: Final = 1.0
CALLS_DAILY: Final = 15_000
"""What Salesforce grants a Developer org a day: its smallest allowance."""
IMPORT_S_MAX: Final = 300.0
UNSETTLED: Final = (
    "select exists (select from sync.delivery where state in (1, 3, 4)) or exists (select from sync.bulk_job)"
)
PROJECTED: Final = "select count(*) from sync.projection"


@dataclass(frozen=True, slots=True)
class Imported:
    """What a run came to.

    Args:
        seconds: from the command's start until the last contact was settled.
        command_s: of which the command took.
        delivered: imported contacts that are in the org, each once.
        bulk_share: of these, what came in bulk jobs.
        calls: calls of the day that the org counted, live changes included.
        bulk_calls: of these, calls for bulk jobs.
        cpu_us: by process, per event of the import and of the live changes beside it.
    """

    contacts: int
    seconds: float
    command_s: float
    delivered: int
    bulk_share: float
    calls: int
    bulk_calls: int
    alone_ms: dict[str, float]
    beside_ms: dict[str, float]
    alone_events: int
    beside_events: int
    cpu_us: dict[str, float]

    @property
    def ratio(self) -> float:
        """The live p99 beside the import, of that alone."""
        return self.beside_ms["p99"] / self.alone_ms["p99"]


async def measure(ground: Ground, contacts: int) -> Imported:
    """Do one round.

    Raises: MeasurementFailed.
    """
    async with ground.world((ORG,)) as world:
        place = f"/_sandbox/{ORG.vendor}/{ORG.name}/options"
        (await world.sandbox.put(place, json={"calls_daily_max": CALLS_DAILY})).raise_for_status()
        await world.apply_policy(imports=SOURCE)
        await world.until_connected()
        file = ground.directory / f"people-{contacts}-{time.monotonic_ns()}.csv"
        await to_thread.run_sync(_write, file, contacts)
        return await _round(world, file, contacts)


async def _round(world: World, file: Path, contacts: int) -> Imported:
    live = _Live(world)
    await live.offer(RECORDS / RATE)  # every live record is there once
    before = await live.offer(ALONE_S)
    ended, command_s = anyio.Event(), 0.0
    beside: list[Offered] = []
    used_before = await world.used()
    began = time.perf_counter()

    async def run_import() -> None:
        nonlocal command_s
        await _command(world, file)
        command_s = time.perf_counter() - began
        await _until_imported(world, contacts)
        ended.set()

    with anyio.fail_after(IMPORT_S_MAX):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_import)
            while not ended.is_set():
                beside.append(await live.offer(STEP_S))
    seconds = time.perf_counter() - began
    used = await world.used()
    behind = await live.offer(ALONE_S)
    await until_settled(world, live.offered + contacts)
    arrivals = await _imported(world)
    alone, mixed = await _settled(world, [before, behind]), await _settled(world, beside)
    return Imported(
        contacts=contacts,
        seconds=seconds,
        command_s=command_s,
        delivered=sum(1 for seen in arrivals.values() if len(seen) == 1),
        bulk_share=sum(seen[0] for seen in arrivals.values()) / max(1, len(arrivals)),
        calls=await _calls(world, "admitted"),
        bulk_calls=await _calls(world, "bulk"),
        alone_ms=_shown(alone),
        beside_ms=_shown(mixed),
        alone_events=len(alone),
        beside_events=len(mixed),
        cpu_us=used.per_event_us(used_before, contacts + sum(len(one.numbers) for one in beside)),
    )


class _Live:
    """Live changes, numbered through."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offered = 0

    async def offer(self, seconds: float) -> Offered:
        done = await offer(self._world, rate=RATE, seconds=seconds, first=self.offered, records=RECORDS)
        self.offered += len(done.numbers)
        return done


async def _calls(world: World, which: str) -> int:
    told: Mapping[str, Any] = (await world.sandbox.get(f"/_sandbox/{ORG.vendor}/{ORG.name}/calls")).json()
    return int(told[which])


async def _until_imported(world: World, contacts: int) -> None:
    async def imported() -> bool:
        if (
            await world.look.fetchval("select count(*) from ingest.event where source = $1", SOURCE)
            < contacts
        ):
            return False
        projected = "select count(*) from sync.projection as done join ingest.event as log using (tenant_id, event_key) where log.source = $1"
        if await world.look.fetchval(projected, SOURCE) < contacts:
            return False
        waiting = (
            "select exists (select from sync.due where lane in (0, 3)) or exists (select from sync.bulk_job)"
        )
        return not await world.look.fetchval(waiting)

    await until(imported, "the import settled", IMPORT_S_MAX)


async def _imported(world: World) -> dict[str, list[bool]]:
    """Return of each imported contact that arrived which of its creations came in a bulk job."""
    found: dict[str, list[bool]] = {}
    for line in await world.arrivals(ORG):
        email = str(line["changes"].get("Email", (None, ""))[1])
        if email.startswith("import.") and line["effect"] == "created":
            found.setdefault(email, []).append(line["operation"] == "bulk_upsert")
    return found


async def _settled(world: World, offered: list[Offered]) -> list[float]:
    whole = Offered()
    for one in offered:
        whole.numbers |= one.numbers
        whole.keys |= one.keys
    seen = (await latencies(world, whole, (ORG,)))[ORG.name]
    if not seen.settled_ms:
        raise MeasurementFailed("no live change was delivered")
    return list(seen.settled_ms)


def _shown(values: list[float]) -> dict[str, float]:
    return {name: percentile(values, share) for name, share in {"p50": 0.5, "p95": 0.95, "p99": 0.99}.items()}


def _write(file: Path, contacts: int) -> None:
    """Write the file: people of 997 companies, each with an address of their own."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "email", "first_name", "last_name", "phone", "title"])
        for number in range(contacts):
            email = f"import.{number}@contoso-{number % 997}.example"
            rows.writerow(
                [f"i-{number:08}", email, "Kim", f"Novak {number}", f"+1 415 {5_000_000 + number}", "Buyer"]
            )


async def _command(world: World, file: Path) -> None:
    """Run `headwater import` to its end."""
    environment = {
        **os.environ,
        **world.children["sync"].environment,
        "HEADWATER_DATA_DIR": str(file.parent / "cli"),
    }

    def run() -> None:
        done = subprocess.run(
            [
                sys.executable, "-m", "headwater.cli", "import", str(file), "--source", SOURCE, "--object", "contact",
                "--id-column", "id", "--tenant", facts.TENANT, "--json",
            ],
            check=False, capture_output=True, text=True, env=environment, timeout=IMPORT_S_MAX,
        )  # fmt: skip
        if done.returncode:
            raise MeasurementFailed(f"the import failed: {done.stderr[-600:]} {done.stdout[-600:]}")

    await to_thread.run_sync(run)
