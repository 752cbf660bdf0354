"""Who goes first when a tenant's log is far behind: the projector, for a while; then the tenant's deliveries.

A CRM record is written once for all the events that stand in the log about it, if they are projected first: fewer
calls of the vendor's allowance, and the same end sooner. Other tenants wait for nothing. Owns how long deliveries
give way. Must not know either side.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.kernel.clock import Clock

BEHIND_S: Final = 2.0
"""Age of a tenant's oldest event in a batch from which it counts as far behind: no live load looks like that."""
STALLED_S: Final = 3.0
"""Deliveries go on when no batch has been written for so long: a projector that stands still holds up nobody. Several
times what a full batch takes on a busy machine: else records are written for some of their events, and again."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """One tenant's: since when, unless more is projected until when, and when at the latest."""

    began_s: float
    until_s: float
    ends_s: float


class CatchUp:
    """Whether deliveries give way now.

    Args:
        hold_s_max: longest time that a tenant's do so without a break; the break is as long. 0: never.
        ticks: seconds of a clock that never goes back.
    """

    def __init__(
        self, clock: Clock, hold_s_max: float, ticks: Callable[[], float] = anyio.current_time
    ) -> None:
        self._clock = clock
        self._hold_s_max = hold_s_max
        self._ticks = ticks
        self._holds: dict[str, _Hold] = {}

    def left_s(self, tenant_id: str) -> float:
        """Return for how long a tenant's deliveries still give way at most, unless more is projected; 0: they go on."""
        hold = self._holds.get(tenant_id)
        return 0.0 if hold is None else max(0.0, min(hold.until_s, hold.ends_s) - self._ticks())

    def is_behind(self, tenant_id: str) -> bool:
        """Say whether a tenant's log is far behind and being caught up with, also while its deliveries have their break."""
        hold = self._holds.get(tenant_id)
        return hold is not None and self._ticks() < hold.until_s

    def begin(self, oldest: Mapping[str, dt.datetime], *, more: bool) -> None:
        """Note that a batch is about to be projected: it begins what `note` goes on with, and prolongs or ends nothing."""
        self._prune()
        self.note({tenant: time for tenant, time in oldest.items() if tenant not in self._holds}, more=more)

    def note(self, oldest: Mapping[str, dt.datetime], *, more: bool) -> None:
        """Note that a batch was projected.

        Args:
            oldest: when the first event of each of its tenants was recorded.
            more: whether more stands behind it.
        """
        self._prune()
        now_s, now = self._ticks(), self._clock.now()
        for tenant, recorded in oldest.items():
            if more and (now - recorded).total_seconds() >= BEHIND_S:
                began_s = self._holds[tenant].began_s if tenant in self._holds else now_s
                self._holds[tenant] = _Hold(began_s, now_s + STALLED_S, began_s + self._hold_s_max)
            elif tenant in self._holds and now_s < self._holds[tenant].ends_s:
                del self._holds[tenant]

    def _prune(self) -> None:
        now_s = self._ticks()
        self._holds = {tenant: hold for tenant, hold in self._holds.items() if self._matters(hold, now_s)}

    def _matters(self, hold: _Hold, now_s: float) -> bool:
        """Say whether a tenant is held still, or has its break."""
        if now_s < hold.ends_s:
            return now_s < hold.until_s
        return now_s < hold.ends_s + self._hold_s_max


def never(_: str = "") -> float:
    """Return that deliveries give way to nothing."""
    return 0.0
