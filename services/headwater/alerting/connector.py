"""The alerts of one connector account, made from its policy: thresholds, hours of traffic, owner and backup.

Counters tell accounts apart by connector, gauges by tenant as well: accounts of one name share their rates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.alerting.rules import DAY_S, HOUR_S, Alert, Scale, Severity
from headwater.kernel.metrics import names
from headwater.kernel.metrics.names import Metric
from headwater.policy.document import ConnectorPolicy
from headwater.policy.reconciling import Objectives

BURNS: Final[tuple[tuple[str, Severity, float, float, float], ...]] = (
    ("Fast", "page", 14.4, HOUR_S, 300.0),
    ("Middling", "page", 6.0, 6 * HOUR_S, 1_800.0),
    ("Slow", "ticket", 1.0, 3 * DAY_S, 6 * HOUR_S),
)
"""Name, severity, how many times too fast the budget goes, long and short window: the SRE workbook's."""

ATTEMPTS_MIN: Final = 20
"""Tries or calls of a window below which shares say nothing."""


class ConnectorAlerts:
    """Makes the alerts of one connector account.

    Args:
        tenant: whose account it is; empty for all tenants that have one of this name.
        objectives: how much drift is borne; the defaults where nothing is compared: then nothing is told either.
    """

    def __init__(
        self,
        name: str,
        policy: ConnectorPolicy,
        scale: Scale,
        tenant: str = "",
        objectives: Objectives | None = None,
    ) -> None:
        self._name = name
        self._policy = policy
        self._alarms = policy.alarms
        self._scale = scale
        self._tenant = tenant
        self._objectives = objectives or Objectives()

    def alerts(self) -> tuple[Alert, ...]:
        """Return them all."""
        return (
            self._failures_high(),
            *self._success_low(),
            *self._burns(),
            self._nothing_synced(),
            self._latency_high(),
            self._retries_high(),
            self._auth_failing(),
            self._rate_limited(),
            self._breaker_open(),
            self._backlog_old(),
            self._dead_letters(),
            self._quota_high(),
            self._quota_runs_out(),
            *self._token_ends(),
            self._paused(),
            self._erasures_overdue(),
            self._not_held(),
            self._drift_high(),
            self._drift_unseen(),
        )

    def _failures_high(self) -> Alert:
        share = self._alarms.failure_share_max
        return self._alert(
            "HeadwaterFailuresHigh",
            "ticket",
            self._dead_share(HOUR_S, f"> {share:g}"),
            f"{share:.0%} of {self._name}'s deliveries of the last hour, or more, ended as dead letters",
            "Records in the CRM are missing or old until a person has replayed them.",
        )

    def _success_low(self) -> Iterator[Alert]:
        floors: tuple[tuple[str, Severity, float], ...] = (
            ("HeadwaterSuccessLow", "ticket", self._alarms.success_share_floors[0]),
            ("HeadwaterSuccessVeryLow", "page", self._alarms.success_share_floors[1]),
        )
        for name, severity, floor in floors:
            yield self._alert(
                name,
                severity,
                self._dead_share(HOUR_S / 2, f"> {1 - floor:g}"),
                f"fewer than {floor:.0%} of {self._name}'s deliveries of half an hour succeeded",
                "Sales and marketing work with a CRM that does not hold what is known.",
            )

    def _burns(self) -> Iterator[Alert]:
        budget = 1 - self._alarms.objective
        for name, severity, factor, long_s, short_s in BURNS:
            share = f"> {factor * budget:g}"
            yield self._alert(
                f"HeadwaterErrorBudgetBurn{name}",
                severity,
                f"{self._dead_share(long_s, share)} and {self._dead_share(short_s, share, least=1)}",
                f"{self._name} uses its error budget {factor:g} times as fast as it may",
                "At this rate the objective of the month is missed.",
            )

    def _nothing_synced(self) -> Alert:
        first, last = self._alarms.traffic_hours_utc
        days = self._alarms.traffic_days
        delivered = self._increase(names.DELIVERIES, self._alarms.silence_s, 'outcome="delivered"')
        hours = []
        if (first, last) != (0, 24):
            hours.append(f"(vector(1) and on () hour() >= {first} and on () hour() < {last})")
        if len(set(days)) < 7:  # noqa: PLR2004 - days of the week
            wanted = " or ".join(f"(day_of_week() == {day})" for day in sorted(set(days)))
            hours.append(f"({wanted})")
        when = "".join(f" and on () {hour}" for hour in hours)
        return self._alert(
            "HeadwaterNothingSynced",
            "page",
            f"{delivered} == 0{when}",
            f"nothing was delivered to {self._name} for {self._alarms.silence_s / 60:g} minutes of hours with traffic",
            "Either nothing arrives or nothing leaves: new leads and meetings are not in the CRM.",
            for_s=60,
        )

    def _latency_high(self) -> Alert:
        window = self._scale.window(600)
        rate = f"sum by (connector, le) (rate({self._of(names.DELIVERY_LATENCY)}[{window}]))"
        return self._alert(
            "HeadwaterLatencyHigh",
            "page",
            f"histogram_quantile(0.95, {rate}) > {self._scale.number(self._alarms.latency_s, 2)}",
            f"a twentieth of {self._name}'s records comes later than {self._alarms.latency_s:g} s after the event",
            "Sellers call on what was true a while ago; hot leads cool.",
            for_s=60,
        )

    def _retries_high(self) -> Alert:
        failed = self._increase(names.DELIVERY_ATTEMPTS, 1_800, 'result=~"failed|in_doubt"')
        tried = self._increase(names.DELIVERY_ATTEMPTS, 1_800)
        return self._alert(
            "HeadwaterRetriesHigh",
            "ticket",
            f"{failed} / {tried} > {self._alarms.retry_share_max:g} and {tried} >= {ATTEMPTS_MIN}",
            f"many tries at {self._name} fail and are made again",
            "Records come late, and calls of the day's quota are used up in vain.",
            for_s=300,
        )

    def _auth_failing(self) -> Alert:
        refused = self._increase(names.DELIVERY_ERRORS, 600, 'error_class=~"auth|permission"')
        return self._alert(
            "HeadwaterAccessRefused",
            "page",
            f"{refused} > 0",
            f"{self._name} refuses our credentials or what they may do",
            "Nothing, or not everything, is written until a person has renewed the access.",
        )

    def _rate_limited(self) -> Alert:
        limited = self._increase(names.CRM_CALLS, 900, 'status_class="429"')
        called = self._increase(names.CRM_CALLS, 900)
        return self._alert(
            "HeadwaterRateLimited",
            "ticket",
            f"{limited} / {called} > 0.05 and {called} >= {ATTEMPTS_MIN}",
            f"{self._name} answers one call in twenty, or more, with 429",
            "Somebody else uses the account's limits, or they were lowered: records come late.",
            for_s=300,
        )

    def _breaker_open(self) -> Alert:
        state = self._of(names.BREAKER, 'state=~"open|half_open"')
        return self._alert(
            "HeadwaterBreakerOpen",
            "page",
            f"max by (tenant, connector) ({state}) == 1",
            f"{self._name} fails again and again: its calls are stopped",
            "Nothing is written to this CRM until it answers again; what waits is kept and goes then.",
            for_s=60,
        )

    def _backlog_old(self) -> Alert:
        age = f"max by (tenant, connector) ({self._of(names.QUEUE_AGE)})"
        paused = f"max by (tenant, connector) ({self._of(names.PAUSED)}) == 1"
        return self._alert(
            "HeadwaterBacklogOld",
            "ticket",
            f"{age} > {self._scale.number(self._alarms.backlog_age_s)} unless on (tenant, connector) {paused}",
            f"deliveries to {self._name} have waited for longer than {self._alarms.backlog_age_s:g} s",
            "The CRM falls behind; what is shown there grows older.",
            for_s=300,
        )

    def _dead_letters(self) -> Alert:
        dead = f"sum by (tenant, connector) (max by (tenant, connector, error_class) ({self._of(names.DEAD_LETTERS)}))"
        return self._alert(
            "HeadwaterDeadLetters",
            "ticket",
            f"{dead} > {self._alarms.dead_letters_max}",
            f"more than {self._alarms.dead_letters_max} dead letters of {self._name} wait for a person",
            "These records stay as they are in the CRM until somebody has looked at them.",
            for_s=HOUR_S,
        )

    def _quota_high(self) -> Alert:
        share = self._policy.limits.daily_alert_share
        return self._alert(
            "HeadwaterQuotaHigh",
            "ticket",
            f"{self._quota_share()} >= {share:g}",
            f"{share:.0%} of {self._name}'s quota of the day is used",
            "Backfills slow down by themselves; if it goes on, live records wait for the next day.",
        )

    def _quota_runs_out(self) -> Alert:
        ends = f"max by (tenant, connector) ({self._of(names.QUOTA_ENDS)})"
        return self._alert(
            "HeadwaterQuotaRunsOut",
            "page",
            f"{ends} > time() and {self._quota_share()} >= 0.8",
            f"{self._name}'s quota will be used up before the day ends",
            "From then on nothing is written until the vendor's next day begins.",
            for_s=600,
        )

    def _token_ends(self) -> Iterator[Alert]:
        warned: tuple[tuple[str, Severity, float], ...] = (
            ("HeadwaterTokenEndsSoon", "ticket", self._alarms.token_warn_days[0]),
            ("HeadwaterTokenEndsNow", "page", self._alarms.token_warn_days[1]),
        )
        for name, severity, days in warned:
            yield self._alert(
                name,
                severity,
                f"min by (tenant, connector, kind) ({self._of(names.EXPIRY)}) - time() < {days * DAY_S:g}",
                f"a {{{{ $labels.kind }}}} of {self._name} ends within {days:g} days",
                "Once it has ended, this account neither reads nor writes.",
            )

    def _paused(self) -> Alert:
        return self._alert(
            "HeadwaterAccountPaused",
            "ticket",
            f"max by (tenant, connector) ({self._of(names.PAUSED)}) == 1",
            f"{self._name} has been paused by an operator for four hours",
            "A pause that was forgotten looks like a CRM that does not change any more.",
            for_s=4 * HOUR_S,
        )

    def _erasures_overdue(self) -> Alert:
        return self._alert(
            "HeadwaterErasureOverdue",
            "ticket",
            f"max by (tenant, connector) ({self._of(names.ERASURES_OVERDUE)}) > 0",
            f"{self._name} has records of people still who were to be erased by now",
            "A person's right is not met: by law that is one month, and the authority may ask.",
        )

    def _not_held(self) -> Alert:
        return self._alert(
            "HeadwaterAccountNotHeld",
            "page",
            f"max by (tenant, connector) ({self._of(names.HELD)}) == 0",
            f"no process works on {self._name}",
            "Nothing is written to this CRM.",
            for_s=120,
        )

    def _drift_high(self) -> Alert:
        parity = f"min by (tenant, connector) ({self._of(names.PARITY)})"
        least = self._objectives.parity
        return self._alert(
            "HeadwaterDriftHigh",
            "ticket",
            f"{parity} < {least:g}",
            f"less than {least:.2%} of {self._name}'s records agree with Headwater",
            "People who work in this CRM see values that Headwater knows to be others.",
        )

    def _drift_unseen(self) -> Alert:
        ended = f"max by (tenant, connector) ({self._of(names.PARITY_RUN)})"
        most_s = self._objectives.detect_s
        return self._alert(
            "HeadwaterDriftUnseen",
            "ticket",
            f"time() - {ended} > {self._scale.number(most_s)}",
            f"{self._name} has not been compared with Headwater for {most_s / 3600:g} hours",
            "Drift of this CRM goes unseen.",
            for_s=HOUR_S,
        )

    def _quota_share(self) -> str:
        used = f"max by (tenant, connector) ({self._of(names.QUOTA_USED)})"
        return f"{used} / max by (tenant, connector) ({self._of(names.QUOTA_LIMIT)})"

    def _dead_share(self, window_s: float, test: str, least: int = 0) -> str:
        dead = self._increase(names.DELIVERIES, window_s, 'outcome="dead"')
        ended = self._increase(names.DELIVERIES, window_s)
        return f"({dead} / {ended} {test} and {dead} >= {least or self._alarms.failures_min})"

    def _increase(self, metric: Metric, window_s: float, *matchers: str) -> str:
        return f"sum by (connector) (increase({self._of(metric, *matchers)}[{self._scale.window(window_s)}]))"

    def _of(self, metric: Metric, *matchers: str) -> str:
        told = [f'connector="{self._name}"', *matchers]
        if self._tenant and "tenant" in metric.label_names:
            told.insert(0, f'tenant="{self._tenant}"')
        return f"{metric.sample_name}{{{','.join(told)}}}"

    def _alert(
        self, name: str, severity: Severity, expression: str, summary: str, impact: str, *, for_s: float = 0.0
    ) -> Alert:
        labels = {
            "connector": self._name,
            "owner": self._policy.owner,
            "backup": self._policy.backup,
            "connector_runbook": self._policy.runbook,
        }
        return Alert(name, severity, expression, for_s, summary, impact, labels)
