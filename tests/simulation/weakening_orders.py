"""Echo checks, replays and rollouts that each lack one safeguard; see `ablations`."""
# ruff: noqa: ARG001, ARG002, D101 - what overrides takes what it is given; names and the table say the rest

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.store.echoes import MemoryHeldRecords
from tests.simulation.store.echoes import Place as Place3
from tests.simulation.store.replays import MemoryReplays
from tests.simulation.store.tables import DeliveryRow

from headwater.sync.domain.changing import PolicyChange, WayBack
from headwater.sync.domain.echoing import CrmKey, OwnWrite
from headwater.sync.domain.replaying import NOWHERE, PORTION_MAX, Portion, Replay
from headwater.sync.domain.rollout import Terms
from headwater.sync.domain.settling import State
from headwater.sync.projector.echoes import FoundRecord


class OwnWritesForgotten(MemoryHeldRecords):
    async def own_writes(self, records: Sequence[Place3]) -> Mapping[Place3, Sequence[OwnWrite]]:
        return {}


class NothingWritten(MemoryHeldRecords):
    async def find_written(self, places: Sequence[Place3]) -> Mapping[Place3, FoundRecord]:
        return {}


class NothingSought(MemoryHeldRecords):
    """What is on its way now is known; what may have been before is not."""

    async def sought(
        self, waits_since: Mapping[Place3, dt.datetime]
    ) -> Mapping[Place3, Sequence[tuple[str, Any]]]:
        return {}


class NothingComing(NothingSought):
    def found(self, key: CrmKey, row: DeliveryRow) -> FoundRecord:
        return replace(super().found(key, row), waits_since=None)


class ReplaysUnasked(MemoryReplays):
    """A write in doubt is sent again without a look-up."""

    def make_due(self, row: DeliveryRow) -> None:
        row.state = State.PENDING


class ReplaysResetTries(MemoryReplays):
    def make_due(self, row: DeliveryRow) -> None:
        super().make_due(row)
        row.try_count = 0


class ReplaysRepeat(MemoryReplays):
    """A replay forgets how far it has come."""

    def _next(self, taken: Replay, count: int) -> Sequence[DeliveryRow]:
        return super()._next(replace(taken, place=("", NOWHERE), create_time=None), count)


def all_at_once(rate_per_s: float, next_time: dt.datetime, now: dt.datetime) -> Portion:
    """Let everything be due now."""
    return Portion(PORTION_MAX, now)


def one_stage(terms: Terms, total: int) -> tuple[int, ...]:
    return (total,)


def left_in_force(change: PolicyChange, digest: str) -> WayBack:
    return "leave"


def no_echoes(_: Any) -> None:
    return None
