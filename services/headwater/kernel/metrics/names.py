"""Every metric: name, kind, help, unit, labels and the bound of each label. Nothing else spells a metric's name.

A label has either a closed set of values or a bound on how many different ones a process tells apart; what comes
beyond it is counted under `_other`, so that no input makes series without end. Personal data is never a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "headwater_"
OTHER: Final = "_other"
"""Value of a label beyond its bound."""


class Kind(StrEnum):
    """What a metric does."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """One label.

    Args:
        values: all that it may have; none: open, bounded by *values_max*.
    """

    name: str
    values: tuple[str, ...] = ()
    values_max: int = 0

    @property
    def bound(self) -> int:
        """How many values it may have, `_other` among them."""
        return len(self.values) or self.values_max + 1


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Args:
        name: without what the format adds (`_total`, `_bucket`).
        unit: the name's last word where it has one; empty for plain numbers.
        services: whose processes have it; none: all.
        buckets: upper bounds, rising; of histograms.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    services: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of its labels, in order."""
        return tuple(label.name for label in self.labels)

    @property
    def sample_name(self) -> str:
        """What a query asks for: the name of its samples."""
        endings = {Kind.COUNTER: "_total", Kind.HISTOGRAM: "_bucket", Kind.GAUGE: ""}
        return self.name + endings[self.kind]


ERROR_CLASSES: Final = (
    "auth", "permission", "rate_limit", "quota", "timeout", "network", "in_doubt", "partial", "server", "format",
    "validation", "conflict", "claimed", "not_found", "reference", "held",
)  # fmt: skip
"""As `connectors.base.ErrorClass`, which the kernel cannot import; a test compares them."""
LANES: Final = ("live", "retry", "backfill", "reconcile", "bulk")
BREAKER_STATES: Final = ("closed", "open", "half_open")

_TENANT: Final = Label("tenant", values_max=200)
_CONNECTOR: Final = Label("connector", values_max=100)
_LANE: Final = Label("lane", LANES)

LATENCY_BUCKETS_S: Final = (
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    900.0,
    3600.0,
    14400.0,
)
"""60 s is the objective and 300 s the alarm floor (requirements F2); four hours is the end of the retries."""
ACK_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_all: list[Metric] = []


def _metric(
    name: str,
    kind: Kind,
    explained: str,
    *labels: Label,
    unit: str = "",
    services: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (),
) -> Metric:
    made = Metric(PREFIX + name, kind, explained, labels, unit, services, buckets)
    _all.append(made)
    return made


# ingest
INGEST_EVENTS: Final = _metric(
    "ingest_events", Kind.COUNTER, "Events answered, by what became of them.",
    Label("disposition", ("accepted", "duplicate", "quarantined", "refused")), services=("ingest",),
)  # fmt: skip
INGEST_UNANSWERED: Final = _metric(
    "ingest_unanswered_events", Kind.COUNTER,
    "Events whose caller was told to come back: the buffer was full, or the log did not answer in time.",
    Label("cause", ("overloaded", "unavailable")), services=("ingest",),
)  # fmt: skip
INGEST_ACK: Final = _metric(
    "ingest_ack_latency_seconds", Kind.HISTOGRAM, "From a call's events at the door to their commit, per call.",
    unit="seconds", services=("ingest",), buckets=ACK_BUCKETS_S,
)  # fmt: skip
QUARANTINE_OPEN: Final = _metric(
    "quarantine_open_events", Kind.GAUGE, "Quarantined events that wait for a person.", _TENANT,
    services=("ingest",),
)  # fmt: skip

# streams of changes
STREAM_CHANGES: Final = _metric(
    "stream_changes", Kind.COUNTER, "Changes that CRMs told over their streams, by what follows of them.",
    _CONNECTOR, Label("outcome", ("wanted", "unread", "unreadable")), services=("sync",),
)  # fmt: skip
STREAM_ENDS: Final = _metric(
    "stream_ends", Kind.COUNTER, "Streams of CRMs that ended, or could not be opened, by why.",
    _CONNECTOR, Label("cause", (*ERROR_CLASSES, "mark_lost")), services=("sync",),
)  # fmt: skip

# the projector
EVENTS_PROJECTED: Final = _metric(
    "events_projected", Kind.COUNTER, "Events of the log, by how the projector ended them.",
    Label("outcome", ("projected", "superseded", "poisoned")), services=("sync",),
)  # fmt: skip
LOG_LAG: Final = _metric(
    "log_lag_seconds", Kind.GAUGE,
    "Age of the oldest event of the log that is not projected yet, by the database's clock; 0 when none waits.",
    unit="seconds", services=("sync",),
)  # fmt: skip

