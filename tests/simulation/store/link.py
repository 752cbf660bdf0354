"""The way from one process to the database: delays, lost answers, refusals; nothing is applied by half.

A call has two legs. What breaks the first leaves nothing behind; what breaks the second leaves everything
behind and tells nobody. Both look the same to the caller: `Unavailable`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio

from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.ports import StoreRaced

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LinkOdds:
    """How often what goes wrong between a process and the database.

    Args:
        unreached: the first leg breaks: nothing is applied.
        unheard: the second leg breaks: applied, and nobody is told.
        raced: the transaction loses a race for locks.
    """

    unreached: float = 0.0
    unheard: float = 0.0
    raced: float = 0.0


GOOD = LinkOdds()


class Note(Protocol):
    """Takes one line of the run's journal."""

    def __call__(self, kind: str, *facts: Any) -> None: ...


class Link:
    """One process's connections to the database.

    Args:
        odds: asked at each call, so that they may follow a plan over time.
        leg_s_max: longest way in one direction.
    """

    def __init__(
        self, chance: random.Random, odds: Callable[[], LinkOdds], note: Note, leg_s_max: float = 0.004
    ) -> None:
        self.chance = chance
        self._odds = odds
        self._note = note
        self._leg_s_max = leg_s_max

    async def call(self, name: str, apply: Callable[[], T], *, may_race: bool = True) -> T:
        """Return what *apply* returns, which runs as one transaction.

        Raises: Unavailable, StoreRaced, and what *apply* raises.
        """
        odds = self._odds()
        die = self.chance.random()
        await anyio.sleep(self.chance.uniform(0.0002, self._leg_s_max))
        if die < odds.unreached:
            self._note("db", name, "unreached")
            raise Unavailable("database: the connection is lost", reason="DATABASE_UNAVAILABLE")
        die -= odds.unreached
        if may_race and die < odds.raced:
            self._note("db", name, "raced")
            raise StoreRaced("could not serialize access")
        die -= odds.raced
        try:
            answer = apply()
        except (HeadwaterError, FenceLost) as error:
            self._note("db", name, type(error).__name__)
            await anyio.sleep(self.chance.uniform(0.0002, self._leg_s_max))
            raise
        self._note("db", name, "ok")
        await anyio.sleep(self.chance.uniform(0.0002, self._leg_s_max))
        if die < odds.unheard:
            self._note("db", name, "unheard")
            raise Unavailable("database: the connection is lost", reason="DATABASE_UNAVAILABLE")
        return answer
