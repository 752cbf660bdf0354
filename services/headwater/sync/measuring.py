"""The numbers that stand in the database, read when /metrics is asked for: one statement, seldom.

What was read is kept for a while, longer where reading takes long: never more than a twentieth of the time goes
into it. Every process of sync tells the same; queries take the maximum over them.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import anyio

from headwater.kernel.clock import Clock
from headwater.kernel.metrics import Metrics, names
from headwater.kernel.metrics.names import Metric
from headwater.policy.account import Limits
from headwater.policy.document import PolicyDocument
from headwater.sync.domain import quota
from headwater.sync.membership import Membership

KEPT_S: Final = 1.0
"""Shortest time between two readings."""
SHARE: Final = 20.0
"""A reading that took t is kept for so many times t."""
ACCOUNTS_MAX: Final = 500
"""Accounts whose state is told; more would make a page of megabytes."""
DELIVERIES_MAX: Final = 100_000
"""Deliveries of one lane that are counted: some 15 ms."""
CHECK_S: Final = 4.0
"""Longest wait for a reading; less than the door's patience."""

AccountKey = tuple[str, str]
"""Tenant and connector account."""


class GaugeRow(NamedTuple):
    """One number, as it was read."""

    gauge: str
    tenant_id: str
    connector: str
    label: str
    value: float


class GaugeStore(Protocol):
    """Where the numbers stand."""

    async def read(
        self, accounts: Sequence[tuple[str, str, dt.date]], deliveries_max: int
    ) -> Sequence[GaugeRow]:
        """Return the numbers of *accounts*: tenant, connector, the vendor's day. Raises: Unavailable."""
        ...


class StateReader:
    """Reads the state of all accounts into the gauges.

    Args:
        policies: tenant to policy: only accounts that exist are told of.
        ticks: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        store: GaugeStore,
        policies: Callable[[], Mapping[str, PolicyDocument]],
        metrics: Metrics,
        clock: Clock,
        membership: Membership,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._policies = policies
        self._metrics = metrics
        self._clock = clock
        self._membership = membership
        self._ticks = ticks
        self._reading = anyio.Lock()
        self._fresh_until_s = float("-inf")

    async def read(self) -> None:
        """Bring the gauges up to date, unless they are fresh enough.

        Raises:
            Unavailable: the database did not answer; the gauges stay as they were, and their age tells it.
        """
        self._tell_heartbeat()
        async with self._reading:
            began_s = self._ticks()
            if began_s < self._fresh_until_s:
                return
            accounts = enabled_accounts(self._policies())
            now = self._clock.now()
            told = accounts[:ACCOUNTS_MAX]
            wanted = [
                (tenant, name, quota.day_of(now, quota.allowance_of(limits)))
                for (tenant, name), limits in told
            ]
            with anyio.fail_after(CHECK_S):
                rows = await self._store.read(wanted, DELIVERIES_MAX)
            took_s = self._ticks() - began_s
            self._fresh_until_s = self._ticks() + max(KEPT_S, SHARE * took_s)
            for metric, values in gauges_of(rows, dict(told)).items():
                self._metrics.gauge(metric).replace(values)
            self._metrics.gauge(names.ACCOUNTS_LEFT_OUT).of().set(len(accounts) - len(told))
            self._metrics.gauge(names.STATE_READ).of().set(now.timestamp())

    def _tell_heartbeat(self) -> None:
        silent_s = self._membership.silent_s
        if silent_s is not None:
            beaten_s = self._clock.now().timestamp() - silent_s
            self._metrics.gauge(names.HEARTBEAT).of().set(beaten_s)


def enabled_accounts(policies: Mapping[str, PolicyDocument]) -> list[tuple[AccountKey, Limits]]:
    """Return the accounts that are delivered to, with their limits, in order of their names."""
    return sorted(
        (
            ((tenant, name), item.limits)
            for tenant, document in policies.items()
            for name, item in document.connectors.items()
            if item.enabled
        ),
        key=lambda pair: pair[0],
    )


Values = dict[tuple[str, ...], float]


def gauges_of(rows: Iterable[GaugeRow], limits: Mapping[AccountKey, Limits]) -> Mapping[Metric, Values]:
    """Return every gauge's series, by what was read; accounts of which nothing stands are at zero. Pure."""
    found = _at_zero(limits)
    days: dict[AccountKey, dict[str, float]] = defaultdict(dict)
    for row in rows:
        key = (row.tenant_id, row.connector)
        match row.gauge:
            case "quota":
                days[key][row.label] = row.value
            case "audit":
                found[_AUDIT[row.label]][(row.tenant_id,)] = row.value
            case "log":
                found[names.LOG_LAG][()] = row.value
            case plain if plain in _PLAIN:
                found[_PLAIN[plain]][key] = row.value
            case labelled:
                found[_LABELLED[labelled]][(*key, row.label or names.OTHER)] = row.value
    for key, day in days.items():
        _tell_quota(found, key, day, limits[key])
    return found


def _at_zero(limits: Mapping[AccountKey, Limits]) -> dict[Metric, Values]:
    found: dict[Metric, Values] = {metric: {} for metric in _TOLD}
    for key in limits:
        for metric, choices in _ZEROS:
            found[metric].update({(*key, choice): 0.0 for choice in choices})
    found[names.LOG_LAG][()] = 0.0
    return found


def _tell_quota(
    found: dict[Metric, Values], key: AccountKey, day: Mapping[str, float], limits: Limits
) -> None:
    """Tell the count that is nearest its limit, as the alert and the lanes go by it."""
    pairs = [
        (day.get("calls", 0.0), float(limits.daily_calls)),
        (day.get("tokens", 0.0), float(limits.daily_tokens)),
        (day.get("vendor_used", 0.0), day.get("vendor_limit", 0.0)),
    ]
    limited = [pair for pair in pairs if pair[1] > 0]
    if not limited:
        found[names.QUOTA_USED][key] = day.get("calls", 0.0)
        return
    used, limit = max(limited, key=lambda pair: pair[0] / pair[1])
    found[names.QUOTA_USED][key], found[names.QUOTA_LIMIT][key] = used, limit
    if "ends" in day:
        found[names.QUOTA_ENDS][key] = day["ends"]


_LABELLED: Final = {
    "depth": names.QUEUE_DEPTH,
    "age": names.QUEUE_AGE,
    "dead": names.DEAD_LETTERS,
    "breaker": names.BREAKER,
    "expiry": names.EXPIRY,
    "field_parity": names.FIELD_PARITY,
    "drift": names.DRIFT,
    "drift_time": names.DRIFT_TIME,
}
_PLAIN: Final = {
    "paused": names.PAUSED, "held": names.HELD, "parity": names.PARITY, "parity_run": names.PARITY_RUN,
    "erasures_overdue": names.ERASURES_OVERDUE,
}  # fmt: skip
_AUDIT: Final = {
    "checkpoint": names.AUDIT_CHECKPOINT,
    "unsigned": names.AUDIT_UNSIGNED,
    "lag": names.AUDIT_LAG,
    "finding": names.AUDIT_FINDING,
}
_TOLD: Final = (
    *_LABELLED.values(), *_PLAIN.values(), *_AUDIT.values(), names.LOG_LAG, names.QUOTA_USED, names.QUOTA_LIMIT,
    names.QUOTA_ENDS,
)  # fmt: skip
_ZEROS: Final = (
    (names.QUEUE_AGE, names.LANES), (names.DEAD_LETTERS, names.ERROR_CLASSES), (names.BREAKER, names.BREAKER_STATES),
)  # fmt: skip
"""Gauges that stand at zero where nothing was read, and the values of their last label."""