# delivery
DELIVERIES: Final = _metric(
    "deliveries", Kind.COUNTER, "Deliveries that ended, by how.", _CONNECTOR,
    Label("outcome", ("delivered", "superseded", "dead")), services=("sync",),
)  # fmt: skip
DELIVERY_ATTEMPTS: Final = _metric(
    "delivery_attempts", Kind.COUNTER, "Tries of deliveries; the retry rate is the share of `retry`.", _CONNECTOR,
    Label("attempt", ("first", "retry")), Label("result", ("delivered", "failed", "in_doubt")),
    services=("sync",),
)  # fmt: skip
DELIVERY_ERRORS: Final = _metric(
    "delivery_errors", Kind.COUNTER, "Failed tries by class of error.", _CONNECTOR,
    Label("error_class", ERROR_CLASSES), services=("sync",),
)  # fmt: skip
DELIVERY_LATENCY: Final = _metric(
    "delivery_latency_seconds", Kind.HISTOGRAM,
    "From the commit of an event to that of its delivery, both by the database's clock; retries included.",
    _CONNECTOR, unit="seconds", services=("sync",), buckets=LATENCY_BUCKETS_S,
)  # fmt: skip
RECORDS_CREATED: Final = _metric(
    "crm_records_created", Kind.COUNTER, "Records that deliveries made in the CRM.", _CONNECTOR,
    services=("sync",),
)  # fmt: skip
CRM_CALLS: Final = _metric(
    "crm_calls", Kind.COUNTER, "HTTP calls to the CRM by the class of their answer; `none` never came.", _CONNECTOR,
    Label("status_class", ("2xx", "3xx", "4xx", "429", "5xx", "none")), services=("sync",),
)  # fmt: skip
QUEUE_DEPTH: Final = _metric(
    "queue_depth", Kind.GAUGE, "Deliveries that wait, in their lane; counted up to 100,000.", _TENANT, _CONNECTOR,
    _LANE, services=("sync",),
)  # fmt: skip
QUEUE_AGE: Final = _metric(
    "queue_oldest_age_seconds", Kind.GAUGE,
    "For how long the first in line of a lane has been due, by the database's clock; 0 when none is.",
    _TENANT, _CONNECTOR, _LANE, unit="seconds", services=("sync",),
)  # fmt: skip
DEAD_LETTERS: Final = _metric(
    "dead_letters", Kind.GAUGE, "Deliveries that stand still until a person acts, by class of their last error.",
    _TENANT, _CONNECTOR, Label("error_class", (*ERROR_CLASSES, OTHER)), services=("sync",),
)  # fmt: skip
BREAKER: Final = _metric(
    "breaker_state", Kind.GAUGE, "1 for the state that the account's breaker is in, 0 for the others.", _TENANT,
    _CONNECTOR, Label("state", BREAKER_STATES), services=("sync",),
)  # fmt: skip
PAUSED: Final = _metric(
    "account_paused", Kind.GAUGE, "1 while an operator has paused the account.", _TENANT, _CONNECTOR,
    services=("sync",),
)  # fmt: skip
HELD: Final = _metric(
    "account_held", Kind.GAUGE, "1 while a live process has the account's lease.", _TENANT, _CONNECTOR,
    services=("sync",),
)  # fmt: skip
QUOTA_USED: Final = _metric(
    "quota_used_calls", Kind.GAUGE, "Used of the day's quota, in the vendor's unit, of the count nearest its limit.",
    _TENANT, _CONNECTOR, services=("sync",),
)  # fmt: skip
QUOTA_LIMIT: Final = _metric(
    "quota_limit_calls", Kind.GAUGE, "The day's quota of that count; absent where none is known.", _TENANT,
    _CONNECTOR, services=("sync",),
)  # fmt: skip
QUOTA_ENDS: Final = _metric(
    "quota_exhaustion_timestamp_seconds", Kind.GAUGE,
    "When the day's quota will be used up at the recent rate; absent where it will last.", _TENANT, _CONNECTOR,
    unit="seconds", services=("sync",),
)  # fmt: skip
EXPIRY: Final = _metric(
    "token_expiry_timestamp_seconds", Kind.GAUGE, "When the first of what the account holds ends, by kind.",
    _TENANT, _CONNECTOR, Label("kind", ("token", "subscription", "watch")), unit="seconds", services=("sync",),
)  # fmt: skip
PARITY: Final = _metric(
    "parity_ratio", Kind.GAUGE, "Records that agreed with the CRM when it was compared last, of all.", _TENANT,
    _CONNECTOR, services=("sync",),
)  # fmt: skip
FIELD_PARITY: Final = _metric(
    "field_parity_ratio", Kind.GAUGE,
    "The same of one field, of the records that were read: the CRM's object and field, with a full stop between.",
    _TENANT, _CONNECTOR, Label("field", values_max=2_000), services=("sync",),
)  # fmt: skip
PARITY_RUN: Final = _metric(
    "parity_run_timestamp_seconds", Kind.GAUGE, "When the last comparison of all records ended.", _TENANT,
    _CONNECTOR, unit="seconds", services=("sync",),
)  # fmt: skip
DRIFT: Final = _metric(
    "drift_records", Kind.GAUGE, "Records known to differ: to be repaired, being repaired, waiting for a person.",
    _TENANT, _CONNECTOR, Label("state", ("open", "repairing", "asked")), services=("sync",),
)  # fmt: skip
DRIFT_TIME: Final = _metric(
    "drift_p95_seconds", Kind.GAUGE,
    "95th percentile of 30 days: from drift to its detection, where the CRM tells; from detection to healing.",
    _TENANT, _CONNECTOR, Label("stage", ("detect", "heal")), unit="seconds", services=("sync",),
)  # fmt: skip
ERASURES_OVERDUE: Final = _metric(
    "erasures_overdue_records", Kind.GAUGE, "Records of erased people that the CRM has still, beyond the deadline.",
    _TENANT, _CONNECTOR, services=("sync",),
)  # fmt: skip
ACCOUNTS_LEFT_OUT: Final = _metric(
    "accounts_left_out", Kind.GAUGE, "Accounts whose state is not told, because there are too many.",
    services=("sync",),
)  # fmt: skip

