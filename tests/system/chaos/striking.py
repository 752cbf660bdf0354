"""Kills processes at random instants, drawn from a seed, and starts them again at once.

Owns all waiting that is part of the fault plan. Must not know what is to hold afterwards.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
from anyio import to_thread

SEED_VARIABLE: Final = "HEADWATER_TEST_SEED"
WARM_UP_S: Final = 0.5
"""Until the writers are at work."""
LULL_S: Final = (0.05, 1.6)
"""Shortest and longest time from the moment a victim serves again to the next kill."""


class Killable(Protocol):
    """Processes by name."""

    def kill(self, name: str) -> None:
        """End one without a goodbye."""
        ...

    def restart(self, name: str) -> None:
        """Start one again as it was; return when it is ready."""
        ...


@dataclass(slots=True)
class Strikes:
    """What was killed and when, in seconds since the first event.

    Args:
        seed: repeats the run's choices.
    """

    seed: int
    instants: list[tuple[float, str]] = field(default_factory=list)
    down_s: list[float] = field(default_factory=list)

    def count(self, name: str) -> int:
        """Return how often *name* was killed."""
        return sum(victim == name for _, victim in self.instants)

    def __str__(self) -> str:
        told = " ".join(f"{victim}@{moment:.2f}" for moment, victim in self.instants)
        longest = max(self.down_s, default=0.0)
        return f"{SEED_VARIABLE}={self.seed}; kills: {told}; longest away {longest:.2f} s"


def chosen_seed(environment: Mapping[str, str] = os.environ) -> int:
    """Return the seed that the environment names, else a new one."""
    return int(environment.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**32))


async def strike(stack: Killable, victims: Sequence[str], strikes: Strikes, chance: random.Random) -> None:
    """Kill each of *victims* once, in a random order, each time at a random instant after the one before."""
    began = anyio.current_time()
    await anyio.sleep(WARM_UP_S)
    for victim in chance.sample(victims, len(victims)):
        await anyio.sleep(chance.uniform(*LULL_S))
        struck = anyio.current_time()
        strikes.instants.append((struck - began, victim))
        await to_thread.run_sync(stack.kill, victim)
        await to_thread.run_sync(stack.restart, victim)
        strikes.down_s.append(anyio.current_time() - struck)
