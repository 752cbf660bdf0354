"""When each alert must fire and when it must not: made-up series, a sample a minute, and the moment of the question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Series = Mapping[str, str]
"""A series with its labels to its samples, as promtool writes them: `0+5x60` rises by 5 a sample."""

NIGHT_H, OFFICE_H, SATURDAY_H = 3, 10, 58
"""Hours since the beginning of 1970, a Thursday: 03:00, 10:00, and 10:00 on Saturday."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one alert.

    Args:
        why: what the case shows.
        at_m: minutes after the beginning.
        step_m: minutes between two samples, and between two looks at the rules.
    """

    alert: str
    fires: bool
    why: str
    at_m: int
    series: Series
    step_m: int = 1


def fires(alert: str, why: str, at_m: int, series: Series, step_m: int = 1) -> Case:
    """Return a case in which the alert must fire."""
    return Case(alert, True, why, at_m, series, step_m)


def quiet(alert: str, why: str, at_m: int, series: Series, step_m: int = 1) -> Case:
    """Return a case in which it must not."""
    return Case(alert, False, why, at_m, series, step_m)


def ended(delivered: str, dead: str, connector: str = "hubspot") -> Series:
    """Return deliveries that ended well and badly."""
    name = "headwater_deliveries_total"
    return {
        f'{name}{{connector="{connector}",outcome="delivered",service="sync"}}': delivered,
        f'{name}{{connector="{connector}",outcome="dead",service="sync"}}': dead,
        f'{name}{{connector="{connector}",outcome="superseded",service="sync"}}': "0x6000",
    }


def tried(good: str, failed: str) -> Series:
    """Return tries that succeeded and failed."""
    name = "headwater_delivery_attempts_total"
    return {
        f'{name}{{connector="hubspot",attempt="first",result="delivered"}}': good,
        f'{name}{{connector="hubspot",attempt="retry",result="failed"}}': failed,
    }


def account(name: str, value: str, *labels: str, instance: str = "a") -> Series:
    """Return a gauge of tenant acme's account hubspot."""
    told = ",".join(('tenant="acme"', 'connector="hubspot"', *labels, f'instance="{instance}"'))
    return {f"headwater_{name}{{{told}}}": value}


def latencies(in_time: str, late: str) -> Series:
    """Return deliveries within a minute, and within a quarter of an hour at the latest."""
    name = "headwater_delivery_latency_seconds_bucket"
    within = {"60.0": in_time, "300.0": in_time, "900.0": late, "+Inf": late}
    return {f'{name}{{connector="hubspot",le="{le}"}}': values for le, values in within.items()}


def burning(name: str, minutes: int, fast: float, slow: float, step_m: int = 1) -> tuple[Case, ...]:
    """Return the cases of a burn rate: *fast* and *slow* dead letters beside a hundred delivered a sample."""
    alert = f"HeadwaterErrorBudgetBurn{name}"
    at_m, length = minutes + 2 * step_m, minutes // step_m + 10
    good = f"0+100x{length}"
    return (
        fires(alert, "the budget burns", at_m, ended(good, f"0+{fast}x{length}"), step_m),
        quiet(alert, "it burns more slowly", at_m, ended(good, f"0+{slow}x{length}"), step_m),
        quiet(alert, "another connector's burns", at_m, {
            **ended(good, f"0x{length}"), **ended(good, f"0+{fast}x{length}", "salesforce"),
        }, step_m),
    )  # fmt: skip


_OVER: Final = (
    fires("HeadwaterErrorBudgetBurnFast", "it burns", 60, ended("0+100x90", "0+20x90")),
    quiet("HeadwaterErrorBudgetBurnFast", "it is over: the short window is clean", 70, ended("0+100x90", "0+20x50 1000x40")),
)  # fmt: skip