# identity
IDENTITY_RECORDS: Final = _metric(
    "identity_records", Kind.COUNTER, "Source records resolved: they began an entity, joined one, were known, or were only looked for in vain.",
    Label("outcome", ("created", "matched", "known", "unmatched")), services=("identity",),
)  # fmt: skip
IDENTITY_RESOLVE: Final = _metric(
    "identity_resolve_latency_seconds", Kind.HISTOGRAM, "One ResolveBatch, its transaction included.",
    unit="seconds", services=("identity",), buckets=ACK_BUCKETS_S,
)  # fmt: skip

# the audit
AUDIT_CHECKPOINT: Final = _metric(
    "audit_last_checkpoint_timestamp_seconds", Kind.GAUGE, "When the tenant's audit was signed last.", _TENANT,
    unit="seconds", services=("sync",),
)  # fmt: skip
AUDIT_UNSIGNED: Final = _metric(
    "audit_unsigned_entries", Kind.GAUGE, "Numbered entries of the audit behind its last checkpoint.", _TENANT,
    services=("sync",),
)  # fmt: skip
AUDIT_LAG: Final = _metric(
    "audit_numbering_lag_seconds", Kind.GAUGE, "Age of the oldest entry of the audit that has no number yet.",
    _TENANT, unit="seconds", services=("sync",),
)  # fmt: skip
AUDIT_FINDING: Final = _metric(
    "audit_finding", Kind.GAUGE, "1 while nothing is signed because the second place knows another history.",
    _TENANT, services=("sync",),
)  # fmt: skip

# every process
HEARTBEAT: Final = _metric(
    "worker_heartbeat_timestamp_seconds", Kind.GAUGE, "When this process's heartbeat was confirmed last.",
    unit="seconds", services=("sync",),
)  # fmt: skip
STATE_READ: Final = _metric(
    "state_last_read_timestamp_seconds", Kind.GAUGE,
    "When the numbers that stand in the database were read last; they are as old as that.", unit="seconds",
    services=("ingest", "sync"),
)  # fmt: skip
RPC_CALLS: Final = _metric(
    "rpc_calls", Kind.COUNTER, "gRPC calls answered, by status.",
    Label("code", ("ok", "cancelled", "caller", "exhausted", "unavailable", "internal")),
    services=("ingest", "identity", "sync"),
)  # fmt: skip
CALLS_DENIED: Final = _metric(
    "denied_calls", Kind.COUNTER, "Calls refused for who they came from, by the rule.", Label("reason", values_max=20),
    services=("ingest", "identity", "sync"),
)  # fmt: skip
SPANS: Final = _metric(
    "otel_spans", Kind.COUNTER, "Sampled spans that ended, by what became of them.",
    Label("result", ("exported", "dropped", "failed")),
)  # fmt: skip
SPANS_QUEUED: Final = _metric("otel_queued_spans", Kind.GAUGE, "Spans that wait for their export.")
LAST_EXPORT: Final = _metric(
    "otel_last_export_timestamp_seconds", Kind.GAUGE, "When a receiver acknowledged spans last; absent before.",
    unit="seconds",
)  # fmt: skip
SERIES_LEFT_OUT: Final = _metric(
    "metrics_left_out", Kind.COUNTER, "Label values beyond their bound, counted under `_other`."
)

METRICS: Final[tuple[Metric, ...]] = tuple(_all)
"""Every metric, in order."""


def metrics_of(service: str) -> tuple[Metric, ...]:
    """Return the metrics that a service's processes have; all of them for a service without a name."""
    return tuple(item for item in METRICS if not service or not item.services or service in item.services)
