"""A whole run: its phases one after the other, watched, followed live. Owns their order; sends nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import anyio

from headwater.load.fleet import Fleet, PhaseResult
from headwater.load.limit import Probe, next_rate
from headwater.load.meter import Sheet
from headwater.load.plan import INTERVAL_S
from headwater.load.resources import Watch
from headwater.load.schedule import Profile, ramp, steady

SAMPLE_S: Final = 0.5
Mode = Literal["closed", "rate", "ramp", "limit"]


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be offered over time.

    Args:
        rate: events a second: steady, a ramp's first, or where the search for the limit begins; 0: closed loop.
        rate_to: a ramp's last.
        steps: stairs of a ramp; 0: smooth.
        duration_s: of the measured part; of each probe when the limit is searched.
        warm_up_s: before it, at its first rate; seen by the service and by `--verify`, in no percentile.
        p99_ms: bound of the search for the limit.
    """

    mode: Mode
    duration_s: float
    warm_up_s: float = 0.0
    rate: float = 0.0
    rate_to: float = 0.0
    steps: int = 0
    p99_ms: float = 100.0


@dataclass(slots=True)
class Outcome:
    """What a course led to.

    Args:
        measured: the phases that count: one, or one per probe.
        profiles: what was offered in each.
        everything: of all phases, warm-up included: what the log must answer for.
    """

    measured: list[PhaseResult] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    everything: Sheet = field(default_factory=Sheet)


@dataclass(frozen=True, slots=True)
class Live:
    """One sender's report, for the display."""

    phase: str
    at_s: float
    phase_s: float
    sheet: Sheet


Follow = Callable[[Live], None]


async def run_course(fleet: Fleet, course: Course, watch: Watch, follow: Follow) -> Outcome:
    """Run every phase of a course; the watch is sampled all the while."""
    outcome = Outcome()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sample, watch)
        if course.warm_up_s:
            await _phase(fleet, outcome, "warm-up", course.warm_up_s, _warm_up(course), follow)
        if course.mode == "limit":
            await _search(fleet, course, outcome, follow)
        else:
            profile = _profile(course)
            result = await _phase(fleet, outcome, "run", course.duration_s, profile, follow)
            outcome.measured.append(result)
            outcome.profiles.append(profile)
        tasks.cancel_scope.cancel()
    watch.sample(time.monotonic())
    return outcome


async def _search(fleet: Fleet, course: Course, outcome: Outcome, follow: Follow) -> None:
    """Probe rates until the highest that is kept is known."""
    while (rate := next_rate(outcome.probes, course.rate, course.p99_ms)) is not None:
        profile = steady(rate, course.duration_s)
        name = f"probe {len(outcome.probes) + 1}: {rate:,.0f}/s"
        result = await _phase(fleet, outcome, name, course.duration_s, profile, follow)
        outcome.measured.append(result)
        outcome.profiles.append(profile)
        outcome.probes.append(probe_of(rate, result))


def probe_of(rate: float, result: PhaseResult) -> Probe:
    """Return what a phase says of a rate."""
    total = result.total()
    within = Sheet()
    for index, sheet in result.intervals.items():
        if (index + 1) * INTERVAL_S <= result.duration_s + INTERVAL_S:
            within.merge(sheet)
    p99_us = total.corrected.percentile_us(99.0)
    achieved = within.counts["events"] / result.duration_s
    faults = sum(total.errors.values()) + total.counts["shed"]
    return Probe(rate, achieved, None if p99_us is None else p99_us / 1000, faults)


async def _phase(
    fleet: Fleet, outcome: Outcome, name: str, length_s: float, profile: Profile, follow: Follow
) -> PhaseResult:
    def heard(index: int, sheet: Sheet) -> None:
        outcome.everything.merge(sheet)
        follow(Live(name, (index + 1) * INTERVAL_S, length_s, sheet))

    return await fleet.run_phase(length_s, profile, heard)


def _warm_up(course: Course) -> Profile:
    return steady(course.rate, course.warm_up_s) if course.mode != "closed" else ()


def _profile(course: Course) -> Profile:
    if course.mode == "closed":
        return ()
    if course.mode == "ramp":
        return ramp(course.rate, course.rate_to, course.duration_s, course.steps)
    return steady(course.rate, course.duration_s)


async def _sample(watch: Watch) -> None:
    while True:
        watch.sample(time.monotonic())
        await anyio.sleep(SAMPLE_S)
