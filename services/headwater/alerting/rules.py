"""What an alert is, and how its times are written; scaled down, hours become seconds in a drill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Severity = Literal["page", "ticket", "none"]

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
WINDOW_S_MIN: Final = 6.0
"""Shortest window of a drill: some samples must lie in it."""
THRESHOLD_S_MIN: Final = 3.0
"""Shortest age that a drill calls old: some scrapes and heartbeats must fit in."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Args:
        expression: PromQL that has a series while something is wrong.
        for_s: how long it must be so.
        summary: one line, with templates.
        impact: what it means for the business, for who is woken.
        labels: further labels, as the connector and its owner.
    """

    name: str
    severity: Severity
    expression: str
    for_s: float
    summary: str
    impact: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts that are looked at together."""

    name: str
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """How fast time passes.

    Args:
        divisor: by which every window, pause and threshold of time is divided; 1 is production.
    """

    divisor: float = 1.0

    def number(self, real_s: float, least_s: float = THRESHOLD_S_MIN) -> str:
        """Return a threshold of time as PromQL writes it; in a drill *least_s* at least."""
        scaled = real_s / self.divisor
        return f"{scaled if self.divisor == 1 else max(least_s, scaled):g}"

    def window(self, real_s: float) -> str:
        """Return a window of time as PromQL writes it."""
        scaled = real_s / self.divisor
        return duration(scaled if self.divisor == 1 else max(WINDOW_S_MIN, scaled))

    def pause(self, real_s: float) -> str:
        """Return how long something must be so, as a rule writes it."""
        return duration(real_s / self.divisor)


def duration(seconds: float) -> str:
    """Return a length of time as Prometheus writes it."""
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (60.0, "m"), (1.0, "s")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{int(seconds // unit_s)}{unit}"
    return f"{round(seconds * 1000)}ms"