RATES: Final = (
    fires("HeadwaterFailuresHigh", "2 % of an hour", 70, ended("0+100x90", "0+2x90")),
    quiet("HeadwaterFailuresHigh", "half a per cent", 70, ended("0+100x90", "0+0.5x90")),
    quiet("HeadwaterFailuresHigh", "one of ten: too few to say", 70, ended("0+0.1x90", "0x60 1x30")),
    quiet("HeadwaterFailuresHigh", "another connector's", 70, {**ended("0+100x90", "0x90"), **ended("0+100x90", "0+9x90", "salesforce")}),
    fires("HeadwaterSuccessLow", "3 % fail", 40, ended("0+97x60", "0+3x60")),
    quiet("HeadwaterSuccessLow", "1.5 % fail", 40, ended("0+98.5x60", "0+1.5x60")),
    fires("HeadwaterSuccessVeryLow", "6 % fail", 40, ended("0+94x60", "0+6x60")),
    quiet("HeadwaterSuccessVeryLow", "4 % fail", 40, ended("0+96x60", "0+4x60")),
    *_OVER,
    *burning("Fast", 60, 20, 10),
    *burning("Middling", 360, 8, 4, step_m=10),
    *burning("Slow", 4320, 2, 0.5, step_m=60),
    fires("HeadwaterNothingSynced", "an hour of office time without a record", OFFICE_H * 60, ended("0+10x54 540x12", "0x70"), step_m=10),
    quiet("HeadwaterNothingSynced", "a record a minute", OFFICE_H * 60, ended("0+1x70", "0x70"), step_m=10),
    quiet("HeadwaterNothingSynced", "nobody works at night", NIGHT_H * 60, ended("5x40", "0x40"), step_m=10),
    quiet("HeadwaterNothingSynced", "nobody works on Saturday", SATURDAY_H * 60, ended("5x400", "0x400"), step_m=10),
    fires("HeadwaterLatencyHigh", "half of them take five to fifteen minutes", 20, latencies("0+5x30", "0+10x30")),
    quiet("HeadwaterLatencyHigh", "one of fifty does", 20, latencies("0+49x30", "0+50x30")),
    fires("HeadwaterRetriesHigh", "four of ten tries fail", 40, tried("0+6x60", "0+4x60")),
    quiet("HeadwaterRetriesHigh", "one of ten does", 40, tried("0+9x60", "0+1x60")),
    quiet("HeadwaterRetriesHigh", "all of three do: too few to say", 40, tried("0x60", "0x20 1 2 3 3x40")),
    fires("HeadwaterAccessRefused", "the credentials are refused", 20, {'headwater_delivery_errors_total{connector="hubspot",error_class="auth"}': "0x10 1x20"}),
    quiet("HeadwaterAccessRefused", "a value is refused", 20, {'headwater_delivery_errors_total{connector="hubspot",error_class="validation"}': "0x10 9x20"}),
    fires("HeadwaterRateLimited", "a tenth of the calls", 30, {'headwater_crm_calls_total{connector="hubspot",status_class="429"}': "0+1x60", 'headwater_crm_calls_total{connector="hubspot",status_class="2xx"}': "0+9x60"}),
    quiet("HeadwaterRateLimited", "one of fifty", 30, {'headwater_crm_calls_total{connector="hubspot",status_class="429"}': "0+1x60", 'headwater_crm_calls_total{connector="hubspot",status_class="2xx"}': "0+49x60"}),
)  # fmt: skip

