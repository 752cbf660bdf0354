"""What a sender saw, interval by interval: counts and latencies that add up across senders and over time. Pure.

Two latencies are kept of every answer: from the moment it was *meant* to be sent (corrected: a stall of the service
counts for everything that should have been sent meanwhile) and from the moment it was sent (uncorrected).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.load.histogram import Histogram

COUNTS: Final = (
    "messages", "events", "accepted", "duplicate", "quarantined", "refused", "fresh_recorded", "unexpected",
    "pushed_back", "shed", "unknown", "resent", "unsent", "sent_messages", "sent_events", "bytes_sent", "bytes_received",
)  # fmt: skip
"""Names of the counts.

messages, events: acknowledged; then what the acknowledgements said of the events.
fresh_recorded: events in the log of which this was the first acknowledgement: what the log must have grown by.
unexpected: outcomes other than the one due, as a duplicate where the event was new.
pushed_back: answers RESOURCE_EXHAUSTED. shed: events given up after one. resent: events sent again after one.
unsent: events of an open loop that were due, but not sent when the time for late ones was over.
unknown: events sent of which no answer came: recorded or not, nobody was told.
"""


@dataclass(slots=True)
class Sheet:
    """One interval, or the sum of many."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    corrected: Histogram = field(default_factory=Histogram)
    uncorrected: Histogram = field(default_factory=Histogram)

    def merge(self, other: Sheet) -> None:
        """Add all of *other*."""
        self.counts.update(other.counts)
        self.errors.update(other.errors)
        self.corrected.merge(other.corrected)
        self.uncorrected.merge(other.uncorrected)

    def plain(self) -> dict[str, Any]:
        """Return the sheet as JSON values, for `of`."""
        return {
            "counts": dict(self.counts),
            "errors": dict(self.errors),
            "corrected": self.corrected.plain(),
            "uncorrected": self.uncorrected.plain(),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Sheet:
        """Return the sheet that `plain` told of."""
        return cls(
            Counter(plain["counts"]),
            Counter(plain["errors"]),
            Histogram.of(plain["corrected"]),
            Histogram.of(plain["uncorrected"]),
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """The three moments of one answer, seconds of one clock."""

    intended_s: float
    sent_s: float
    answered_s: float


class Meter:
    """The sheet of the interval under way; taken and replaced by whoever reports."""

    def __init__(self) -> None:
        self._sheet = Sheet()

    def take(self) -> Sheet:
        """Return what was seen since the last call."""
        taken, self._sheet = self._sheet, Sheet()
        return taken

    def sent(self, events: int, size_bytes: int) -> None:
        """Count a message on its way."""
        counts = self._sheet.counts
        counts["sent_messages"] += 1
        counts["sent_events"] += events
        counts["bytes_sent"] += size_bytes

    def answered(self, timing: Timing) -> None:
        """Count the latency of an answer, whatever it said."""
        self._sheet.corrected.record(round((timing.answered_s - timing.intended_s) * 1e6))
        self._sheet.uncorrected.record(round((timing.answered_s - timing.sent_s) * 1e6))

    def add(self, **counts: int) -> None:
        """Add to counts by name."""
        held = self._sheet.counts
        for name, count in counts.items():
            held[name] += count

    def failed(self, code: str, reason: str, **counts: int) -> None:
        """Count a call or stream that ended with an error."""
        self._sheet.errors[f"{code} {reason}".strip()] += 1
        self.add(**counts)
