"""One sender process: `python -m headwater.load`, told what to do on stdin, telling what it saw on stdout.

A process of its own, so that the client's one interpreter does not become the limit that is measured.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Self

import anyio
import anyio.to_thread
import msgspec

from headwater.load.answers import Ledger
from headwater.load.driving import Conduct, Post, StreamSender, endless, run_caller
from headwater.load.meter import Meter
from headwater.load.plan import INTERVAL_S, Go, Plan, Report, encode_line
from headwater.load.raw import RawIngest, open_raw
from headwater.load.schedule import arrivals, share
from headwater.load.supply import Supply

_CONNECT_S = 10.0


async def serve_orders() -> None:
    """Take the plan, connect, and run a phase for each order until stdin ends."""
    plan = msgspec.json.decode(await _line(), type=Plan)
    chance = random.Random(plan.seed)  # noqa: S311 - a schedule is to be repeatable
    meter = Meter()
    supply = Supply(plan.mixture, chance, plan.run_tag, plan.sender)
    ledger = Ledger(plan.mixture.shape, supply, meter, verify=plan.verify)
    async with open_raw(plan.address, plan.channels, plan.security) as raws:
        with anyio.move_on_after(_CONNECT_S):  # a service that is away shows as errors, which are counted
            for raw in raws:
                await raw.channel.channel_ready()
        _tell(b'{"ready":true}\n')
        while line := await _line():
            await _phase(
                plan, msgspec.json.decode(line, type=Go), raws, Post(supply, meter, ledger, Conduct())
            )


async def _phase(plan: Plan, go: Go, raws: Sequence[RawIngest], post: Post) -> None:
    """Run every lane of a phase and report each interval, the last one as done."""
    conduct = Conduct(
        plan.mixture.shape, plan.timeout_s, plan.window, plan.honour_retry, go.begin_s + go.duration_s + _grace_s(plan, go)
    )  # fmt: skip
    post = Post(post.supply, post.meter, post.ledger, conduct)
    reporter = _Reporter(post.meter, go.begin_s)
    dues, made_before = _due(plan, go), post.supply.made
    async with anyio.create_task_group() as around:
        around.start_soon(reporter.run)
        async with anyio.create_task_group() as lanes:
            for lane, due in enumerate(dues):
                raw = raws[lane % len(raws)]
                if plan.mixture.shape == "stream":
                    lanes.start_soon(StreamSender(raw, post, due).run)
                else:
                    lanes.start_soon(run_caller, raw, post, due)
        around.cancel_scope.cancel()
    if go.profile:
        planned = sum(one.count_all() for one in set(dues))
        post.meter.add(unsent=(planned - post.supply.made + made_before) * plan.mixture.batch)
    reporter.report(done=True)


def _grace_s(plan: Plan, go: Go) -> float:
    """Return how long an open loop may go on sending what is late; a closed loop stops at once."""
    return plan.timeout_s if go.profile else 0.0


class _Due:
    """Due times of a phase, counted."""

    def __init__(self, begin_s: float, moments: Iterator[float]) -> None:
        self._begin_s = begin_s
        self._moments = moments
        self._taken = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> float:
        moment = next(self._moments)
        self._taken += 1
        return self._begin_s + moment

    def count_all(self) -> int:
        """Return how many there were, those that nobody asked for included; ends an open loop's schedule."""
        return self._taken + sum(1 for _ in self._moments)


def _due(plan: Plan, go: Go) -> list[_Due]:
    """Return the due times of every lane: callers share one schedule, streams have one each."""
    if not go.profile:
        return [_Due(0.0, _after(go.begin_s)) for _ in range(plan.lanes)]
    streams = plan.lanes if plan.mixture.shape == "stream" else 1
    profile = share(go.profile, streams)
    dues: list[_Due] = []
    for stream in range(streams):
        chance = random.Random(f"{plan.seed} {stream} {go.profile}")  # noqa: S311 - to be repeatable
        phase = (plan.sender + stream * plan.processes) / (streams * plan.processes)
        moments = arrivals(profile, plan.arrivals, chance, events_each=plan.mixture.batch, phase=phase)
        dues.append(_Due(go.begin_s, moments))
    return dues if len(dues) == plan.lanes else dues * plan.lanes


def _after(begin_s: float) -> Iterator[float]:
    """Yield the beginning once, then the present: a closed loop starts with all others."""
    yield begin_s
    yield from endless(time.monotonic)


class _Reporter:
    """Tells the meter's sheet at the end of each interval."""

    def __init__(self, meter: Meter, begin_s: float) -> None:
        self._meter = meter
        self._begin_s = begin_s
        self._index = 0

    async def run(self) -> None:
        while True:
            ends_s = self._begin_s + (self._index + 1) * INTERVAL_S
            await anyio.sleep(max(0.0, ends_s - time.monotonic()))
            self.report()

    def report(self, *, done: bool = False) -> None:
        """Write one report; an interval that passed unreported is reported as empty by not being told."""
        _tell(encode_line(Report(self._index, self._meter.take().plain(), done)))
        self._index = max(self._index + 1, int((time.monotonic() - self._begin_s) / INTERVAL_S))


async def _line() -> bytes:
    return await anyio.to_thread.run_sync(sys.stdin.buffer.readline)


def _tell(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