STANDING: Final = (
    fires("HeadwaterBreakerOpen", "open for minutes", 5, account("breaker_state", "0 1x20", 'state="open"')),
    fires("HeadwaterBreakerOpen", "probing for minutes", 5, account("breaker_state", "0 1x20", 'state="half_open"')),
    quiet("HeadwaterBreakerOpen", "closed", 5, account("breaker_state", "1x20", 'state="closed"')),
    quiet("HeadwaterBreakerOpen", "open for a moment", 5, account("breaker_state", "0 1 0x20", 'state="open"')),
    fires("HeadwaterBacklogOld", "due for twenty minutes", 10, account("queue_oldest_age_seconds", "1200x20", 'lane="live"')),
    quiet("HeadwaterBacklogOld", "due for ten", 10, account("queue_oldest_age_seconds", "600x20", 'lane="live"')),
    quiet("HeadwaterBacklogOld", "an operator has paused it", 10, {**account("queue_oldest_age_seconds", "1200x20", 'lane="live"'), **account("account_paused", "1x20")}),
    fires("HeadwaterDeadLetters", "150 of two causes", 80, {**account("dead_letters", "90x90", 'error_class="conflict"'), **account("dead_letters", "60x90", 'error_class="validation"')}),
    quiet("HeadwaterDeadLetters", "60, which two processes tell", 80, {**account("dead_letters", "60x90", 'error_class="conflict"'), **account("dead_letters", "60x90", 'error_class="conflict"', instance="b")}),
    quiet("HeadwaterDeadLetters", "for less than an hour", 40, account("dead_letters", "150x90", 'error_class="conflict"')),
    fires("HeadwaterQuotaHigh", "61 %", 5, {**account("quota_used_calls", "61x20"), **account("quota_limit_calls", "100x20")}),
    quiet("HeadwaterQuotaHigh", "59 %", 5, {**account("quota_used_calls", "59x20"), **account("quota_limit_calls", "100x20")}),
    fires("HeadwaterQuotaRunsOut", "in an hour, at 85 %", 15, {**account("quota_exhaustion_timestamp_seconds", "4000x30"), **account("quota_used_calls", "85x30"), **account("quota_limit_calls", "100x30")}),
    quiet("HeadwaterQuotaRunsOut", "forecast in the morning, at 30 %", 15, {**account("quota_exhaustion_timestamp_seconds", "4000x30"), **account("quota_used_calls", "30x30"), **account("quota_limit_calls", "100x30")}),
    fires("HeadwaterDriftHigh", "two records in a thousand differ", 5, account("parity_ratio", "0.998x20")),
    quiet("HeadwaterDriftHigh", "one in ten thousand", 5, account("parity_ratio", "0.9999x20")),
    quiet("HeadwaterDriftHigh", "nothing was compared", 5, account("paused", "0x20")),
    fires("HeadwaterDriftUnseen", "for 27 hours", 27 * 60, account("parity_run_timestamp_seconds", "0x200"), 10),
    quiet("HeadwaterDriftUnseen", "since this morning", 12 * 60, account("parity_run_timestamp_seconds", "0x200"), 10),
    quiet("HeadwaterDriftUnseen", "nothing was compared", 27 * 60, account("paused", "0x200"), 10),
    fires("HeadwaterTokenEndsSoon", "in six days", 5, account("token_expiry_timestamp_seconds", f"{6 * 86400}x20", 'kind="token"')),
    quiet("HeadwaterTokenEndsSoon", "in eight", 5, account("token_expiry_timestamp_seconds", f"{8 * 86400}x20", 'kind="token"')),
    fires("HeadwaterTokenEndsNow", "in half a day", 5, account("token_expiry_timestamp_seconds", "43200x20", 'kind="subscription"')),
    quiet("HeadwaterTokenEndsNow", "in two days", 5, account("token_expiry_timestamp_seconds", "172800x20", 'kind="token"')),
    fires("HeadwaterAccountPaused", "for five hours", 300, account("account_paused", "1x400")),
    quiet("HeadwaterAccountPaused", "for an hour", 60, account("account_paused", "1x400")),
    fires("HeadwaterErasureOverdue", "one record", 5, account("erasures_overdue_records", "1x20")),
    quiet("HeadwaterErasureOverdue", "all are erased", 5, account("erasures_overdue_records", "0x20")),
    fires("HeadwaterAccountNotHeld", "nobody has it", 5, account("account_held", "0x20")),
    quiet("HeadwaterAccountNotHeld", "one of two processes knows that it is held", 5, {**account("account_held", "0x20"), **account("account_held", "1x20", instance="b")}),
)  # fmt: skip


