"""The queue-mechanics cases: ours and the peers, one run of each a round, with and without a held snapshot."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import asyncpg
from tests.load.ingest.ground import peers_directory
from tests.load.ingest.meters import Usage, read_usage
from tests.load.ingest.stages import ROOT, Measurement, MeasurementFailed, run
from tests.load.sync.ground import CALL_S, Ground
from tests.load.sync.ours import Errand

SECONDS_MAX: Final = 120.0
OURS: Final = "ours"
HELD: Final = " held"
"""Ending of the name of a case that runs under a held snapshot."""
Peer = Literal["pgqueuer", "procrastinate", "graphile-worker", "pg-boss"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is drained once a round.

    Args:
        jobs: due when the window opens; fewer for slow peers, so that windows are alike in length.
    """

    name: str
    jobs: int
    peer: Peer | None = None
    held: bool = False


_PEERS: Final = (
    Case("pgqueuer", 20_000, "pgqueuer"),
    Case("procrastinate", 1_000, "procrastinate"),
    Case("graphile-worker", 30_000, "graphile-worker"),
    Case("pg-boss", 30_000, "pg-boss"),
)
_BASE: Final = (Case(OURS, 60_000), *_PEERS)
CASES: Final = tuple(
    case for base in _BASE for case in (base, replace(base, name=base.name + HELD, held=True))
)


async def measure(ground: Ground, case: Case, share: float) -> Measurement:
    """Drain *share* of the case's jobs once on a new database and check the count.

    Raises:
        MeasurementFailed: it could not be measured, or not every job is recorded as done.
    """
    jobs = max(1, round(case.jobs * share))
    async with ground.database(migrated=case.peer is None) as url:
        meter = await asyncpg.connect(url, timeout=CALL_S)

        async def read() -> Usage:
            return await read_usage(meter, 0, ground.postgres_pid)

        try:
            extra = {"PEERS_NODE": str(peers_directory() / "node")}
            measured = await run(command(case, url, jobs), seconds=SECONDS_MAX, read_usage=read, extra=extra)
        finally:
            meter.terminate()
    if measured.stored != measured.distinct:
        raise MeasurementFailed(f"{case.name}: {measured.distinct} jobs done, {measured.stored} recorded")
    return measured


def command(case: Case, url: str, jobs: int) -> list[str]:
    """Return the program of a case.

    Raises:
        MeasurementFailed: the peer is not installed.
    """
    if case.peer is None:
        errand = Errand(url=url, deliveries=jobs, held=case.held)
        return [sys.executable, "-m", "tests.load.sync.ours", errand.command_argument()]
    scripts = ROOT / "tests" / "load" / "sync" / "peers"
    if case.peer in {"pgqueuer", "procrastinate"}:
        program, script = peers_directory() / "python" / "bin" / "python", scripts / "drain.py"
        installed = program.exists()
    else:
        found = shutil.which("node")
        program, script = Path(found or "node"), scripts / "drain.mjs"
        installed = found is not None and (peers_directory() / "node" / "node_modules" / case.peer).is_dir()
    if not installed:
        raise MeasurementFailed(f"{case.peer} is not installed; run `make bench-peers`")
    return [str(program), str(script), case.peer, url, str(jobs), "held" if case.held else "free"]
