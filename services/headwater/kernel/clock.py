"""Wall-clock time, injected: the only place that reads the system's clock.

Loop time (deadlines, pauses) belongs to anyio and runs virtually in tests.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day."""

    def now(self) -> dt.datetime:
        """Return the present moment, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The clock of this machine."""

    def now(self) -> dt.datetime:
        """Return the machine's time in UTC."""
        return dt.datetime.now(dt.UTC)


@dataclass(slots=True)
class SteppedClock:
    """A clock that moves only when told: for tests and simulations."""

    present: dt.datetime = field(default_factory=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    def now(self) -> dt.datetime:
        """Return the moment set last."""
        return self.present

    def advance(self, seconds: float) -> None:
        """Move on by *seconds*, which may be negative: clocks do jump."""
        self.present += dt.timedelta(seconds=seconds)