def up(service: str, values: str) -> Series:
    """Return whether a process answers."""
    return {f'up{{job="headwater",service="{service}",replica="1"}}': values}


ALL_UP: Final = {**up("ingest", "1x20"), **up("identity", "1x20"), **up("sync", "1x20")}


def taken(disposition: str, bad: str, good: str) -> Series:
    """Return events of which some ended otherwise than accepted."""
    name = "headwater_ingest_events_total"
    return {f'{name}{{disposition="{disposition}"}}': bad, f'{name}{{disposition="accepted"}}': good}


def unanswered(bad: str, good: str) -> Series:
    """Return events that were told to come back, and others."""
    return {
        'headwater_ingest_unanswered_events_total{cause="overloaded"}': bad,
        'headwater_ingest_events_total{disposition="accepted"}': good,
    }


def acks(fast: str, total: str) -> Series:
    """Return calls answered within 100 ms, and within 2.5 s."""
    name = "headwater_ingest_ack_latency_seconds_bucket"
    within = {"0.1": fast, "1.0": fast, "2.5": total, "+Inf": total}
    return {f'{name}{{service="ingest",le="{le}"}}': values for le, values in within.items()}


def calls(bad: str, good: str) -> Series:
    """Return gRPC calls to identity."""
    name = "headwater_rpc_calls_total"
    return {
        f'{name}{{service="identity",code="internal"}}': bad,
        f'{name}{{service="identity",code="ok"}}': good,
        f'{name}{{service="identity",code="caller"}}': good,
    }


