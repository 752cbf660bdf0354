"""One import by the real command into a Salesforce org that takes live changes all the while.

Live changes are offered at a steady rate before the import, during it and after it; what they take is compared within
the one run. The import ends when its last contact is in the org and settled. In parts, a file each, live changes alone
are measured between them too.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
WAITS: Final = """\
select
    log.event_key, extract(epoch from log.record_time)::float8 as recorded_s,
    extract(epoch from done.project_time)::float8 as projected_s,
    extract(epoch from try.start_time)::float8 as claimed_s, extract(epoch from try.end_time)::float8 as settled_s
from ingest.event as log
inner join sync.projection as done using (tenant_id, event_key)
inner join sync.try as try on try.tenant_id = log.tenant_id and try.event_key = log.event_key
where log.source = $1 and try.outcome in ('created', 'updated')
"""
"""When each live change got where."""
STEPS: Final = ("recorded", "projected", "claimed", "settled")
UNSETTLED: Final = (
    "select exists (select from sync.delivery where state in (1, 3, 4)) or exists (select from sync.bulk_job)"
)
WAITING: Final = (
    "select exists (select from sync.due where lane in (0, 3)) or exists (select from sync.bulk_job) or exists ("
    "select from sync.shard_cursor as front inner join sync.shard_cursor as back on back.shard = -1 - front.shard"
    " where front.shard >= 0 and (back.xid, back.seq) < (front.xid, front.seq))"
)
PROJECTED: Final = (
    "select count(*) from sync.projection as done join ingest.event as log using (tenant_id, event_key)"
    " where log.source = $1"
)


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
        waits_ms: alone and beside, by step, what live changes took to it from the one before; percentiles.
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
    waits_ms: dict[str, dict[str, dict[str, float]]]

    @property
    def ratio(self) -> float:
        """The live p99 beside the import, of that alone."""
        return self.beside_ms["p99"] / self.alone_ms["p99"]


async def measure(ground: Ground, contacts: int, parts: int) -> Imported:
    """Do one round.

    Args:
        parts: files that the contacts are imported in, one after the other.

    Raises: MeasurementFailed.
    """
    async with ground.world((ORG,)) as world:
        place = f"/_sandbox/{ORG.vendor}/{ORG.name}/options"
        (await world.sandbox.put(place, json={"calls_daily_max": CALLS_DAILY})).raise_for_status()
        await world.apply_policy(imports=SOURCE)
        await world.until_connected()
        files = [ground.directory / f"people-{time.monotonic_ns()}-{part}.csv" for part in range(parts)]
        bounds = [contacts * part // parts for part in range(parts + 1)]
        for number, file in enumerate(files):
            await to_thread.run_sync(_write, file, range(bounds[number], bounds[number + 1]))
        return await _round(world, list(zip(files, bounds[1:], strict=True)), contacts)


async def _round(world: World, files: Sequence[tuple[Path, int]], contacts: int) -> Imported:
    live = _Live(world)
    await live.offer(RECORDS / RATE)  # every live record is there once
    alone = [await live.offer(ALONE_S)]
    beside: list[Offered] = []
    seconds = command_s = 0.0
    cpu_us: Counter[str] = Counter()
    for file, imported in files:
        before, began = await world.used(), time.perf_counter()
        command_s += await _import_beside(world, live, beside, file, imported)
        seconds += time.perf_counter() - began
        cpu_us.update((await world.used()).per_event_us(before, 1))
        alone.append(await live.offer(ALONE_S))
    await until_settled(world, live.offered + contacts)
    arrivals = await _imported(world)
    events = contacts + sum(len(one.numbers) for one in beside)
    kept_alone, kept_beside = await _settled(world, alone), await _settled(world, beside)
    return Imported(
        contacts=contacts,
        seconds=seconds,
        command_s=command_s,
        delivered=sum(1 for seen in arrivals.values() if len(seen) == 1),
        bulk_share=sum(seen[0] for seen in arrivals.values()) / max(1, len(arrivals)),
        calls=await _calls(world, "admitted"),
        bulk_calls=await _calls(world, "bulk"),
        alone_ms=_shown(kept_alone),
        beside_ms=_shown(kept_beside),
        alone_events=len(kept_alone),
        beside_events=len(kept_beside),
        cpu_us={name: used / events for name, used in cpu_us.items()},
        waits_ms={"alone": await _waits(world, alone), "beside": await _waits(world, beside)},
    )


async def _import_beside(
    world: World, live: _Live, beside: list[Offered], file: Path, imported: int
) -> float:
    """Import a file while live changes come; return the command's seconds.

    Args:
        imported: contacts that are imported when it ends.
    """
    ended, began, command_s = anyio.Event(), time.perf_counter(), 0.0

    async def run_import() -> None:
        nonlocal command_s
        await _command(world, file)
        command_s = time.perf_counter() - began
        await _until_imported(world, imported)
        ended.set()

    with anyio.fail_after(IMPORT_S_MAX):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_import)
            while not ended.is_set():
                beside.append(await live.offer(STEP_S))
    return command_s


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
        """Ask what costs little first: who looks ten times a second must not be what is measured."""
        if await world.look.fetchval(WAITING):
            return False
        return int(await world.look.fetchval(PROJECTED, SOURCE)) >= contacts

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


async def _waits(world: World, offered: Sequence[Offered]) -> dict[str, dict[str, float]]:
    dues = {key: due for one in offered for key, due in one.keys.items()}
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    for row in await world.look.fetch(WAITS, facts.SOURCE):
        if (before_s := dues.get(row["event_key"])) is not None:
            for step in STEPS:
                found[step].append((row[f"{step}_s"] - before_s) * 1e3)
                before_s = row[f"{step}_s"]
    return {step: _shown(values) for step, values in found.items()}


def _shown(values: list[float]) -> dict[str, float]:
    return {name: percentile(values, share) for name, share in {"p50": 0.5, "p95": 0.95, "p99": 0.99}.items()}


def _write(file: Path, numbers: range) -> None:
    """Write the file: people of 997 companies, each with an address of their own."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "email", "first_name", "last_name", "phone", "title"])
        for number in numbers:
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
