"""`make bench-auth`: what credentials cost ingest: who calls, may he, and for this tenant; with goals. Part of `make bench-ingest`.

Three real ingest processes on one database, alike but for what they ask of callers; slices alternate between them. The
goals hang on the pace with tokens against the pace without, which is authentication and authorization alone; TLS with
certificates is measured beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import grpc
import psutil
from anyio import to_thread
from tests.integration.security.credentials import Credentials
from tests.load.figures import Figure, Goal, Report, conclude
from tests.load.ingest import facts
from tests.load.ingest.ground import apply_policy, free_port, open_ground, service_environment
from tests.system.processes import Child

from headwater.kernel.rpc import open_channel
from headwater.kernel.security.authority import Wanted
from headwater.kernel.security.calling import ChannelSecurity

OPEN: Final = "open"
TOKEN: Final = "token"
CERTIFICATE: Final = "certificate over TLS"
CALLERS: Final = 16
BATCH_EVENTS: Final = 100
SHAPES: Final = {"unary": (1, 15.0), "batch": (BATCH_EVENTS, 5.0)}
"""Events of a call, and how many per cent of the pace credentials may cost."""
METHODS: Final = {
    "unary": "/headwater.ingest.v1.IngestService/RecordEvent",
    "batch": "/headwater.ingest.v1.IngestService/BatchRecordEvents",
}
WARM_UP_S: Final = 0.3
SLICE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Door:
    """One running service, and how it is called."""

    address: str
    pid: int
    security: ChannelSecurity


@dataclass(slots=True)
class Seen:
    """What rounds saw: calls a second, and microseconds of the service's CPU a call."""

    pace_per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


async def measure(rounds: int, seconds: float) -> dict[tuple[str, str], Seen]:
    """Return what was seen by (shape, way)."""
    seen: dict[tuple[str, str], Seen] = {}
    with tempfile.TemporaryDirectory() as directory:
        made = Credentials(Path(directory))
        made.authority.issue(Wanted("bench", ("producer",), (facts.TENANT,)), made.now)
        text, _ = made.token(scopes=("events:write",), tenants=(facts.TENANT,))
        ways = _ways(made, text)
        async with open_ground() as ground, ground.database(migrated=True) as url, _doors(url, ways) as doors:
            for _ in range(rounds):
                for shape in SHAPES:
                    await _round(doors, shape, seconds, seen)
    return seen


def _ways(made: Credentials, text: str) -> dict[str, tuple[dict[str, str], ChannelSecurity]]:
    """Return each way's settings of the service and what its callers show."""
    tokens = {"HEADWATER_TOKENS_FILE": str(made.tokens_file)}
    certificate = made.with_certificate(made.authority, "bench")
    return {
        OPEN: ({}, ChannelSecurity()),
        TOKEN: (tokens, ChannelSecurity(token=text)),
        CERTIFICATE: (made.settings_of_certificates, certificate),
    }


def _turned(ways: list[str], number: int) -> list[str]:
    """Return the ways in another order each time: none is always the first after the others."""
    turn = number % len(ways)
    return ways[turn:] + ways[:turn]


@asynccontextmanager
async def _doors(
    url: str, ways: Mapping[str, tuple[dict[str, str], ChannelSecurity]]
) -> AsyncIterator[dict[str, Door]]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        doors = {}
        for way, (settings, security) in ways.items():
            port = free_port()
            extra = {"HEADWATER_INGEST_PROCESSES": "1", **settings}
            child = Child("ingest", service_environment(url, port, extra=extra), directory / f"{port}.stderr")
            await to_thread.run_sync(child.start)
            stack.push_async_callback(to_thread.run_sync, child.end)
            address = f"127.0.0.1:{port}"
            if way == OPEN:
                await apply_policy(address)
            doors[way] = Door(address, child.pid, security)
        yield doors


async def _round(
    doors: Mapping[str, Door], shape: str, seconds: float, seen: dict[tuple[str, str], Seen]
) -> None:
    """Call each way for *seconds* in all, in turns of a slice: all see the same machine, whatever else it does."""
    spent = {way: [0.0, 0.0, 0.0] for way in doors}
    async with AsyncExitStack() as stack:
        channels = {}
        for way, door in doors.items():
            opened = open_channel(door.address, retries=False, security=door.security)
            channels[way] = await stack.enter_async_context(opened)
            await _keep_calling(channels[way], shape, WARM_UP_S)
        for number in range(max(1, round(seconds / SLICE_S))):
            for way in _turned(list(doors), number):
                process = psutil.Process(doors[way].pid)
                before, begun = process.cpu_times(), time.monotonic()
                spent[way][0] += await _keep_calling(channels[way], shape, SLICE_S)
                after, ended = process.cpu_times(), time.monotonic()
                spent[way][1] += ended - begun
                spent[way][2] += after.user + after.system - before.user - before.system
    for way, (calls, took_s, cpu_s) in spent.items():
        found = seen.setdefault((shape, way), Seen())
        found.pace_per_s.append(calls / took_s)
        found.cpu_us.append(cpu_s / calls * 1e6)


async def _keep_calling(channel: grpc.aio.Channel, shape: str, seconds: float) -> int:
    """Call with as many callers at once, every event a new one; return the calls made."""
    call: Any = channel.unary_unary(METHODS[shape])
    messages = facts.Messages(os.urandom(6).hex())
    size, begun, done, end = SHAPES[shape][0], 0, 0, time.monotonic() + seconds

    async def keep() -> None:
        nonlocal begun, done
        while time.monotonic() < end:
            numbers = range(begun, begun + size)
            begun += size
            await call(messages.request(numbers, time.time_ns(), sampled=False), timeout=20)
            done += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(keep)
    return done


def figures_of(seen: Mapping[tuple[str, str], Seen]) -> list[Figure]:
    """Return what tokens cost, in per cent of the CPU that a call takes and of the pace."""
    found = []
    for shape, (_, bound) in SHAPES.items():
        bare, guarded = seen[shape, OPEN], seen[shape, TOKEN]
        costs = tuple(
            (1 - slow / fast) * 100 for slow, fast in zip(guarded.pace_per_s, bare.pace_per_s, strict=True)
        )
        found.append(Figure(f"credentials, {shape}: pace lost", "%", Goal("<=", bound), costs))
        more = tuple((one / other - 1) * 100 for one, other in zip(guarded.cpu_us, bare.cpu_us, strict=True))
        found.append(Figure(f"credentials, {shape}: CPU more", "%", Goal("<=", bound), more))
    return found


def details_of(seen: Mapping[tuple[str, str], Seen]) -> dict[str, Any]:
    """Return what every round saw, for the JSON."""
    return {
        f"{shape}, {way}": {"pace_per_s": found.pace_per_s, "cpu_us": found.cpu_us}
        for (shape, way), found in seen.items()
    }


def show(seen: Mapping[tuple[str, str], Seen]) -> None:
    """Print the medians of every shape and way for people."""
    for (shape, way), found in seen.items():
        pace, cpu = statistics.median(found.pace_per_s), statistics.median(found.cpu_us)
        sys.stdout.write(f"{shape:<6} {way:<22} {pace:>8,.0f} calls/s  {cpu:>7,.0f} us of CPU a call\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    seen = anyio.run(measure, given.rounds, given.seconds, backend_options={"use_uvloop": True})
    show(seen)
    return conclude(Report("Credentials", figures_of(seen), details_of(seen)), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
