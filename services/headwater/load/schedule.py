"""When events are meant to be sent: fixed in advance, whatever the service does. Pure.

A profile is a rate over time in straight pieces. Arrivals are where its integral reaches 1, 2, 3, … (constant), or
where it reaches the sums of exponential draws (Poisson): time rescaling makes any rate of either kind.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Arrivals = Literal["constant", "poisson"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time in which the rate goes from one value to another in a straight line.

    Args:
        rate_from: events a second at its beginning, at least 0.
        rate_to: events a second at its end.
    """

    duration_s: float
    rate_from: float
    rate_to: float

    @property
    def events(self) -> float:
        """Events in the whole piece."""
        return (self.rate_from + self.rate_to) / 2 * self.duration_s

    def rate_at(self, at_s: float) -> float:
        """Return the rate *at_s* after its beginning."""
        return self.rate_from + (self.rate_to - self.rate_from) * at_s / self.duration_s

    def reaches(self, events: float) -> float:
        """Return when, after its beginning, it has *events* events, up to all of them."""
        slope = (self.rate_to - self.rate_from) / self.duration_s
        # 2c / (b + sqrt(b^2 + 2ac)): keeps its digits when the slope is nearly flat.
        root = math.sqrt(max(0.0, self.rate_from**2 + 2 * slope * events))
        return min(self.duration_s, 2 * events / (self.rate_from + root)) if events > 0 else 0.0


Profile = tuple[Piece, ...]


def steady(rate: float, duration_s: float) -> Profile:
    """Return one rate for the whole time."""
    return (Piece(duration_s, rate, rate),)


def ramp(rate_from: float, rate_to: float, duration_s: float, steps: int = 0) -> Profile:
    """Return a rate that changes over the time: smoothly, or in *steps* equal stairs of which the last is *rate_to*."""
    if steps <= 1:
        return (Piece(duration_s, rate_from, rate_to),)
    stair_s = duration_s / steps
    rates = (rate_from + (rate_to - rate_from) * step / (steps - 1) for step in range(steps))
    return tuple(Piece(stair_s, rate, rate) for rate in rates)


def duration_s(profile: Sequence[Piece]) -> float:
    """Return how long a profile lasts."""
    return sum(piece.duration_s for piece in profile)


def share(profile: Profile, parts: int) -> Profile:
    """Return the profile of one of *parts* equal senders."""
    return tuple(Piece(piece.duration_s, piece.rate_from / parts, piece.rate_to / parts) for piece in profile)


def arrivals(
    profile: Profile, kind: Arrivals, chance: random.Random, *, events_each: int = 1, phase: float = 0.0
) -> Iterator[float]:
    """Yield the moments, in seconds after the beginning, at which a message is to be sent.

    Args:
        events_each: of one message; the profile's rates are in events.
        phase: 0 up to 1, shifts constant arrivals so that several senders take turns.
    """
    due = phase if kind == "constant" else chance.expovariate(1.0)
    passed_s = passed_events = 0.0
    for piece in profile:
        while due * events_each < passed_events + piece.events - 1e-9:
            yield passed_s + piece.reaches(due * events_each - passed_events)
            due += 1.0 if kind == "constant" else chance.expovariate(1.0)
        passed_s += piece.duration_s
        passed_events += piece.events


def offered_rate(profile: Profile, at_s: float) -> float:
    """Return the rate of a profile at a moment; 0 after its end."""
    for piece in profile:
        if at_s < piece.duration_s:
            return piece.rate_at(max(0.0, at_s))
        at_s -= piece.duration_s
    return 0.0
