"""`make bench-reconcile`: drift planted in two sandbox CRMs, found, healed, and nothing else touched. Exit 1 below a goal.

Rounds are whole: new CRMs, every record delivered by Headwater itself, then drift behind its back.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.drifting import LAST_NAME, OBJECTS, PHONE, VENDORS, Drifting, drifting
from tests.integration.sync.whole import SECRET, settled, until
from tests.load.figures import Goal, conclude_rounds
from tests.load.sync.ground import open_ground

RECORDS: Final = 100_000
CALLS: Final = 200
"""Calls a second that the policy allows each account."""
SHARE: Final = 0.5
"""Of them for reconciliation."""
RUN_S: Final = 3_000.0
ALL: Final = Goal(">=", 100.0)
NONE: Final = Goal("<=", 0.0)


@dataclass(slots=True)
class Seen:
    """What one round came to.

    Args:
        planted, found, wrong: drifts that were planted, those found as what they are, and findings beside them.
        ended: those healed, or asked about.
        touched: records that repairs wrote to although nothing was planted in them, nor followed from it.
        rate_share: calls a second of the daily job, of what its share allows; the larger of both accounts.
        calm_calls: calls of a run in which nothing had changed, both accounts.
    """

    records: int = 0
    planted: int = 0
    found: int = 0
    wrong: int = 0
    ended: int = 0
    touched: int = 0
    rate_share: float = 0.0
    first_calls: int = 0
    calm_calls: int = 0
    calm_read: int = 0
    first_s: float = 0.0
    whole_s: float = 0.0
    heal_s: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


FIGURES: Final[Sequence[tuple[str, str, Goal, Callable[[Seen], float]]]] = (
    ("records in both CRMs", "", Goal(">=", RECORDS), lambda one: float(one.records)),
    ("planted drift found by the daily job, as what it is", "%", ALL, lambda one: 100 * one.found / one.planted),
    ("findings where nothing was planted", "", NONE, lambda one: float(one.wrong)),
    ("planted drift healed or asked about", "%", ALL, lambda one: 100 * one.ended / one.planted),
    ("records that a repair touched without cause", "", NONE, lambda one: float(one.touched)),
    ("calls a second of the job, of its share of the quota", "%", Goal("<=", 100.0), lambda one: 100 * one.rate_share),
    ("calls to prove that nothing has changed, of a full reading", "%", Goal("<=", 1.0),
     lambda one: 100 * one.calm_calls / one.first_calls),
    ("records read when nothing has changed", "", NONE, lambda one: float(one.calm_read)),
)  # fmt: skip


async def measure(url: str, people: int) -> Seen:
    """Do one round on a new database and a new sandbox."""
    os.environ["HEADWATER_SECRET_HUBSPOT"] = SECRET
    with tempfile.TemporaryDirectory() as directory, SandboxProcess(Path(directory)) as sandbox:
        async with drifting(url, sandbox) as world:
            _say(f"{people} people are delivered to both CRMs")
            await world.begin(people, share=SHARE, calls=CALLS)
            return await _round(world, people)


async def _round(world: Drifting, people: int) -> Seen:
    seen = Seen()
    began = time.monotonic()
    _say("first reading")
    first = await world.daily(RUN_S)
    seen.first_s = time.monotonic() - began
    seen.first_calls = sum(one["calls"] for one in first.values())
    seen.records = sum(one["objects"][OBJECTS[vendor]]["records"] for vendor, one in first.items())
    _say("nothing has changed")
    calm = await world.daily(RUN_S)
    seen.calm_calls = sum(one["calls"] for one in calm.values())
    seen.calm_read = sum(one["objects"][OBJECTS[vendor]]["read"] for vendor, one in calm.items())
    _say("drift is planted")
    expected = await to_thread.run_sync(
        plant, world, people
    )  # sync runs here, too: its heart must go on beating
    writes = {vendor: await to_thread.run_sync(world.writes, vendor) for vendor in VENDORS}
    await _find(world, seen)
    kept = await world.drift()
    for vendor in VENDORS:
        found = {crm_id: kind for crm_id, (kind, _) in kept[vendor].items()}
        seen.planted += len(expected[vendor])
        seen.found += sum(found.get(crm_id) == kind for crm_id, kind in expected[vendor].items())
        seen.wrong += sum(expected[vendor].get(crm_id) != kind for crm_id, kind in found.items())
    _say(f"{seen.found} of {seen.planted} found, {seen.wrong} beside; healing")
    began = time.monotonic()
    await world.heal(RUN_S)
    await until(lambda: settled(world.connection), RUN_S)
    seen.heal_s = time.monotonic() - began
    kept = await world.drift()
    for vendor in VENDORS:
        ended = {one for one, (_, state) in kept[vendor].items() if state in {"healed", "asked"}}
        seen.ended += len(ended & set(expected[vendor]))
        written = await to_thread.run_sync(world.written, vendor, writes[vendor])
        touched = {item["record_id"] for item in written}
        seen.touched += len(touched - set(expected[vendor]) - await _followed(world, vendor))
    return seen


async def _find(world: Drifting, seen: Seen) -> None:
    """Run the daily job, reading everything, and note how fast it called."""
    began = time.monotonic()
    for vendor in VENDORS:
        calls, started = world.calls(vendor), time.monotonic()
        _say(f"daily job of {vendor}")
        await world.run(f"reconcile/daily/{vendor}", RUN_S, whole=True)
        report = await world.report(vendor)
        took_s = time.monotonic() - started
        made = min(world.calls(vendor) - calls, report["calls"])
        seen.rate_share = max(seen.rate_share, made / took_s / (CALLS * SHARE))
        seen.details[vendor] = {**report, "objects": {}, "took_s": took_s}
    seen.whole_s = time.monotonic() - began


def plant(world: Drifting, people: int) -> dict[str, dict[str, str]]:
    """Plant, for 100,000 records: 2,000 silent changes, 2,000 that no webhook told, 1,000 deletions, 5,000 creations.

    The 5,000 share one stamp; some pages of each list are cut.
    """
    part = max(1, people // 100)
    expected: dict[str, dict[str, str]] = {vendor: {} for vendor in VENDORS}
    for side, vendor in enumerate(VENDORS):
        ids = world.people(vendor, side)
        silent, changed, deleted = ids[: 2 * part], ids[2 * part : 4 * part], ids[4 * part : 5 * part]
        world.edit_silently(vendor, silent, PHONE[vendor])
        world.change(vendor, changed, LAST_NAME[vendor], "Changed")
        world.delete(vendor, deleted)
        differs, gone = ("stale", "ended") if vendor == "hubspot" else ("field", "missing")
        expected[vendor] |= dict.fromkeys([*silent, *changed], differs) | dict.fromkeys(deleted, gone)
        world.cut_pages(vendor, 20)
    made = world.create(10 * part)
    world.stamp_alike(made)
    expected["hubspot"] |= dict.fromkeys(made, "unrecorded")
    return expected


async def _followed(world: Drifting, vendor: str) -> set[str]:
    """Return records of entities that had drift in either CRM: what was recorded there is written here."""
    rows = await world.connection.fetch(
        "select crm_id from sync.delivery as held where connector = $1 and ("
        " exists (select from sync.former_record as gone where gone.entity_id = held.entity_id)"
        " or not exists (select from sync.record as told where told.entity_id = held.entity_id and source = 'erp')"
        " or exists (select from sync.drift where drift.entity_id = held.entity_id))",
        vendor,
    )
    return {row["crm_id"] for row in rows}


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-reconcile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="rounds, default 1")
    parser.add_argument(
        "--records", type=int, default=RECORDS, help="records in both CRMs together, default 100,000"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    read = parser.parse_args(arguments)
    if read.rounds < 1 or read.records < 1_000:
        parser.error("rounds from 1, records from 1,000")
    return read


async def rounds(count: int, records: int) -> list[Seen | str]:
    """Do the rounds; one that fails is told and counted."""
    found: list[Seen | str] = []
    async with open_ground() as ground:
        for number in range(count):
            _say(f"round {number + 1}")
            try:
                async with ground.database(migrated=True) as url:
                    found.append(await measure(url, records // len(VENDORS)))
            except (AssertionError, TimeoutError, ExceptionGroup) as failure:
                sys.stderr.write(f"{failure!r}\n")
                found.append(str(failure)[:400])
    return found


def main() -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    arguments = read_arguments()
    done = anyio.run(rounds, arguments.rounds, arguments.records, backend_options={"use_uvloop": True})
    return conclude_rounds("Reconciliation", done, FIGURES, json_path=arguments.json, told=asdict)


if __name__ == "__main__":
    sys.exit(main())
