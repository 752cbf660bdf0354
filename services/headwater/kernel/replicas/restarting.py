"""When a process that died is started again, and when it is given up. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RestartSettings:
    """How fast, and how often.

    Args:
        pause_first_s: longest pause after the first death.
        pause_cap_s: longest pause of all.
        deaths_max: deaths within `window_s`, of all processes together, at which the service is given up.
        window_s: how long a death counts.
    """

    pause_first_s: float = 0.2
    pause_cap_s: float = 5.0
    deaths_max: int = 12
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Deaths:
    """When processes died lately, oldest first; seconds of one clock."""

    times_s: tuple[float, ...] = ()

    def noted(self, settings: RestartSettings, now_s: float) -> Deaths:
        """Return the deaths that count now, with one more."""
        counted = tuple(time_s for time_s in self.times_s if now_s - time_s < settings.window_s)
        return replace(self, times_s=(*counted, now_s))

    def is_loop(self, settings: RestartSettings) -> bool:
        """Say whether starting again has proved useless."""
        return len(self.times_s) >= settings.deaths_max


def pause_s(settings: RestartSettings, failures: int, chance: random.Random) -> float:
    """Return the pause before the next start after *failures* in a row, from 1: full jitter under a capped curve."""
    ceiling_s = min(settings.pause_cap_s, settings.pause_first_s * 2.0 ** min(failures - 1, 30))
    return chance.uniform(0, ceiling_s)
