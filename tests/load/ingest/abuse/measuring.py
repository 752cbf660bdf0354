"""One service, one well-behaved neighbour, and one attack after the other; what the neighbour and the service felt."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from subprocess import DEVNULL
from typing import Final

import anyio
from anyio.abc import Process
from tests.integration.ingest.world import TENANT, policy_event
from tests.load.ingest.abuse.neighbour import stream_steadily
from tests.system.ingest.running import RunningIngest, running_ingest

from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.rpc import open_channel
from headwater.kernel.testing.postgres import create_template, shared_server

PACE_PER_S: Final = 25.0
"""Batches of 20 a second: a steady neighbour, not one that fills the machine by itself."""
SHARE_MIN: Final = 0.8
P99_S_MAX: Final = 1.0
BURST_P99_S_MAX: Final = 3.0
"""While the attacker's connects and the system's answers to them fill the machine's cores by themselves."""
PING_TIMEOUT_S: Final = BURST_P99_S_MAX + 1.0
"""A peer that answers as late as a burst makes it must not be taken for dead; the product's default is 10 s."""
RSS_GROWTH_MIB_MAX: Final = 64.0
DESCRIPTORS_LEFT_MAX: Final = 4
CALM_S: Final = 15.0
"""How long descriptors may take to come back."""
HOLDING: Final = frozenset({"stalled", "half_open", "slow_reader"})
"""Attacks that hold their connections: seen in the descriptors of the service, or the attack was none."""
PINGED: Final = frozenset({"half_open"})
"""Attacks whose connections the service must end by itself, while the attacker still holds them."""
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard each attack is, and how long the neighbour is watched."""

    amounts: dict[str, int]
    seconds: float


SHORT: Final = Plan(
    {
        "stalled": 50,
        "half_open": 50,
        "slow_reader": 10,
        "burst": 5_000,
        "rapid_reset": 5_000,
        "garbage": 200,
        "huge_metadata": 50,
        "ping_flood": 5_000,
    },
    seconds=3.0,
)
FULL: Final = Plan(
    {
        "stalled": 500,
        "half_open": 500,
        "slow_reader": 100,
        "burst": 100_000,
        "rapid_reset": 100_000,
        "garbage": 5_000,
        "huge_metadata": 1_000,
        "ping_flood": 100_000,
    },
    seconds=10.0,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its goal."""

    name: str
    value: float
    unit: str
    goal: str
    passed: bool

    def line(self) -> str:
        """Return the figure as one line of the report."""
        verdict = "PASS" if self.passed else "FAIL"
        return f"{self.name:28} {self.value:10.3f} {self.unit:12} {self.goal:12} {verdict}"


async def abuse_all(plan: Plan, processes: int = 1, only: str | None = None) -> list[Figure]:
    """Run every attack against one service; return the figures."""
    figures: list[Figure] = []
    with shared_server() as server:
        url = await create_template(server)
        with running_ingest(
            url, processes=processes, ping_s="1", ping_timeout_s=str(PING_TIMEOUT_S), request_s="2"
        ) as ingest:
            await _put_policy(ingest)
            await stream_steadily(ingest.port, PACE_PER_S, 2.0, 0)  # warm
            for number, (name, amount) in enumerate(plan.amounts.items(), 1):
                if only in {None, name}:
                    figures += await _abuse(ingest, name, amount, plan.seconds, number * 1_000_000)
    return figures


async def _abuse(ingest: RunningIngest, name: str, amount: int, seconds: float, first: int) -> list[Figure]:
    before = Footprint.of(ingest)
    peak = Peak(ingest)
    async with (
        await _attack(ingest, name, amount, 3 * seconds) as attacker,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(peak.watch)
        service = await stream_steadily(ingest.port, PACE_PER_S, seconds, first)
        held = before.descriptors_left(await _settled(ingest, before)) if name in PINGED else 0
        await attacker.wait()
        tasks.cancel_scope.cancel()
    if attacker.returncode != 0:
        raise RuntimeError(f"the attack {name} itself failed: {attacker.returncode}")
    left = max(held, before.descriptors_left(await _settled(ingest, before)))
    growth_mib = (peak.footprint.rss_bytes - before.rss_bytes) / MIB
    figures = [
        _at_least(f"{name}.share", service.share, "of pace", SHARE_MIN),
        _at_most(f"{name}.p99", service.p99_s, "s", BURST_P99_S_MAX if name == "burst" else P99_S_MAX),
        _at_most(f"{name}.rss_growth", growth_mib, "MiB", RSS_GROWTH_MIB_MAX),
        _at_most(f"{name}.descriptors_left", left, "descriptors", DESCRIPTORS_LEFT_MAX),
    ]
    if name in HOLDING:
        seen = peak.footprint.descriptors - before.descriptors
        figures.append(_at_least(f"{name}.connections", seen, "held", 0.9 * amount))
    return figures


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the service takes of the machine."""

    rss_bytes: int
    descriptors: int

    @classmethod
    def of(cls, ingest: RunningIngest) -> Footprint:
        """Read it."""
        return cls(ingest.rss_bytes(), ingest.descriptors())

    def descriptors_left(self, now: Footprint) -> int:
        """Return how many more there are than there were."""
        return max(0, now.descriptors - self.descriptors)


class Peak:
    """The highest footprint while `watch` runs."""

    def __init__(self, ingest: RunningIngest) -> None:
        self._ingest = ingest
        self.footprint = Footprint.of(ingest)

    async def watch(self) -> None:
        """Look ten times a second until cancelled."""
        while True:
            now = Footprint.of(self._ingest)
            self.footprint = Footprint(
                max(now.rss_bytes, self.footprint.rss_bytes), max(now.descriptors, self.footprint.descriptors)
            )
            await anyio.sleep(0.1)


def _at_least(name: str, value: float, unit: str, least: float) -> Figure:
    return Figure(name, value, unit, f">= {least:g}", value >= least)


def _at_most(name: str, value: float, unit: str, most: float) -> Figure:
    return Figure(name, value, unit, f"<= {most:g}", value <= most)


async def _attack(ingest: RunningIngest, name: str, amount: int, seconds: float) -> Process:
    """Start the attacker; one that only holds on does so for longer than the neighbour is watched."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tests.load.ingest.abuse.attacks", name]
    return await anyio.open_process(
        [*command, str(ingest.port), str(amount), str(seconds)],
        env=environment,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=None,
    )


async def _settled(ingest: RunningIngest, before: Footprint) -> Footprint:
    """Return the footprint once the descriptors had time to come back."""
    now = Footprint.of(ingest)
    with anyio.move_on_after(CALM_S):
        while before.descriptors_left(now) > DESCRIPTORS_LEFT_MAX:
            await anyio.sleep(0.1)
            now = Footprint.of(ingest)
    return now


async def _put_policy(ingest: RunningIngest) -> None:
    async with open_channel(ingest.address) as channel:
        request = ingest_pb2.RecordEventRequest(tenant_id=TENANT, event=policy_event())
        stub: ingest_pb2_grpc.IngestServiceAsyncStub = ingest_pb2_grpc.IngestServiceStub(channel)
        await stub.RecordEvent(request, timeout=20)
