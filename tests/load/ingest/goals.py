"""The goals of ingest and the figures that answer them, from the measurements of every round. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.load.figures import Figure, Goal, ratios
from tests.load.ingest.stages import Measurement

Rounds = Mapping[str, Sequence[Measurement | str]]
"""Case to what each round gave: a measurement, or why there is none."""
Reading = Callable[[Measurement], float]

STREAM: Final = "ours stream 100"
COPY: Final = "raw copy"


def _rate(one: Measurement) -> float:
    return one.rate


def _p50(one: Measurement) -> float:
    return one.latency_ms["p50"]


def _p99(one: Measurement) -> float:
    return one.latency_ms["p99"]


def _wal(one: Measurement) -> float:
    return one.wal_bytes


_RATIOS: Final[Sequence[tuple[str, Goal, str, Reading, str, Reading]]] = (
    ("stream of 100 / raw COPY", Goal(">=", 0.60), STREAM, _rate, COPY, _rate),
    ("stream of 100 / INSERT unnest", Goal(">=", 0.80), STREAM, _rate, "raw unnest", _rate),
    ("stream with repeats / without", Goal(">=", 0.8), "ours stream 100 repeats", _rate, STREAM, _rate),
    ("WAL per event / raw COPY", Goal("<=", 1.1), STREAM, _wal, COPY, _wal),
    ("unary 16 / no-op unary 16", Goal(">=", 0.70), "ours unary 16", _rate, "noop unary 16", _rate),
    ("stream of 1 x 8 / no-op stream", Goal(">=", 0.8), "ours stream 1x8", _rate, "noop stream 1x8", _rate),
    ("unary 1 p50 / one-row commit p50", Goal("<=", 4.5), "ours unary 1", _p50, "raw one row", _p50),
    ("batch 100 x 16 p99 / p50", Goal("<=", 3.0), "ours batch 100x16", _p99, "ours batch 100x16", _p50),
)
_VALUES: Final[Sequence[tuple[str, str, Goal, Reading]]] = (
    ("stream of 100", "events/s", Goal(">=", 40_000), _rate),
    ("ingest CPU", "us/event", Goal("<=", 12), lambda one: one.server_us),
    ("ack p99 at full load", "ms", Goal("<=", 100), _p99),
)


def figures_of(rounds: Rounds, peers: Sequence[str]) -> list[Figure]:
    """Return every figure; one whose cases were not all measured says so and fails."""
    found = [
        _ratio(rounds, name, goal, (above, read_above), (below, read_below))
        for name, goal, above, read_above, below, read_below in _RATIOS
    ]
    found += [_value(rounds, name, unit, goal, read) for name, unit, goal, read in _VALUES]
    return [*found, _against_peers(rounds, peers)]


def complaint(rounds: Rounds, *names: str) -> str:
    """Return why a figure of the cases *names* does not count; empty when all of them were measured."""
    for name in names:
        if not rounds.get(name):
            return f"{name} was not run"
        for one in rounds[name]:
            if isinstance(one, str):
                return f"{name}: {one}"
    return ""


def _whole(rounds: Rounds, *names: str) -> list[tuple[Measurement, ...]]:
    """Return the rounds in which every case of *names* was measured."""
    together = zip(*(rounds.get(name, ()) for name in names), strict=False)
    return [
        tuple(one for one in row if not isinstance(one, str))
        for row in together
        if not any(isinstance(one, str) for one in row)
    ]


def _ratio(
    rounds: Rounds, name: str, goal: Goal, above: tuple[str, Reading], below: tuple[str, Reading]
) -> Figure:
    pairs = _whole(rounds, above[0], below[0])
    values = ratios([above[1](one) for one, _ in pairs], [below[1](other) for _, other in pairs])
    return Figure(name, "", goal, values, complaint(rounds, above[0], below[0]))


def _value(rounds: Rounds, name: str, unit: str, goal: Goal, read: Reading) -> Figure:
    values = tuple(read(one) for (one,) in _whole(rounds, STREAM))
    return Figure(name, unit, goal, values, complaint(rounds, STREAM))


def _against_peers(rounds: Rounds, peers: Sequence[str]) -> Figure:
    """Return ours over the best peer of each round; a peer that is missing could have been the best."""
    measured = [peer for peer in peers if _whole(rounds, peer)]
    rows = _whole(rounds, STREAM, *measured) if measured else []
    values = tuple(ours.rate / max(other.rate for other in others) for ours, *others in rows)
    return Figure(
        "stream of 100 / best peer's batch enqueue",
        "",
        Goal(">=", 1.5),
        values,
        complaint(rounds, STREAM, *peers),
    )
