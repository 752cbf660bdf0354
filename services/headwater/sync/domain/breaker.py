"""The circuit breakers of one connector account: a pure state machine.

Consecutive countable failures open a breaker; while it is open nothing starts; after the hold one probe goes
through; its success closes, its failure reopens with a longer, capped hold. Rate limits and refused records do
not count: they say nothing about the vendor's health. An account has one breaker, or one per class of
endpoints where its vendor fails by endpoint.

A call belongs to the time in which it started. What started before the breaker opened says nothing new: its
late failure does not lengthen the hold, its late success does not close. What started since the probe began
is the probe's, for nothing else may start.

An operator's order stands above all breakers of the account: forced open nothing starts, forced closed all
does and nothing counts, until a reset or a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from headwater.connectors.base import ErrorClass
from headwater.policy.account import Breaker as BreakerPolicy

COUNTABLE: Final = frozenset(
    {ErrorClass.TIMEOUT, ErrorClass.NETWORK, ErrorClass.SERVER, ErrorClass.IN_DOUBT, ErrorClass.AUTH}
)
"""Failures that speak of the account or the vendor, not of one record."""
UNANSWERED: Final = COUNTABLE | {ErrorClass.HELD, ErrorClass.QUOTA}
"""Failures that do not show that the vendor is there; any other is an answer, and ends a probe well."""
ACCOUNT: Final = "account"
"""Key of the one breaker of an account that has one."""
_FAMILIES: Final[Mapping[str, str]] = {"search": "read"}
"""Endpoint classes that share another's breaker: a look-up is a search with one vendor, a read with the other."""
ENDPOINT_KEYS: Final = ("write", "read")
"""Keys of the breakers of an account that has one per class of endpoints."""
AUTH_CLASS: Final = "auth"
"""Endpoint class of token refreshes: they serve every other class, so any class that may call lets them."""

BreakerName = Literal["closed", "open", "half_open"]
Scope = Literal["account", "endpoint"]
Mode = Literal["open", "closed"]


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Where one breaker stands.

    Args:
        failures: countable failures since the last success.
        hold_s: length of the hold in force, or of the last one.
        probe_time: when an open breaker lets a probe through; None when closed.
        since_time: what started before is of no account; None when nothing is to be told apart.
        probe_start: when the probe under way began; None when there is none.
    """

    failures: int = 0
    hold_s: float = 0.0
    probe_time: dt.datetime | None = None
    since_time: dt.datetime | None = None
    probe_start: dt.datetime | None = None

    def name(self, now: dt.datetime) -> BreakerName:
        """Return the state's usual name."""
        if self.probe_time is None:
            return "closed"
        return "half_open" if self.probe_start is not None or now >= self.probe_time else "open"

    @property
    def idle(self) -> bool:
        """Whether it is closed and no failure is counted."""
        return not self.failures and self.probe_time is None

    def as_json(self) -> dict[str, Any]:
        """Return the state as it is stored; a probe under way is forgotten, so a restart probes again."""
        return {
            "failures": self.failures,
            "hold_s": self.hold_s,
            "probe_time": self.probe_time.isoformat() if self.probe_time else None,
            "since_time": self.since_time.isoformat() if self.since_time else None,
        }


CLOSED: Final = BreakerState()