PLATFORM: Final = (
    fires("HeadwaterDeadMansSwitch", "always", 5, ALL_UP),
    fires("HeadwaterProcessDown", "it does not answer", 5, {**ALL_UP, **up("sync", "0x20")}),
    quiet("HeadwaterProcessDown", "all answer", 5, ALL_UP),
    quiet("HeadwaterProcessDown", "one scrape failed", 5, {**ALL_UP, **up("sync", "1 1 1 1 0 1x10")}),
    fires("HeadwaterServiceMissing", "nobody tells of sync", 5, {**up("ingest", "1x20"), **up("identity", "1x20")}),
    quiet("HeadwaterServiceMissing", "all three are known", 5, ALL_UP),
    fires("HeadwaterHeartbeatStale", "two minutes old", 10, {'headwater_worker_heartbeat_timestamp_seconds{replica="1"}': "0+60x8 480x20"}),
    quiet("HeadwaterHeartbeatStale", "it beats", 10, {'headwater_worker_heartbeat_timestamp_seconds{replica="1"}': "0+60x20"}),
    fires("HeadwaterStateUnread", "for ten minutes", 20, {'headwater_state_last_read_timestamp_seconds{service="sync"}': "0+60x10 600x20"}),
    quiet("HeadwaterStateUnread", "the other process has read it", 20, {'headwater_state_last_read_timestamp_seconds{service="sync",replica="1"}': "0x30", 'headwater_state_last_read_timestamp_seconds{service="sync",replica="2"}': "0+60x30"}),
    fires("HeadwaterCallsFail", "one of eleven", 20, calls("0+1x30", "0+5x30")),
    quiet("HeadwaterCallsFail", "one of a thousand", 20, calls("0+1x30", "0+500x30")),
    fires("HeadwaterIngestRefuses", "a tenth", 10, unanswered("0+10x20", "0+90x20")),
    quiet("HeadwaterIngestRefuses", "one of a thousand", 10, unanswered("0+10x20", "0+9990x20")),
    fires("HeadwaterAckSlow", "a twentieth takes two seconds", 20, acks("0+95x30", "0+100x30")),
    quiet("HeadwaterAckSlow", "one of five hundred does", 20, acks("0+499x30", "0+500x30")),
    fires("HeadwaterQuarantineHigh", "a tenth of an hour", 70, taken("quarantined", "0+1x90", "0+9x90")),
    quiet("HeadwaterQuarantineHigh", "one of a hundred", 70, taken("quarantined", "0+1x90", "0+99x90")),
    quiet("HeadwaterQuarantineHigh", "all of ten: too few to say", 70, taken("quarantined", "0x60 10x30", "0x90")),
    fires("HeadwaterRefusedHigh", "a tenth of an hour", 70, taken("refused", "0+1x90", "0+9x90")),
    quiet("HeadwaterRefusedHigh", "one of a hundred", 70, taken("refused", "0+1x90", "0+99x90")),
    fires("HeadwaterLogLag", "three minutes behind", 10, {"headwater_log_lag_seconds": "0 0 0 0 0 180x20"}),
    quiet("HeadwaterLogLag", "a minute behind", 10, {"headwater_log_lag_seconds": "60x20"}),
    fires("HeadwaterEventsPoisoned", "one", 20, {'headwater_events_projected_total{outcome="poisoned"}': "0x10 1x20"}),
    quiet("HeadwaterEventsPoisoned", "superseded ones are none", 20, {'headwater_events_projected_total{outcome="superseded"}': "0x10 5x20", 'headwater_events_projected_total{outcome="poisoned"}': "0x40"}),
    fires("HeadwaterAuditUnsigned", "for an hour", 60, {'headwater_audit_unsigned_entries{tenant="acme"}': "5x90", 'headwater_audit_last_checkpoint_timestamp_seconds{tenant="acme"}': "0x90"}),
    quiet("HeadwaterAuditUnsigned", "nothing new to sign", 60, {'headwater_audit_unsigned_entries{tenant="acme"}': "0x90", 'headwater_audit_last_checkpoint_timestamp_seconds{tenant="acme"}': "0x90"}),
    fires("HeadwaterAuditNumberingBehind", "ten minutes", 20, {'headwater_audit_numbering_lag_seconds{tenant="acme"}': "600x30"}),
    quiet("HeadwaterAuditNumberingBehind", "a second", 20, {'headwater_audit_numbering_lag_seconds{tenant="acme"}': "1x30"}),
    fires("HeadwaterAuditTampered", "another history", 5, {'headwater_audit_finding{tenant="acme"}': "0 1x20"}),
    quiet("HeadwaterAuditTampered", "all is well", 5, {'headwater_audit_finding{tenant="acme"}': "0x20"}),
    fires("HeadwaterSpansLost", "exports fail", 20, {'headwater_otel_spans_total{service="sync",result="failed"}': "0+5x30"}),
    quiet("HeadwaterSpansLost", "exports succeed", 20, {'headwater_otel_spans_total{service="sync",result="exported"}': "0+5x30", 'headwater_otel_spans_total{service="sync",result="failed"}': "0x30"}),
    fires("HeadwaterLabelsLeftOut", "a label has too many values", 20, {'headwater_metrics_left_out_total{service="sync"}': "0x10 3x20", "headwater_accounts_left_out": "0x30"}),
    fires("HeadwaterLabelsLeftOut", "there are too many accounts", 20, {'headwater_metrics_left_out_total{service="sync"}': "0x30", "headwater_accounts_left_out": "7x30"}),
    quiet("HeadwaterLabelsLeftOut", "all are told", 20, {'headwater_metrics_left_out_total{service="sync"}': "0x30", "headwater_accounts_left_out": "0x30"}),
)  # fmt: skip

CASES: Final[tuple[Case, ...]] = (*RATES, *STANDING, *PLATFORM)
ALWAYS: Final = frozenset({"HeadwaterDeadMansSwitch"})
"""Alerts that nothing keeps quiet."""
