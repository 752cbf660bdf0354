"""How long to pause before the next try: exponential with a cap, full jitter after it. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """A curve of pauses."""

    first_s: float = 0.1
    cap_s: float = 5.0

    def pause_s(self, failures: int, chance: random.Random, *, least_s: float = 0.0) -> float:
        """Return the pause after *failures* in a row (from 1); never below *least_s*, which the service asked for."""
        ceiling = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return least_s + chance.uniform(0, ceiling)