@dataclass(frozen=True, slots=True)
class Forced:
    """An operator's order.

    Args:
        until: when it ends by itself; None: with a reset.
        reason: why, in the operator's words.
    """

    mode: Mode
    until: dt.datetime | None = None
    reason: str = ""
    actor: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the order as it is stored."""
        until = self.until.isoformat() if self.until else None
        return {"mode": self.mode, "until": until, "reason": self.reason, "actor": self.actor}

    def holds(self, now: dt.datetime) -> bool:
        """Return whether the order is in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Breakers:
    """All breakers of one account.

    Args:
        by_key: those that are not idle, by `key_of`.
    """

    scope: Scope = "account"
    by_key: Mapping[str, BreakerState] = field(default_factory=lambda: MappingProxyType({}))
    forced: Forced | None = None

    def key_of(self, endpoint_class: str) -> str:
        """Return which breaker is in charge of a class of endpoints."""
        return ACCOUNT if self.scope == "account" else _FAMILIES.get(endpoint_class, endpoint_class)

    @property
    def idle(self) -> bool:
        """Whether a reset would change nothing."""
        return self.forced is None and all(one.idle for one in self.by_key.values())

    def forced_at(self, now: dt.datetime) -> Forced | None:
        """Return the operator's order that is in force; None when there is none."""
        return self.forced if self.forced is not None and self.forced.holds(now) else None

    def of(self, endpoint_class: str) -> BreakerState:
        """Return the breaker in charge of a class of endpoints."""
        return self.by_key.get(self.key_of(endpoint_class), CLOSED)

    def worst(self, now: dt.datetime) -> BreakerState:
        """Return the breaker that keeps most from being sent: open for longest, else with most failures."""
        return max(self.by_key.values(), key=lambda one: _severity(one, now), default=CLOSED)

    def name(self, now: dt.datetime) -> BreakerName:
        """Return the name of the account's state: the operator's order, else the worst of its breakers."""
        forced = self.forced_at(now)
        return forced.mode if forced is not None else self.worst(now).name(now)

    def as_json(self) -> dict[str, Any]:
        """Return the breakers as they are stored."""
        by_key = {key: one.as_json() for key, one in self.by_key.items()}
        stored: dict[str, Any] = {"scope": self.scope, "breakers": by_key}
        if self.forced is not None:
            stored["forced"] = self.forced.as_json()
        return stored


ALL_CLOSED: Final = Breakers()


def from_json(stored: Mapping[str, Any]) -> Breakers:
    """Return the breakers that were stored; closed when nothing was."""
    by_key = {key: _state_of(one) for key, one in stored.get("breakers", {}).items()}
    forced = stored.get("forced")
    order = (
        Forced(
            forced["mode"], _moment(forced.get("until")), forced.get("reason", ""), forced.get("actor", "")
        )
        if forced
        else None
    )
    scope: Scope = "endpoint" if stored.get("scope") == "endpoint" else "account"
    return Breakers(scope, MappingProxyType(by_key), order)


def taken_over(breakers: Breakers, scope: Scope, now: dt.datetime) -> Breakers:
    """Return breakers read from the store as a new owner uses them.

    A probe under way died with its owner. No hold is longer than its own length from *now*: the clock of the process that opened a breaker may have
    been ahead of ours. Where the scope has changed, every breaker now in charge is as bad as the worst before.
    """
    kept = {key: _from(one, now) for key, one in breakers.by_key.items()}
    if scope != breakers.scope:
        worst = replace(breakers, by_key=kept).worst(now)
        keys = (ACCOUNT,) if scope == "account" else ENDPOINT_KEYS
        kept = {} if worst.idle else dict.fromkeys(keys, worst)
    return replace(breakers, scope=scope, by_key=MappingProxyType(kept))


@dataclass(frozen=True, slots=True)
class Permit:
    """What may start now.

    Args:
        calls: `all`, `probe` (one caller's) or `none`.
        wait_s: how long until that may change, when `none`; None while nobody can say: a probe is under way,
            or an operator has to act.
    """

    calls: Literal["all", "probe", "none"]
    wait_s: float | None = 0.0


_FREE: Final = Permit("all")
_RANK: Final = {"all": 0, "probe": 1, "none": 2}


def permit(breakers: Breakers, endpoint_class: str, now: dt.datetime) -> Permit:
    """Return what calls of *endpoint_class* may start at *now*."""
    forced = breakers.forced_at(now)
    if forced is not None:
        if forced.mode == "closed":
            return _FREE
        return Permit("none", None if forced.until is None else (forced.until - now).total_seconds())
    if endpoint_class == AUTH_CLASS and breakers.scope == "endpoint":
        found = (_permit(one, now) for one in breakers.by_key.values())
        return min(found, key=lambda one: _RANK[one.calls], default=_FREE)
    return _permit(breakers.of(endpoint_class), now)


def start_probe(breakers: Breakers, endpoint_class: str, now: dt.datetime) -> tuple[Breakers, bool]:
    """Take the probe if it is to be had; return whether this caller got it. At most one has it at a time."""
    if permit(breakers, endpoint_class, now).calls != "probe":
        return breakers, False
    return _with(breakers, endpoint_class, replace(breakers.of(endpoint_class), probe_start=now)), True


