"""`make load-kill`: nothing lost and nothing doubled while server and Postgres are killed at random instants.

Senders by every road, a fifth of what they send sent before; SIGKILLs at instants drawn from a seed. Then the same
with `synchronous_commit = off` as a control, which must be caught losing: an oracle that finds nothing there would
find nothing anywhere. Exit code 1 when something was lost or doubled, or the control was not caught.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
from anyio import to_thread
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.ingest.ground import Ground, Service, free_port, open_ground
from tests.load.ingest.ledger import ANSWER, Row, Told, Verdict, judge
from tests.load.ingest.meters import processes
from tests.load.ingest.sender import Errand, Road
from tests.load.ingest.stages import ROOT, MeasurementFailed, environment, module
from tests.system.chaos.stack import kill_postgres
from tests.system.chaos.striking import chosen_seed

EVENTS: Final = 2_000_000
REPEATS: Final = 0.2
KILLS: Final = 10
CONTROL_SHARE: Final = 0.05
"""Size of the control, of the run: one loss is enough."""
CONTROL_KILLS: Final = 3
ROADS: Final[Sequence[Road]] = ("stream", "batch", "client", "stream")
BATCH: Final = 100
LAG_S: Final = (0.0, 0.2)
"""From the moment when a kill's share of events is answered to the kill: anywhere in what goes on then."""
STRUCK: Final = (0.03, 0.95)
"""Shares of all answers between which kills fall."""
WATCH_S: Final = 0.02
IDLE_S_MAX: Final = 90.0
"""A run in which nothing is answered for so long has failed."""
CONTROL_POSTGRES: Final = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
}
"""The writer in the background is slowed, so that a kill at any instant finds answers given and nothing flushed."""
CONTROL_SERVICE: Final = {"HEADWATER_DURABILITY_OVERRIDE": "true"}
ROWS: Final = """
SELECT tenant_id, external_id, source_version, md5(payload) AS payload_md5
FROM ingest.event WHERE object = 'contact'"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Args:
        events: sent in all, repeats included.
        victims: `server` or `postgres`, in the order they are killed.
    """

    events: int
    seed: int
    victims: Sequence[str]
    postgres: Mapping[str, str] = field(default_factory=dict)
    service: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over."""

    verdict: Verdict
    kills: Sequence[tuple[float, str]]
    broken: Mapping[str, Any]
    seconds: float
    answers: int


def victims_of(kills: int, chance: random.Random) -> list[str]:
    """Return who is killed: server and Postgres alike often, in a random order."""
    drawn = ["postgres" if number % 2 else "server" for number in range(kills)]
    chance.shuffle(drawn)
    return drawn


async def torment(plan: Plan, title: str) -> Run:
    """Send everything while the victims are killed and started again; return what the oracle says."""
    began = time.monotonic()
    async with open_ground(plan.postgres) as ground, ground.database(migrated=True) as url:
        port = free_port()
        errands = _errands(plan, ground.directory, port)
        async with ground.service(url, port=port, extra=plan.service) as service:
            with _senders(errands) as running:
                kills = await _strike(plan, ground, service, errands, running, title)
                broken = await _ended(running)
            told = {one.run: Told.read(one.distinct, _journal(one)) for one in errands}
            verdict = judge(told, await _rows(url))
    answers = sum(sum(side.accepted) + sum(side.duplicate) + side.strange for side in told.values())
    return Run(verdict, kills, broken, time.monotonic() - began, answers)


def _errands(plan: Plan, directory: Path, port: int) -> list[Errand]:
    distinct = int(plan.events * (1 - REPEATS)) // len(ROADS)
    moment_ns = time.time_ns()
    return [
        Errand(
            address=f"127.0.0.1:{port}",
            run=f"k{number}",
            road=road,
            distinct=distinct,
            batch=BATCH,
            repeats=REPEATS,
            moment_ns=moment_ns,
            seed=plan.seed + number,
            journal=str(directory / f"answers-{number}"),
        )
        for number, road in enumerate(ROADS)
    ]


@contextmanager
def _senders(errands: Sequence[Errand]) -> Iterator[list[subprocess.Popen[str]]]:
    running = [
        subprocess.Popen(
            module("sender", errand.command_argument()), stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=environment(),
        )
        for errand in errands
    ]  # fmt: skip
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


async def _ended(running: Sequence[subprocess.Popen[str]]) -> dict[str, Any]:
    """Return what broke, by sender.

    Raises:
        MeasurementFailed: a sender gave up.
    """
    broken: dict[str, Any] = {}
    for process in running:
        said, _ = await to_thread.run_sync(process.communicate)
        if process.returncode:
            raise MeasurementFailed(f"a sender ended with code {process.returncode}")
        facts = json.loads(said)
        broken[facts["run"]] = facts["broken"]
    return broken


async def _strike(
    plan: Plan,
    ground: Ground,
    service: Service,
    errands: Sequence[Errand],
    running: Sequence[subprocess.Popen[str]],
    title: str,
) -> list[tuple[float, str]]:
    """Kill each victim at its instant and start it again; return when every sender has ended."""
    chance = random.Random(plan.seed)
    instants = sorted(chance.uniform(*STRUCK) * plan.events for _ in plan.victims)
    left = list(zip(instants, plan.victims, strict=True))
    kills: list[tuple[float, str]] = []
    began = changed = time.monotonic()
    answered = 0
    with _progress() as progress:
        task = progress.add_task(title, total=plan.events)
        while any(process.poll() is None for process in running):
            now = sum(_journal_bytes(one) for one in errands) // ANSWER.size
            if now != answered:
                answered, changed = now, time.monotonic()
            if time.monotonic() - changed > IDLE_S_MAX:
                raise MeasurementFailed(
                    f"nothing was answered for {IDLE_S_MAX:g} s; {service.child.log_end()}"
                )
            progress.update(task, completed=answered, description=f"{title}, {len(kills)} kills")
            if left and answered >= left[0][0]:
                _, victim = left.pop(0)
                await anyio.sleep(chance.uniform(*LAG_S))
                kills.append((time.monotonic() - began, victim))
                await to_thread.run_sync(_kill_and_restart, ground, service, victim)
                changed = time.monotonic()
            await anyio.sleep(WATCH_S)
    if left:
        raise MeasurementFailed(f"the senders ended before {len(left)} of the kills")
    return kills


def _kill_and_restart(ground: Ground, service: Service, victim: str) -> None:
    if victim == "postgres":
        kill_postgres(ground.server)
        ground.server.start()
        return
    for process in processes(service.child.pid):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    service.child.kill()
    service.child.start()


def _journal(errand: Errand) -> bytes:
    return Path(errand.journal).read_bytes()


def _journal_bytes(errand: Errand) -> int:
    try:
        return Path(errand.journal).stat().st_size
    except FileNotFoundError:
        return 0


async def _rows(url: str) -> list[Row]:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        async with connection.transaction(readonly=True):
            cursor = connection.cursor(ROWS, prefetch=10_000)
            return [Row(*record) async for record in cursor]
    finally:
        await connection.close()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def figures_of(run: Run, control: Run | None) -> list[Figure]:
    """Return the promises as figures."""
    verdict = run.verdict
    none = Goal("<=", 0)
    wrong = ("lost", "doubled", "accepted_twice", "phantom", "changed", "unanswered", "strange")
    found = [
        Figure(f"events {name.replace('_', ' ')}", "", none, (float(getattr(verdict, name)),))
        for name in wrong
    ]
    if control is not None:
        caught = (float(control.verdict.lost),)
        found.append(Figure("lost in the control, synchronous_commit = off", "", Goal(">=", 1), caught))
    return found


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make load-kill", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events sent, default {EVENTS:,}")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"SIGKILLs, default {KILLS}")
    parser.add_argument("--seed", type=int, default=None, help="repeats the choices of a run")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    return parser.parse_args()


async def both(events: int, kills: int, seed: int) -> tuple[Run, Run]:
    """Run the real thing, then the control."""
    run = await torment(Plan(events, seed, victims_of(kills, random.Random(seed))), "killing")
    control = Plan(
        max(20_000, int(events * CONTROL_SHARE)), seed, ["postgres"] * min(kills, CONTROL_KILLS),
        CONTROL_POSTGRES, CONTROL_SERVICE,
    )  # fmt: skip
    return run, await torment(control, "control")


def main() -> int:
    """Run, print, and say by the exit code whether the promises were kept and the control was caught."""
    arguments = read_arguments()
    seed = arguments.seed if arguments.seed is not None else chosen_seed()
    sys.stdout.write(f"seed {seed}\n")
    run, control = anyio.run(both, arguments.events, arguments.kills, seed)
    for name, one in (("run", run), ("control", control)):
        kills = " ".join(f"{victim}@{moment:.1f}s" for moment, victim in one.kills)
        sys.stdout.write(f"{name}: {one.answers:,} answers in {one.seconds:.0f} s; kills {kills}\n")
        sys.stdout.write(f"  {one.verdict}\n  broken calls: {one.broken}\n")
    details = {"seed": seed, "run": asdict(run), "control": asdict(control)}
    report = Report("Ingest under SIGKILL", figures_of(run, control), details)
    return conclude(report, json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
