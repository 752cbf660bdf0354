"""From the options of `headwater load` to what the engine is told; wrong ones are refused with the rule. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import typer

from headwater.load.campaign import Course, Mode
from headwater.load.payloads import Sizes
from headwater.load.plan import INTERVAL_S, Plan
from headwater.load.results import Goals
from headwater.load.schedule import Arrivals
from headwater.load.supply import Level, Mixture, Shape

PREFIX: Final = "load-"
"""Begins the names of tenants that loads make; nobody's data is in them."""
PAYLOAD_BYTES_MAX: Final = 256 * 1024
FIRST_RATE: Final = 1_000.0
"""Where the search for the limit begins unless told."""
_RANGE: Final = re.compile(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")
_WATCH: Final = re.compile(r"([a-z][a-z0-9_-]{0,31})=(\d+)")
_LANES: Final = {"unary": 16, "batch": 16, "stream": 4}
_OPEN_CALLERS: Final = 256
"""Calls under way at once in an open loop, so that a slow service does not turn it into a closed one."""
_CHANNELS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed, by option."""

    shape: str
    batch: int
    rate: float | None
    arrivals: str
    ramp: str | None
    steps: int
    find_limit: bool
    p99_ms: float
    callers: int | None
    streams: int | None
    window: int
    tenants: int
    tenant: str | None
    skew: float
    duplicates: float
    duplicate_level: str
    payload_bytes: str | None
    invalid: float
    sampled: float
    duration: float
    warm_up: float
    processes: int
    channels: int | None
    seed: int
    timeout: float
    honour_retry: bool
    verify: bool
    max_p99_ms: float | None
    min_rate: float | None
    max_errors: int | None
    watch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the engine is to do, save where to."""

    course: Course
    mixture: Mixture
    lanes: int
    channels: int
    goals: Goals
    watch: dict[str, tuple[int, ...]]

    def plan(self, options: Options, address: str, run_tag: str) -> Plan:
        """Return the plan for the senders."""
        return Plan(
            address,
            run_tag,
            self.mixture,
            processes=options.processes,
            lanes=self.lanes,
            channels=self.channels,
            window=options.window,
            timeout_s=options.timeout,
            honour_retry=options.honour_retry,
            verify=options.verify,
            arrivals=cast("Arrivals", options.arrivals),
        )

    def parameters(self, options: Options, tenants: tuple[str, ...]) -> dict[str, Any]:
        """Return every parameter for the results, with a sentence about the load."""
        used = {"lanes": self.lanes, "channels": self.channels, "batch": self.mixture.batch}
        return asdict(options) | used | {"load": describe(self.course), "tenant_ids": list(tenants)}


def read_options(options: Options) -> Asked:
    """Return what the options ask for.

    Raises:
        typer.BadParameter: they contradict each other, or one breaks a rule.
    """
    course = _course(options)
    lanes = _lanes(options, closed=course.mode == "closed")
    tenants = (
        (options.tenant,) if options.tenant else tuple(f"{PREFIX}{n + 1}" for n in range(options.tenants))
    )
    if options.tenant and options.tenants > 1:
        raise typer.BadParameter("--tenant names one tenant, --tenants makes several: give one of them")
    mixture = Mixture(
        shape=cast("Shape", options.shape),
        batch=1 if options.shape == "unary" else options.batch,
        tenants=tenants,
        skew=options.skew,
        duplicates=options.duplicates,
        level=cast("Level", options.duplicate_level),
        sizes=_sizes(options.payload_bytes),
        invalid=options.invalid,
        sampled=options.sampled,
    )
    goals = Goals(options.max_p99_ms, options.min_rate, options.max_errors)
    return Asked(course, mixture, lanes, _channels(options, lanes), goals, _watch(options.watch))


def describe(course: Course) -> str:
    """Return the load in a few words, for people."""
    if course.mode == "closed":
        return f"closed loop, {course.duration_s:g} s"
    if course.mode == "ramp":
        stairs = f" in {course.steps} steps" if course.steps > 1 else ""
        return f"open loop, {course.rate:,.0f} to {course.rate_to:,.0f} events/s{stairs}, {course.duration_s:g} s"
    if course.mode == "limit":
        return f"search for the limit at p99 ≤ {course.p99_ms:g} ms, probes of {course.duration_s:g} s"
    return f"open loop, {course.rate:,.0f} events/s, {course.duration_s:g} s"


def _course(options: Options) -> Course:
    if options.ramp and (options.rate or options.find_limit):
        raise typer.BadParameter("--ramp says the rate itself: leave out --rate and --find-limit")
    if options.steps and not options.ramp:
        raise typer.BadParameter("--steps needs --ramp FROM..TO")
    mode: Mode = "closed"
    first, last = options.rate or 0.0, 0.0
    if options.find_limit:
        mode, first = "limit", first or FIRST_RATE
    elif options.ramp:
        mode, (first, last) = "ramp", _range(options.ramp, "--ramp")
    elif options.rate:
        mode = "rate"
    duration_s, warm_up_s = _rounded(options.duration) or INTERVAL_S, _rounded(options.warm_up)
    return Course(mode, duration_s, warm_up_s, first, last, options.steps, options.p99_ms)


def _lanes(options: Options, *, closed: bool) -> int:
    """Return streams or callers of each process."""
    if options.shape == "stream":
        if options.callers:
            raise typer.BadParameter("--callers is for unary and batch; streams are counted by --streams")
        total = options.streams or _LANES["stream"]
    else:
        if options.streams:
            raise typer.BadParameter("--streams is for --shape stream; calls are counted by --callers")
        total = options.callers or (_LANES[options.shape] if closed else _OPEN_CALLERS)
    return max(1, -(-total // options.processes))


def _channels(options: Options, lanes: int) -> int:
    return min(options.channels or _CHANNELS_MAX, lanes)


def _sizes(text: str | None) -> Sizes:
    if text is None:
        return Sizes()
    least, most = _range(text, "--payload-bytes")
    if not 0 < most <= PAYLOAD_BYTES_MAX:
        raise typer.BadParameter(f"--payload-bytes: at most {PAYLOAD_BYTES_MAX}")
    return Sizes(int(least), int(most))


def _range(text: str, option: str) -> tuple[float, float]:
    found = _RANGE.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{option} {text}: must be FROM..TO, as 100..2000")
    first, last = float(found[1]), float(found[2])
    if option == "--payload-bytes" and first > last:
        raise typer.BadParameter(f"{option} {text}: MIN is above MAX")
    if not (first or last):
        raise typer.BadParameter(f"{option} {text}: one of them must be above 0")
    return first, last


def _watch(given: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for text in given:
        match = _WATCH.fullmatch(text)
        if not match:
            raise typer.BadParameter(f"--watch {text}: must be NAME=PID, as ingest=4711")
        found[match[1]] = (*found.get(match[1], ()), int(match[2]))
    return found


def _rounded(seconds: float) -> float:
    return round(seconds / INTERVAL_S) * INTERVAL_S
