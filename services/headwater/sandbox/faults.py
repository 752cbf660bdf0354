"""Owns the faults of an account: what they are, and when they fire. Decides only; the gate acts.

A fault fires by chance or for a number of times. Chance is a function of (seed, position, draw), so a run with the
same seed and the same calls meets the same faults, whatever else happens in the process.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Collection

    from headwater.sandbox.store.database import Database

FaultKind = Literal[
    "latency_ms",
    "error_5xx",
    "storm_429",
    "hang",
    "commit_then_hang",
    "commit_then_reset",
    "partial",
    "truncated_page",
    "token_expire_now",
    "html_error",
    "stream_cut",
    "batch_lost",
    "event_gap",
    "event_overflow",
]

BEFORE: tuple[FaultKind, ...] = ("latency_ms", "hang", "error_5xx", "storm_429", "html_error")
"""Decided when an authentic call within limits arrives, before anything is done."""
PARTIAL: tuple[FaultKind, ...] = ("partial",)
"""Decided when a batch is worked on, for its items."""
SHORT: tuple[FaultKind, ...] = ("truncated_page",)
"""Decided when a list or a query is answered: its page ends early and says that nothing follows."""
EXPIRY: tuple[FaultKind, ...] = ("token_expire_now",)
"""Decided when a call arrives, before its token is looked at."""
EVENTS: tuple[FaultKind, ...] = ("stream_cut", "batch_lost", "event_gap", "event_overflow")
"""Decided when a batch of change events is about to be sent: cut behind it, cut in its place, as gaps, as one overflow."""
AFTER: tuple[FaultKind, ...] = ("commit_then_hang", "commit_then_reset")
"""Decided after a write was committed, before it is answered."""


def _expression(value: str | None) -> str | None:
    try:
        re.compile(value or "")
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


class Fault(BaseModel):
    """One switchable fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    """Chance that the fault fires at a call that it applies to."""
    count: int | None = Field(default=None, ge=1)
    """How often it fires at most; None is without end."""
    path: Annotated[str | None, AfterValidator(_expression)] = None
    """Regular expression searched in "METHOD /path"; None applies to every call but those for tokens."""
    value_ms: int = Field(default=100, ge=0, le=600_000)
    """`latency_ms`: how long to wait."""
    status: int = Field(default=503, ge=500, le=599)
    """`error_5xx`, `html_error`: the status answered."""
    retry_after_s: int | None = Field(default=None, ge=0)
    """`storm_429`, `error_5xx`: the Retry-After header; None sends none."""
    share: float = Field(default=0.5, gt=0.0, le=1.0)
    """`partial`: chance of each item to fail; at least one does. `truncated_page`: part of the page that is cut off."""


class FaultPlan(BaseModel):
    """The faults of an account, and what seeds their chances."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[Fault, ...] = Field(default=(), max_length=100)
    seed: int | None = None
    """None takes the fleet's seed."""


@dataclass(slots=True)
class _Armed:
    fault: Fault
    seed: int
    position: int
    draws: int = 0
    fired: int = 0
    pattern: re.Pattern[str] | None = field(init=False)

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.fault.path) if self.fault.path is not None else None

    def applies(self, subject: str, *, is_token: bool) -> bool:
        if self.fault.count is not None and self.fired >= self.fault.count:
            return False
        return not is_token if self.pattern is None else self.pattern.search(subject) is not None

    def draw(self) -> bool:
        self.draws += 1
        hit = self.chance().random() < self.fault.probability
        self.fired += hit
        return hit

    def chance(self) -> random.Random:
        return random.Random(f"{self.seed}:{self.position}:{self.draws}")


class FaultBook:
    """The armed faults of one account, their counts kept in the store."""

    def __init__(self, database: Database, account_key: int, seed: int) -> None:
        self._database = database
        self._key = account_key
        self._seed = seed
        self._armed: list[_Armed] = []
        for position, (definition, draws, fired) in enumerate(database.all("list_faults", account_key)):
            kept = msgspec.json.decode(definition)
            fault = Fault.model_validate(kept["fault"])
            self._armed.append(_Armed(fault, kept["seed"], position, draws, fired))

    def arm(self, plan: FaultPlan) -> None:
        """Replace every fault by those of the plan, counts at zero."""
        seed = self._seed if plan.seed is None else plan.seed
        self._database.run("clear_faults", self._key)
        self._armed = [_Armed(fault, seed, position) for position, fault in enumerate(plan.faults)]
        for armed in self._armed:
            kept = msgspec.json.encode({"fault": armed.fault.model_dump(), "seed": seed}).decode()
            self._database.run("insert_fault", self._key, armed.position, kept)

    def report(self) -> list[dict[str, object]]:
        """Every fault with how often it was drawn and fired."""
        return [
            {**armed.fault.model_dump(), "seed": armed.seed, "draws": armed.draws, "fired": armed.fired}
            for armed in self._armed
        ]

    def fire(self, kinds: Collection[FaultKind], subject: str, *, is_token: bool = False) -> list[Fault]:
        """Draw for every fault of these kinds that applies to "METHOD /path"; those that hit, in plan order."""
        return [armed.fault for armed in self._hits(kinds, subject, is_token=is_token)]

    def doomed(self, items: int, subject: str) -> frozenset[int]:
        """Positions of a batch that the `partial` faults make fail: at least one where a fault fires."""
        positions: set[int] = set()
        for armed in self._hits(PARTIAL, subject, is_token=False) if items else ():
            chance = armed.chance()
            chance.random()
            chosen = {index for index in range(items) if chance.random() < armed.fault.share}
            positions |= chosen or {chance.randrange(items)}
        return frozenset(positions)

    def _hits(self, kinds: Collection[FaultKind], subject: str, *, is_token: bool) -> list[_Armed]:
        hits = []
        for armed in self._armed:
            if armed.fault.kind in kinds and armed.applies(subject, is_token=is_token) and armed.draw():
                self._database.run("save_fault", armed.draws, armed.fired, self._key, armed.position)
                hits.append(armed)
        return hits
