"""`make load-soak` and `make load-overload`: memory over time, at 80 % of the limit and at ten times of it.

Both measure the limit first, on the same service, and then offer a share of it open loop. Exit code 1 when a goal
is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import anyio
import asyncpg
import grpc
from tests.load.figures import Figure, Goal, Report, conclude, flatness, percentile
from tests.load.ingest import facts
from tests.load.ingest.driver import Plan
from tests.load.ingest.ground import CALL_S, Ground, Service, noop_server, open_ground
from tests.load.ingest.meters import Usage, private_bytes, rss_bytes
from tests.load.ingest.pace import Pace
from tests.load.ingest.stages import Measurement, module, run

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc

SOAK_S: Final = 600.0
OVERLOAD_S: Final = 300.0
SOAK_SHARE: Final = 0.8
OVERLOAD_SHARE: Final = 10.0
LIMIT_S: Final = 5.0
"""How long the limit is measured."""
BATCH: Final = 100
WARM_UP_S: Final = 1.0
SAMPLE_S: Final = 1.0
PROBES: Final = 20
PROBE_PAUSE_S: Final = 0.05
RECOVERY_S_MAX: Final = 30.0
SLACK: Final = 1.5
COMMIT_MS: Final = 500.0
"""An admitted event waits for what was admitted before it, and for its own commit: the bound of its answer."""
RECOVERED_TIMES: Final = 3.0
"""A service has recovered when a call takes no longer than so many times what it took before."""

SLOW_POSTGRES: Final = {"commit_delay": "100000", "commit_siblings": "0"}
SLOW_BUFFER_ROWS: Final = 1_000
SLOW_SERVICE: Final = {
    "HEADWATER_INGEST_BATCH_ROWS_MAX": str(BATCH),
    "HEADWATER_INGEST_BUFFER_ROWS": str(SLOW_BUFFER_ROWS),
}
"""Overload runs against a slow disk: commits held for 0.1 s, 100 rows each. The client shares the machine's cores
with the service, so only a limit far below what the cores allow can be overloaded tenfold for real."""


@dataclass(slots=True)
class Memory:
    """Resident bytes over time."""

    server: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)

    async def watch(self, server_pid: int, postgres_pid: int) -> None:
        """Sample until cancelled."""
        while True:
            self.server.append(float(rss_bytes(server_pid)))
            self.postgres.append(float(private_bytes(postgres_pid)))
            await anyio.sleep(SAMPLE_S)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over.

    Args:
        limit: events per second that the service took, closed loop.
        stored: events in the table, those of the limit's measurement left out.
        missing: acknowledged numbers that were looked for and not found.
    """

    limit: float
    load: Measurement
    memory: Memory
    stored: int
    missing: int
    recovery_s: float
    processes: int


@asynccontextmanager
async def _serving(
    postgres: Mapping[str, str] | None = None, extra: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Ground, Service, str]]:
    with noop_server(1) as (otlp, _):
        async with (
            open_ground(postgres) as ground,
            ground.database(migrated=True) as url,
            ground.service(url, otlp=otlp, extra=extra) as service,
        ):
            yield ground, service, url


async def endure(
    road: Literal["stream", "batch"], share: float, seconds: float, limit_s: float = LIMIT_S
) -> Outcome:
    """Measure the limit, offer *share* of it for *seconds*, and look at what is left.

    Args:
        road: `stream` at full speed, or `batch` against a slow disk.
    """
    slow = road == "batch"
    conditions = (SLOW_POSTGRES, SLOW_SERVICE) if slow else (None, None)
    async with _serving(*conditions) as (ground, service, url):
        plan = Plan(service.address, road, 16 if slow else 4, BATCH, limit_s, "limit", window=8)
        limit = await _run(module("driver", plan.command_argument()), limit_s)
        before_s = await _probe(service.address)
        pace = Pace(service.address, road, limit.rate * share, BATCH, seconds, "load", warm_up_s=WARM_UP_S)
        memory = Memory()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.watch, service.pid, ground.postgres_pid)
            load = await _run(module("pace", pace.command_argument()), seconds)
            tasks.cancel_scope.cancel()
        recovery_s = await _recover(service.address, before_s)
        stored, missing = await _look(url, load.told["kept"])
        return Outcome(limit.rate, load, memory, stored, missing, recovery_s, service.processes)


async def _run(command: list[str], seconds: float) -> Measurement:
    async def no_usage() -> Usage:
        return Usage(0, 0, 0)

    return await run(command, seconds=seconds, read_usage=no_usage)


async def _probe(address: str) -> float:
    """Return the median time of a single event's call."""
    async with grpc.aio.insecure_channel(address) as channel:
        taken = [await _call(channel, f"probe-{number}") for number in range(PROBES)]
    return percentile(taken, 0.5)


async def _recover(address: str, before_s: float) -> float:
    """Return how long after the load calls took no longer again than they did before; infinity when too long."""
    began = time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel:
        number = 0
        while time.monotonic() - began < RECOVERY_S_MAX:
            number += 1
            if await _call(channel, f"after-{number}") <= RECOVERED_TIMES * before_s:
                return time.monotonic() - began
            await anyio.sleep(PROBE_PAUSE_S)
    return float("inf")


