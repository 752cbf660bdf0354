"""The goals of sync and the figures that answer them, from what every round gave. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from tests.load.figures import Figure, Goal, ratios
from tests.load.ingest.stages import Measurement
from tests.load.sync.backlog import Drained
from tests.load.sync.isolation import FAULTS, Isolated
from tests.load.sync.latency import Paced
from tests.load.sync.mechanic_cases import HELD, OURS

Rounds = Mapping[str, Sequence[Any]]
"""Case to what each round gave: a measurement, or in one line why there is none."""
Measured = TypeVar("Measured")

MILLION: Final = "million"
BACKLOG: Final = "backlog"
ISOLATION: Final = "isolation"
GOAL_RATE: Final = 200
RATES: Final = (50, GOAL_RATE)
CONVOY_P95_MS: Final[Mapping[int, float]] = {50: 124.0, 200: 127.0}
"""Convoy's own published p95 at these rates."""
_PEERS: Final[Mapping[str, float]] = {
    "pgqueuer": 5.0,
    "procrastinate": 50.0,
    "graphile-worker": 3.0,
    "pg-boss": 3.0,
}
_LATENCY_MS: Final[Mapping[int, float]] = {50: 60.0, 200: 60.0}


def pace_case(rate: int) -> str:
    """Return the name of the latency case of a rate."""
    return f"latency {rate}/s"


def figures_of(rounds: Rounds, cases: Sequence[str]) -> list[Figure]:
    """Return the figures of the cases that were asked for; one that was not measured in full fails."""
    found: list[Figure] = []
    if OURS in cases:
        found += [_against(rounds, peer, bound) for peer, bound in _PEERS.items() if peer in cases]
    if {OURS, OURS + HELD} <= {*cases}:
        name = "rate under a held snapshot / without"
        found.append(_pair(rounds, name, Goal(">=", 0.9), OURS + HELD, OURS))
    if MILLION in cases:
        found.append(
            _value(
                rounds, MILLION, "queue size after the deliveries / of live rows", "", Goal("<=", 2), _growth
            )
        )
    for rate in RATES:
        if pace_case(rate) in cases:
            found += _latencies(rounds, rate)
    if BACKLOG in cases:
        found.append(
            _value(rounds, BACKLOG, "backlog through two connectors", "events/s", Goal(">=", 3_000), _rate)
        )
    if ISOLATION in cases:
        found += [_isolated(rounds, fault) for fault in FAULTS]
    return found


def complaint(rounds: Rounds, *names: str) -> str:
    """Return why a figure of the cases *names* does not count; empty when all of them were measured."""
    for name in names:
        if not rounds.get(name):
            return f"{name} was not run"
        for one in rounds[name]:
            if isinstance(one, str):
                return f"{name}: {one}"
    return ""


def _against(rounds: Rounds, peer: str, bound: float) -> Figure:
    return _pair(rounds, f"queue mechanics / {peer}", Goal(">=", bound), OURS, peer)


def _pair(rounds: Rounds, name: str, goal: Goal, above: str, below: str) -> Figure:
    whole = [
        (one, other)
        for one, other in zip(rounds.get(above, ()), rounds.get(below, ()), strict=False)
        if isinstance(one, Measurement) and isinstance(other, Measurement)
    ]
    values = ratios([one.rate for one, _ in whole], [other.rate for _, other in whole])
    return Figure(name, "", goal, values, complaint(rounds, above, below))


def _value(
    rounds: Rounds, case: str, name: str, unit: str, goal: Goal, read: Callable[[Any], float]
) -> Figure:
    values = tuple(read(one) for one in rounds.get(case, ()) if not isinstance(one, str))
    return Figure(name, unit, goal, values, complaint(rounds, case))


def _growth(one: Measurement) -> float:
    live, end = one.told["live_bytes"], one.told["end_bytes"]
    return float((end["tables"] + end["indexes"]) / (live["tables"] + live["indexes"]))


def _rate(one: Drained) -> float:
    return one.rate


def _latencies(rounds: Rounds, rate: int) -> list[Figure]:
    case = pace_case(rate)

    def p95(one: Paced) -> float:
        return one.settled_ms["p95"]

    def against_convoy(one: Paced) -> float:
        return CONVOY_P95_MS[rate] / one.settled_ms["p95"]

    return [
        _value(rounds, case, f"event to CRM p95 at {rate}/s", "ms", Goal("<=", _LATENCY_MS[rate]), p95),
        _value(rounds, case, f"Convoy's p95 / ours at {rate}/s", "", Goal(">=", 1.0), against_convoy),
    ]


def _isolated(rounds: Rounds, fault: str) -> Figure:
    def ratio(found: Sequence[Isolated]) -> float:
        return next(one.ratio for one in found if one.fault == fault)

    name = f"p99 of seven connectors, the eighth {fault} / baseline"
    return _value(rounds, ISOLATION, name, "", Goal("<=", 1.1), ratio)
