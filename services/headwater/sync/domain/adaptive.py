"""How fast an account is written to: additive increase, multiplicative decrease. Pure.

Every healthy answer adds a little to the batch size and, once per round of all slots, a slot; a sign
of overload halves. A 429 counts calls, so it halves the slots and leaves the batches: smaller ones
would need more calls for the same records. A timeout and a slow answer halve both. Answers to calls
that began before the last cut tell of the pace before it, so they neither cut again nor raise.

After a 429 one call with one record goes first: while a vendor keeps refusing, whole batches would be
claimed, refused, written down and put back for nothing. When it is answered, or came to no call, all
goes on at the pace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from headwater.policy.account import Adaptive, Limits

BASELINE_SMOOTHING: Final = 0.1
"""Part that a new answer has in the usual latency."""


class Sign(Enum):
    """What an answer says of the vendor's health."""

    ANSWERED = "answered"
    THROTTLED = "throttled"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Answer:
    """How one batch call ended.

    Args:
        began_s: loop time of its start, before any wait at our own gate.
        ended_s: loop time of its end.
        took_s: how long its calls were at the vendor; our own limits are no sign of the vendor's health.
        records: size of the batch.
    """

    sign: Sign
    began_s: float
    ended_s: float
    took_s: float
    records: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How much goes at once.

    Args:
        records: size of a batch.
        slots: batches under way at once.
        healthy: healthy answers since the last slot was added.
        cut_s: loop time of the last cut.
        usual_s: usual latency by size class (the power of 2 of the records).
        feels: whether the vendor has refused for its limits, and not answered since.
    """

    records: int
    slots: int
    healthy: int = 0
    cut_s: float = -math.inf
    usual_s: Mapping[int, float] = field(default_factory=dict)
    feels: bool = False

    @property
    def slots_now(self) -> int:
        """Batches that may be under way at once now."""
        return 1 if self.feels else self.slots

    def room(self, busy: int) -> int:
        """Return how many records the next batch may have while *busy* others are under way; 0: it has to wait."""
        if busy >= self.slots_now:
            return 0
        return 1 if self.feels else self.records


def first_pace(limits: Limits) -> Pace:
    """Return the pace to begin with: all that the policy allows; the limiter keeps it within the vendor's windows."""
    return Pace(limits.batch_records, limits.concurrency)


def after(pace: Pace, answer: Answer, limits: Limits, adaptive: Adaptive) -> Pace:
    """Return the pace after *answer*."""
    if answer.began_s < pace.cut_s:
        return pace
    match answer.sign:
        case Sign.THROTTLED:
            return replace(pace, slots=_half(pace.slots), healthy=0, cut_s=answer.ended_s, feels=True)
        case Sign.TIMED_OUT:
            return _cut_both(pace, answer.ended_s)
        case Sign.ANSWERED:
            usual_s = pace.usual_s.get(_size_class(answer.records), answer.took_s)
            most_s = usual_s * adaptive.latency_multiple
            learned = replace(_learned(pace, answer, most_s), feels=False)
            if answer.took_s > max(adaptive.latency_s_min, most_s):
                return _cut_both(learned, answer.ended_s)
            return _raised(learned, limits, adaptive)


def felt(pace: Pace, cut_s: float) -> Pace:
    """Return the pace after the one record that went first for the cut of *cut_s*: only a further 429 keeps it alone."""
    return replace(pace, feels=False) if pace.cut_s == cut_s else pace


def _raised(pace: Pace, limits: Limits, adaptive: Adaptive) -> Pace:
    records = min(limits.batch_records, pace.records + adaptive.records_step)
    healthy = pace.healthy + 1
    if healthy < pace.slots:
        return replace(pace, records=records, healthy=healthy)
    return replace(pace, records=records, slots=min(limits.concurrency, pace.slots + 1), healthy=0)


def _cut_both(pace: Pace, ended_s: float) -> Pace:
    return replace(pace, records=_half(pace.records), slots=_half(pace.slots), healthy=0, cut_s=ended_s)


def _learned(pace: Pace, answer: Answer, most_s: float) -> Pace:
    """Take the latency into the usual one, an outlier as *most_s*: a vendor that stays slow becomes usual."""
    size = _size_class(answer.records)
    before_s = pace.usual_s.get(size, answer.took_s)
    seen_s = min(answer.took_s, max(most_s, before_s))
    usual_s = before_s + BASELINE_SMOOTHING * (seen_s - before_s)
    return replace(pace, usual_s={**pace.usual_s, size: usual_s})


def _size_class(records: int) -> int:
    return max(1, records).bit_length()


def _half(count: int) -> int:
    return max(1, count // 2)