async def _call(channel: grpc.aio.Channel, external_id: str) -> float:
    stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
    one = facts.event(external_id, 0)
    one.event_time.GetCurrentTime()
    began = time.perf_counter()
    try:
        await stub.RecordEvent(
            ingest_pb2.RecordEventRequest(tenant_id=facts.TENANT, event=one), timeout=CALL_S
        )
    except grpc.aio.AioRpcError:
        return float("inf")
    return time.perf_counter() - began


async def _look(url: str, kept: list[int]) -> tuple[int, int]:
    connection = await asyncpg.connect(url, timeout=CALL_S)
    try:
        stored = await connection.fetchval(
            "SELECT count(*) FROM ingest.event WHERE external_id LIKE 'load-%'", timeout=300
        )
        names = [f"load-{number:010d}" for number in kept]
        found = await connection.fetchval(
            "SELECT count(DISTINCT external_id) FROM ingest.event WHERE external_id = ANY($1::text[])",
            names,
            timeout=300,
        )
        return int(stored), len(names) - int(found)
    finally:
        await connection.close()


def _flat(name: str, samples: list[float]) -> list[Figure]:
    ratio = flatness(samples)
    seen = (ratio,) if ratio == ratio else ()  # noqa: PLR0124 - not a number: too few samples
    missing = "" if seen else f"{len(samples)} samples are too few"
    return [
        Figure(f"memory of {name}, end / begin, upper bound", "", Goal("<=", 1.1), seen, missing),
        Figure(f"memory of {name}, end / begin, lower bound", "", Goal(">=", 0.9), seen, missing),
    ]


def soak_figures(outcome: Outcome, share: float) -> list[Figure]:
    """Return the promises at a load that the service can carry."""
    load = outcome.load
    offered = outcome.limit * share
    lost = float(max(0, load.acked - outcome.stored) + outcome.missing)
    return [
        *_flat("ingest", outcome.memory.server),
        *_flat("Postgres (private)", outcome.memory.postgres),
        Figure("accepted / offered", "", Goal(">=", 0.97), (load.rate / offered,)),
        Figure("acknowledged and not stored", "", Goal("<=", 0), (lost,)),
        Figure("ack p99 at 80 % load", "ms", Goal("<=", 1_000), (load.latency_ms["p99"],)),
    ]


def overload_figures(outcome: Outcome, share: float) -> list[Figure]:
    """Return the promises under more than the service can carry."""
    load, told = outcome.load, outcome.load.told
    sent = (told["offered"] - told["unsent"]) / outcome.limit
    seconds = load.seconds + WARM_UP_S
    wrong = sum(count for code, count in told["codes"].items() if code != "RESOURCE_EXHAUSTED")
    lost = float(max(0, load.acked - outcome.stored) + outcome.missing)
    drain_ms = 1_000 * SLOW_BUFFER_ROWS * outcome.processes / outcome.limit * SLACK + COMMIT_MS
    return [
        *_flat("ingest", outcome.memory.server),
        *_flat("Postgres (private)", outcome.memory.postgres),
        Figure("offered / limit", "", Goal(">=", 0.95 * share), (sent / seconds,)),
        Figure("accepted / limit", "", Goal(">=", 0.8), (load.rate / outcome.limit,)),
        Figure("acknowledged and not stored", "", Goal("<=", 0), (lost,)),
        Figure("events refused", "", Goal(">=", 1), (float(load.refused),)),
        Figure("refusals without RetryInfo", "", Goal("<=", 0), (float(told["no_retry_info"]),)),
        Figure("calls that ended otherwise", "", Goal("<=", 0), (float(wrong),)),
        Figure("p99 of accepted acks", "ms", Goal("<=", drain_ms), (load.latency_ms["p99"],)),
        Figure("recovery", "s", Goal("<=", 5), (outcome.recovery_s,)),
    ]


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="make load-soak, make load-overload", description=__doc__)
    parser.add_argument("what", choices=("soak", "overload"))
    parser.add_argument("--seconds", type=float, help=f"default {SOAK_S:g} and {OVERLOAD_S:g}")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    arguments = parser.parse_args()
    if arguments.what == "soak":
        seconds = arguments.seconds or SOAK_S
        outcome = anyio.run(endure, "stream", SOAK_SHARE, seconds)
        figures = soak_figures(outcome, SOAK_SHARE)
    else:
        seconds = arguments.seconds or OVERLOAD_S
        outcome = anyio.run(endure, "batch", OVERLOAD_SHARE, seconds)
        figures = overload_figures(outcome, OVERLOAD_SHARE)
    told = {name: value for name, value in outcome.load.told.items() if name != "kept"}
    sys.stdout.write(
        f"limit {outcome.limit:,.0f} events/s; {seconds:g} s; accepted {outcome.load.rate:,.0f} events/s;"
        f" latency ms {outcome.load.latency_ms}; {told}\n"
    )
    details = {
        "limit": outcome.limit, "seconds": seconds, "told": told, "latency_ms": outcome.load.latency_ms,
        "server_rss_bytes": outcome.memory.server, "postgres_private_bytes": outcome.memory.postgres,
        "stored": outcome.stored, "recovery_s": outcome.recovery_s,
    }  # fmt: skip
    return conclude(Report(f"Ingest: {arguments.what}", figures, details), json_path=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
