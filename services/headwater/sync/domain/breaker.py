"""The circuit breaker of one connector account: a pure state machine.

Consecutive countable failures open it; while open nothing starts; after the hold one probe goes
through; its success closes, its failure reopens with a longer, capped hold. Rate limits and refused
records do not count: they say nothing about the vendor's health.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from headwater.connectors.base import ErrorClass
from headwater.policy.document import Breaker as BreakerPolicy

COUNTABLE: Final = frozenset({ErrorClass.NETWORK, ErrorClass.SERVER, ErrorClass.IN_DOUBT, ErrorClass.AUTH})
"""Failures that speak of the account or the vendor, not of one record."""

BreakerName = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Where a breaker stands.

    Args:
        failures: countable failures since the last success.
        hold_s: length of the hold in force, or of the last one.
        probe_time: when an open breaker lets a probe through; None when closed.
        probing: a probe is under way.
    """

    failures: int = 0
    hold_s: float = 0.0
    probe_time: dt.datetime | None = None
    probing: bool = False

    def name(self, now: dt.datetime) -> BreakerName:
        """Return the state's usual name."""
        if self.probe_time is None:
            return "closed"
        return "half_open" if self.probing or now >= self.probe_time else "open"

    def as_json(self) -> dict[str, Any]:
        """Return the state as it is stored; a probe under way is forgotten, so a restart probes again."""
        probe_time = self.probe_time.isoformat() if self.probe_time else None
        return {"failures": self.failures, "hold_s": self.hold_s, "probe_time": probe_time}


CLOSED: Final = BreakerState()


def from_json(stored: dict[str, Any]) -> BreakerState:
    """Return the state that was stored; closed when nothing was."""
    probe_time = stored.get("probe_time")
    return BreakerState(
        failures=int(stored.get("failures", 0)),
        hold_s=float(stored.get("hold_s", 0.0)),
        probe_time=dt.datetime.fromisoformat(probe_time) if probe_time else None,
    )


@dataclass(frozen=True, slots=True)
class Permit:
    """What may start now.

    Args:
        calls: `all`, `probe` (one call) or `none`.
        wait_s: how long until that may change, when `none`.
    """

    calls: Literal["all", "probe", "none"]
    wait_s: float = 0.0


def permit(state: BreakerState, now: dt.datetime) -> Permit:
    """Return what may start at *now*."""
    if state.probe_time is None:
        return Permit("all")
    if state.probing:
        return Permit("none", state.hold_s)
    wait_s = (state.probe_time - now).total_seconds()
    return Permit("none", wait_s) if wait_s > 0 else Permit("probe")


def start_probe(state: BreakerState) -> BreakerState:
    """Note that the one probe is under way."""
    return replace(state, probing=True)


def end_probe(state: BreakerState) -> BreakerState:
    """Note that the probe's round is over: when it made no call at all, the next round probes again."""
    return replace(state, probing=False) if state.probing else state


def succeeded(state: BreakerState) -> BreakerState:
    """Return the state after an answered call: a probe's success closes."""
    return CLOSED if state.failures or state.probe_time else state


def failed(
    state: BreakerState, error_class: ErrorClass, policy: BreakerPolicy, now: dt.datetime
) -> BreakerState:
    """Return the state after a failed call of class *error_class*."""
    if error_class not in COUNTABLE:
        # The vendor answered: a probe that was refused for its data still shows that it is there.
        return succeeded(state) if state.probing else state
    failures = state.failures + 1
    if state.probe_time is not None:
        if not state.probing:
            return replace(state, failures=failures)
        hold_s = min(policy.hold_s_max, max(policy.hold_s, state.hold_s * 2))
        return BreakerState(failures, hold_s, now + dt.timedelta(seconds=hold_s))
    if failures >= policy.failures:
        hold_s = min(policy.hold_s_max, policy.hold_s)
        return BreakerState(failures, hold_s, now + dt.timedelta(seconds=hold_s))
    return replace(state, failures=failures)
