"""The alerts of Headwater itself: its processes, its doors, the log, the audit, its own telemetry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.alerting.rules import Alert, Scale
from headwater.kernel.metrics import names
from headwater.kernel.metrics.names import Metric

SERVICES: Final = ("ingest", "identity", "sync")
JOB: Final = "headwater"
"""Name of the scrape job; its targets carry `service` and `replica`."""
EVENTS_MIN: Final = 20
"""Events or calls of a window below which shares say nothing."""


class PlatformAlerts:
    """Makes the alerts that no policy shapes."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale

    def alerts(self) -> tuple[Alert, ...]:
        """Return them all."""
        return (
            *self._processes(),
            *self._door(),
            *self._log(),
            *self._audit(),
            *self._telemetry(),
        )

    def _processes(self) -> Iterator[Alert]:
        yield Alert(
            "HeadwaterDeadMansSwitch", "none", "vector(1)", 0.0,
            "always fires: where it is not heard, alerting itself is broken",
            "None by itself; its absence means that nobody would be told of anything.",
        )  # fmt: skip
        yield Alert(
            "HeadwaterProcessDown", "page", f'up{{job="{JOB}"}} == 0', 60.0,
            "{{ $labels.service }}, process {{ $labels.replica }}, does not answer",
            "With fewer processes everything is slower; with none nothing is taken in, resolved or written.",
        )  # fmt: skip
        for service in SERVICES:
            yield Alert(
                "HeadwaterServiceMissing", "page", f'absent(up{{job="{JOB}",service="{service}"}})', 120.0,
                f"no process of {service} is known to Prometheus",
                "The service is not running, or nobody watches it.", {"service": service},
            )  # fmt: skip
        yield Alert(
            "HeadwaterHeartbeatStale", "page",
            f"time() - {names.HEARTBEAT.sample_name} > {self._scale.number(60)}", 0.0,
            "process {{ $labels.replica }} of sync lives but does not reach its leases",
            "Its connector accounts stand still until another process takes them over.",
        )  # fmt: skip
        yield Alert(
            "HeadwaterStateUnread", "ticket",
            f"time() - max by (service) ({names.STATE_READ.sample_name}) > {self._scale.number(300, 15)}", 0.0,
            "{{ $labels.service }} cannot read its state from the database",
            "Queue ages, quota and expiry are told as they were: other alerts may be blind.",
        )  # fmt: skip
        failed = self._increase(names.RPC_CALLS, 600, 'code=~"internal|unavailable"', by="service")
        called = self._increase(names.RPC_CALLS, 600, by="service")
        yield Alert(
            "HeadwaterCallsFail", "page", f"{failed} / {called} > 0.01 and {failed} >= 3", 120.0,
            "more than 1 % of the calls to {{ $labels.service }} fail through no fault of the caller",
            "Producers have to send again; projecting waits where identity fails.",
        )  # fmt: skip

    def _door(self) -> Iterator[Alert]:
        unanswered = self._increase(names.INGEST_UNANSWERED, 300)
        answered = self._increase(names.INGEST_EVENTS, 300)
        yield Alert(
            "HeadwaterIngestRefuses", "page",
            f"{unanswered} / ({answered} + {unanswered}) > 0.01 and {unanswered} >= {EVENTS_MIN}", 60.0,
            "ingest tells producers to come back: it is full, or the database does not take events",
            "Producers without a buffer of their own lose what they have to say.",
        )  # fmt: skip
        window = self._scale.window(600)
        rate = f"sum by (le) (rate({names.INGEST_ACK.sample_name}[{window}]))"
        yield Alert(
            "HeadwaterAckSlow", "ticket", f"histogram_quantile(0.99, {rate}) > 1", 60.0,
            "one call in a hundred waits longer than a second for its commit",
            "Producers wait; forms and webhooks may time out.",
        )  # fmt: skip
        for name, disposition, impact in (
            (
                "HeadwaterQuarantineHigh", "quarantined",
                "These facts are in no CRM until a person has corrected or released them.",
            ),
            ("HeadwaterRefusedHigh", "refused", "These facts are not recorded: their producer has to mend them."),
        ):  # fmt: skip
            bad = self._increase(names.INGEST_EVENTS, 3_600, f'disposition="{disposition}"')
            taken = self._increase(names.INGEST_EVENTS, 3_600)
            yield Alert(
                name, "ticket", f"{bad} / {taken} > 0.05 and {bad} >= {EVENTS_MIN}", 0.0,
                f"more than 5 % of the events of an hour are {disposition}", impact,
            )  # fmt: skip

    def _log(self) -> Iterator[Alert]:
        yield Alert(
            "HeadwaterLogLag", "page", f"max({names.LOG_LAG.sample_name}) > {self._scale.number(120)}", 60.0,
            "the projector is more than two minutes behind the log",
            "Everything is recorded, but nothing new reaches any CRM.",
        )  # fmt: skip
        poisoned = self._increase(names.EVENTS_PROJECTED, 3_600, 'outcome="poisoned"')
        yield Alert(
            "HeadwaterEventsPoisoned", "ticket", f"{poisoned} > 0", 0.0,
            "an event of the log cannot be projected", "What it says is in no CRM; others are not held up.",
        )  # fmt: skip

    def _audit(self) -> Iterator[Alert]:
        age = f"time() - max by (tenant) ({names.AUDIT_CHECKPOINT.sample_name}) > {self._scale.number(900)}"
        yield Alert(
            "HeadwaterAuditUnsigned", "ticket",
            f"max by (tenant) ({names.AUDIT_UNSIGNED.sample_name}) > 0 and on (tenant) {age}", 300.0,
            "new entries of {{ $labels.tenant }}'s audit are not signed",
            "Until they are, their being unchanged cannot be proved.",
        )  # fmt: skip
        yield Alert(
            "HeadwaterAuditNumberingBehind", "ticket",
            f"max by (tenant) ({names.AUDIT_LAG.sample_name}) > {self._scale.number(300)}", 300.0,
            "entries of {{ $labels.tenant }}'s audit wait for their number",
            "Until they have one they are in no proof.",
        )  # fmt: skip
        yield Alert(
            "HeadwaterAuditTampered", "page", f"max by (tenant) ({names.AUDIT_FINDING.sample_name}) == 1", 0.0,
            "the audit of {{ $labels.tenant }} is not what was signed",
            "Somebody may have changed or restored what must never change.",
        )  # fmt: skip

    def _telemetry(self) -> Iterator[Alert]:
        lost = self._increase(names.SPANS, 600, 'result=~"dropped|failed"', by="service")
        yield Alert(
            "HeadwaterSpansLost", "ticket", f"{lost} > 0", 300.0,
            "{{ $labels.service }} cannot export its spans",
            "None for records; whoever looks for a cause finds no traces.",
        )  # fmt: skip
        left_out = self._increase(names.SERIES_LEFT_OUT, 3_600, by="service")
        yield Alert(
            "HeadwaterLabelsLeftOut", "ticket", f"{left_out} > 0 or max({names.ACCOUNTS_LEFT_OUT.sample_name}) > 0",
            0.0, "there are more tenants or connectors than the metrics tell apart",
            "None for records; alerts of those beyond the bound are blind.",
        )  # fmt: skip

    def _increase(self, metric: Metric, window_s: float, *matchers: str, by: str = "") -> str:
        told = f"{{{','.join(matchers)}}}" if matchers else ""
        summed = f"sum by ({by})" if by else "sum"
        return f"{summed} (increase({metric.sample_name}{told}[{self._scale.window(window_s)}]))"