def end_probe(breakers: Breakers, endpoint_class: str) -> Breakers:
    """Note that the probe's round is over: when it proved nothing, the next caller probes again."""
    state = breakers.of(endpoint_class)
    if state.probe_start is None:
        return breakers
    return _with(breakers, endpoint_class, replace(state, probe_start=None))


def succeeded(breakers: Breakers, endpoint_class: str, start_time: dt.datetime, now: dt.datetime) -> Breakers:
    """Return the breakers after an answered call that began at *start_time*: the probe's closes."""
    state = breakers.of(endpoint_class)
    if breakers.forced_at(now) or state.idle or _is_late(state, start_time):
        return breakers
    return _with(breakers, endpoint_class, _closed(state))


def failed(
    breakers: Breakers,
    endpoint_class: str,
    error_class: ErrorClass,
    policy: BreakerPolicy,
    start_time: dt.datetime,
    now: dt.datetime,
) -> Breakers:
    """Return the breakers after a failed call of class *error_class* that began at *start_time*."""
    state = breakers.of(endpoint_class)
    if breakers.forced_at(now) or _is_late(state, start_time):
        return breakers
    if error_class not in COUNTABLE:
        # The vendor answered: a probe that was refused for its data still shows that it is there.
        shows_it_is_there = state.probe_start is not None and error_class not in UNANSWERED
        return _with(breakers, endpoint_class, _closed(state)) if shows_it_is_there else breakers
    return _with(breakers, endpoint_class, _counted(state, policy, now))


def _counted(state: BreakerState, policy: BreakerPolicy, now: dt.datetime) -> BreakerState:
    failures = state.failures + 1
    if state.probe_start is None and failures < policy.failures:
        return replace(state, failures=failures)
    longer_s = 0.0 if state.probe_start is None else state.hold_s * 2
    hold_s = min(policy.hold_s_max, max(policy.hold_s, longer_s))
    return BreakerState(failures, hold_s, probe_time=now + dt.timedelta(seconds=hold_s), since_time=now)


def _closed(state: BreakerState) -> BreakerState:
    """Return a closed breaker that still tells calls apart that started before the probe."""
    return BreakerState(since_time=state.probe_start or state.since_time)


def _is_late(state: BreakerState, start_time: dt.datetime) -> bool:
    """Return whether a call that began at *start_time* is of a time that is over."""
    if state.probe_time is not None:
        return state.probe_start is None or start_time < state.probe_start
    return state.since_time is not None and start_time < state.since_time


def _permit(state: BreakerState, now: dt.datetime) -> Permit:
    if state.probe_time is None:
        return _FREE
    if state.probe_start is not None:
        return Permit("none", None)
    wait_s = (state.probe_time - now).total_seconds()
    return Permit("none", wait_s) if wait_s > 0 else Permit("probe")


def _with(breakers: Breakers, endpoint_class: str, state: BreakerState) -> Breakers:
    by_key = {**breakers.by_key, breakers.key_of(endpoint_class): state}
    return replace(breakers, by_key=MappingProxyType(by_key))


def _severity(state: BreakerState, now: dt.datetime) -> tuple[int, float, int]:
    remaining_s = (state.probe_time - now).total_seconds() if state.probe_time else 0.0
    return (0 if state.probe_time is None else 1, remaining_s, state.failures)


def _from(state: BreakerState, now: dt.datetime) -> BreakerState:
    since_time = min(state.since_time, now) if state.since_time else None
    if state.probe_time is None:
        return BreakerState(state.failures, state.hold_s, since_time=since_time)
    latest = now + dt.timedelta(seconds=state.hold_s)
    return BreakerState(state.failures, state.hold_s, min(state.probe_time, latest), since_time)


def _state_of(stored: Mapping[str, Any]) -> BreakerState:
    return BreakerState(
        failures=int(stored.get("failures", 0)),
        hold_s=float(stored.get("hold_s", 0.0)),
        probe_time=_moment(stored.get("probe_time")),
        since_time=_moment(stored.get("since_time")),
    )


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
