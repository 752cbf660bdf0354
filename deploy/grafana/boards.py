"""Grafana's dashboards as code: `make dashboards` writes `dashboards/*.json`; a test compares.

Overview (success rate top left, red for failed), one for a connector, ingest, identity, quota, SLO. Counters tell
accounts apart by connector, gauges by tenant as well; every process of sync tells the same gauges, so they are taken
by their maximum.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
SMALL, WIDE, HALF = (6, 5), (24, 8), (12, 8)
"""Width of 24 and height of panels."""
GREEN, ORANGE, RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Args:
        queries: PromQL and legend.
        steps: colours from a value on; the first one from the beginning.
        red: legends that are drawn in red.
        size: width and height.
        may_be_empty: nothing to show is a good sign.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "lines"
    steps: tuple[tuple[float | None, str], ...] = ()
    red: tuple[str, ...] = ()
    size: tuple[int, int] = HALF
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    by_connector: bool = False


SHARE_STEPS: Final = ((None, RED), (0.95, ORANGE), (0.99, GREEN))
"""Alarm floors and objective of requirements F2."""
BAD_STEPS: Final = ((None, GREEN), (1, RED))
R: Final = "[$__rate_interval]"
DELIVERED: Final = 'headwater_deliveries_total{outcome=~"delivered|superseded"}'


def success(window: str, connector: str = "") -> str:
    """Return the share of deliveries that succeeded."""
    told = f',connector="{connector}"' if connector else ""
    good = f'headwater_deliveries_total{{outcome=~"delivered|superseded"{told}}}'
    every = f'headwater_deliveries_total{{outcome=~".+"{told}}}'
    return (
        f"sum by (connector) (increase({good}[{window}])) / sum by (connector) (increase({every}[{window}]))"
    )


def latency(quantile: float, selector: str = "") -> str:
    """Return a percentile of the time from event to CRM."""
    name = f"headwater_delivery_latency_seconds_bucket{selector}"
    return f"histogram_quantile({quantile}, sum by (connector, le) (rate({name}{R})))"


OVERVIEW: Final = Board(
    "overview",
    "Headwater: overview",
    (
        Panel("Success rate, 1 h", ((success("1h"), "{{connector}}"),), "percentunit", "stat", SHARE_STEPS, size=SMALL),
        Panel("Dead letters", (("sum by (connector) (max by (tenant, connector, error_class) (headwater_dead_letters))", "{{connector}}"),), "short", "stat", BAD_STEPS, size=SMALL),
        Panel("Breakers not closed", (('sum(max by (tenant, connector, state) (headwater_breaker_state{state=~"open|half_open"}))', "breakers"),), "short", "stat", BAD_STEPS, size=SMALL),
        Panel("Processes that do not answer", (('count(up{job="headwater"} == 0) or vector(0)', "processes"),), "short", "stat", BAD_STEPS, size=SMALL),
        Panel("Deliveries", ((f"sum by (outcome) (rate(headwater_deliveries_total{R}))", "{{outcome}}"),), "ops", red=("dead",)),
        Panel("Event to CRM, 95th percentile", ((latency(0.95), "{{connector}}"),), "s"),
        Panel("Events in", ((f"sum by (disposition) (rate(headwater_ingest_events_total{R}))", "{{disposition}}"),), "ops", red=("refused", "quarantined")),
        Panel("Backlog: age of the first in line", (("max by (connector, lane) (headwater_queue_oldest_age_seconds)", "{{connector}} {{lane}}"),), "s"),
        Panel("Lag of the log", (("max(headwater_log_lag_seconds)", "projector"),), "s"),
        Panel("Spans lost", ((f'sum by (service, result) (rate(headwater_otel_spans_total{{result=~"dropped|failed"}}{R}))', "{{service}} {{result}}"),), "ops", red=("failed", "dropped")),
        Panel("Alerts that fire", (('count by (alertname, connector, severity) (ALERTS{alertstate="firing",alertname!="HeadwaterDeadMansSwitch"})', "{{alertname}} {{connector}}"),), "short", size=WIDE, may_be_empty=True),
    ),
)  # fmt: skip

CONNECTOR: Final = Board(
    "connector",
    "Headwater: one connector",
    (
        Panel("Success rate, 1 h", ((success("1h", "$connector"), "success"),), "percentunit", "stat", SHARE_STEPS, size=SMALL),
        Panel("Retry rate, 30 m", (('sum(increase(headwater_delivery_attempts_total{connector="$connector",attempt="retry"}[30m])) / sum(increase(headwater_delivery_attempts_total{connector="$connector"}[30m]))', "retries"),), "percentunit", "stat", ((None, GREEN), (0.1, ORANGE), (0.25, RED)), size=SMALL),
        Panel("Breaker", (('max by (tenant, state) (headwater_breaker_state{connector="$connector"}) == 1', "{{tenant}}: {{state}}"),), "short", "stat", size=SMALL),
        Panel("Paused, or held by nobody", (('sum(max by (tenant) (headwater_account_paused{connector="$connector"})) + sum(1 - max by (tenant) (headwater_account_held{connector="$connector"}))', "accounts"),), "short", "stat", BAD_STEPS, size=SMALL),
        Panel("Deliveries", ((f'sum by (outcome) (rate(headwater_deliveries_total{{connector="$connector"}}{R}))', "{{outcome}}"),), "ops", red=("dead",)),
        Panel("Event to CRM", ((latency(0.5, '{connector="$connector"}'), "p50"), (latency(0.95, '{connector="$connector"}'), "p95"), (latency(0.99, '{connector="$connector"}'), "p99")), "s"),
        Panel("Errors by class", ((f'sum by (error_class) (rate(headwater_delivery_errors_total{{connector="$connector"}}{R}))', "{{error_class}}"),), "ops"),
        Panel("Calls by answer", ((f'sum by (status_class) (rate(headwater_crm_calls_total{{connector="$connector"}}{R}))', "{{status_class}}"),), "ops", red=("5xx", "429", "none")),
        Panel("Queue by lane", (('max by (tenant, lane) (headwater_queue_depth{connector="$connector"})', "{{tenant}} {{lane}}"),)),
        Panel("Age of the first in line", (('max by (tenant, lane) (headwater_queue_oldest_age_seconds{connector="$connector"})', "{{tenant}} {{lane}}"),), "s"),
        Panel("Dead letters by class", (('max by (tenant, error_class) (headwater_dead_letters{connector="$connector"}) > 0', "{{tenant}} {{error_class}}"),), may_be_empty=True),
        Panel("Records made in the CRM", ((f'sum(rate(headwater_crm_records_created_total{{connector="$connector"}}{R}))', "made"),), "ops"),
    ),
    by_connector=True,
)  # fmt: skip

INGEST: Final = Board(
    "ingest",
    "Headwater: ingest",
    (
        Panel("Accepted, 1 h", (('sum(increase(headwater_ingest_events_total{disposition="accepted"}[1h]))', "events"),), "short", "stat", size=SMALL),
        Panel("Quarantined or refused, 1 h", (('sum(increase(headwater_ingest_events_total{disposition=~"quarantined|refused"}[1h])) / sum(increase(headwater_ingest_events_total[1h]))', "share"),), "percentunit", "stat", ((None, GREEN), (0.01, ORANGE), (0.05, RED)), size=SMALL),
        Panel("Told to come back, 1 h", (("sum(increase(headwater_ingest_unanswered_events_total[1h]))", "events"),), "short", "stat", BAD_STEPS, size=SMALL),
        Panel("Quarantine, open", (("sum(max by (tenant) (headwater_quarantine_open_events)) or vector(0)", "events"),), "short", "stat", size=SMALL),
        Panel("Events", ((f"sum by (disposition) (rate(headwater_ingest_events_total{R}))", "{{disposition}}"),), "ops", red=("refused", "quarantined")),
        Panel("Acknowledgement", ((f"histogram_quantile(0.5, sum by (le) (rate(headwater_ingest_ack_latency_seconds_bucket{R})))", "p50"), (f"histogram_quantile(0.99, sum by (le) (rate(headwater_ingest_ack_latency_seconds_bucket{R})))", "p99")), "s"),
        Panel("Told to come back", ((f"sum by (cause) (rate(headwater_ingest_unanswered_events_total{R}))", "{{cause}}"),), "ops", red=("overloaded", "unavailable")),
        Panel("Calls by status", ((f'sum by (code) (rate(headwater_rpc_calls_total{{service="ingest"}}{R}))', "{{code}}"),), "ops", red=("internal", "unavailable")),
        Panel("Lag of the projector", (("max(headwater_log_lag_seconds)", "lag"),), "s"),
        Panel("Events projected", ((f"sum by (outcome) (rate(headwater_events_projected_total{R}))", "{{outcome}}"),), "ops", red=("poisoned",)),
    ),
)  # fmt: skip

IDENTITY: Final = Board(
    "identity",
    "Headwater: identity",
    (
        Panel("Records resolved", ((f"sum by (outcome) (rate(headwater_identity_records_total{R}))", "{{outcome}}"),), "ops"),
        Panel("Share that joined an entity, 1 h", (('sum(increase(headwater_identity_records_total{outcome="matched"}[1h])) / sum(increase(headwater_identity_records_total{outcome=~"matched|created"}[1h]))', "joined"),), "percentunit"),
        Panel("One ResolveBatch", ((f"histogram_quantile(0.5, sum by (le) (rate(headwater_identity_resolve_latency_seconds_bucket{R})))", "p50"), (f"histogram_quantile(0.99, sum by (le) (rate(headwater_identity_resolve_latency_seconds_bucket{R})))", "p99")), "s"),
        Panel("Calls by status", ((f'sum by (code) (rate(headwater_rpc_calls_total{{service="identity"}}{R}))', "{{code}}"),), "ops", red=("internal", "unavailable")),
    ),
)  # fmt: skip

QUOTA: Final = Board(
    "quota",
    "Headwater: quota",
    (
        Panel("Used of the day", (("max by (tenant, connector) (headwater_quota_used_calls) / max by (tenant, connector) (headwater_quota_limit_calls)", "{{tenant}} {{connector}}"),), "percentunit", "stat", ((None, GREEN), (0.6, ORANGE), (0.8, RED)), size=(12, 5)),
        Panel("Used up in", (("max by (tenant, connector) (headwater_quota_exhaustion_timestamp_seconds) - time()", "{{tenant}} {{connector}}"),), "s", "stat", ((None, RED), (14_400, ORANGE)), size=(12, 5), may_be_empty=True),
        Panel("Used and allowed", (("max by (tenant, connector) (headwater_quota_used_calls)", "{{tenant}} {{connector}} used"), ("max by (tenant, connector) (headwater_quota_limit_calls)", "{{tenant}} {{connector}} allowed"))),
        Panel("Calls", ((f"sum by (connector, status_class) (rate(headwater_crm_calls_total{R}))", "{{connector}} {{status_class}}"),), "ops", red=("429", "5xx", "none")),
        Panel("Tokens, subscriptions, watches: end in", (("min by (tenant, connector, kind) (headwater_token_expiry_timestamp_seconds) - time()", "{{tenant}} {{connector}} {{kind}}"),), "s", size=WIDE, may_be_empty=True),
    ),
)  # fmt: skip


def burn(window: str) -> str:
    """Return how many times too fast the error budget of 1 % goes."""
    return f"(1 - ({success(window)})) / 0.01"


SLO: Final = Board(
    "slo",
    "Headwater: SLO",
    (
        Panel("Success, 30 d (objective 99 %)", ((success("30d"), "{{connector}}"),), "percentunit", "stat", SHARE_STEPS, size=(12, 5)),
        Panel("Within 60 s, 30 d (objective 95 %)", (('sum by (connector) (increase(headwater_delivery_latency_seconds_bucket{le="60.0"}[30d])) / sum by (connector) (increase(headwater_delivery_latency_seconds_count[30d]))', "{{connector}}"),), "percentunit", "stat", ((None, RED), (0.95, GREEN)), size=(12, 5)),
        Panel("Budget burnt, 1 h (page above 14.4)", ((burn("1h"), "{{connector}}"),), steps=((None, GREEN), (14.4, RED))),
        Panel("Budget burnt, 6 h (page above 6)", ((burn("6h"), "{{connector}}"),), steps=((None, GREEN), (6, RED))),
        Panel("Budget burnt, 3 d (ticket above 1)", ((burn("3d"), "{{connector}}"),), steps=((None, GREEN), (1, RED))),
        Panel("Calls answered well by ingest, 30 d (objective 99.95 %)", (('1 - sum(increase(headwater_rpc_calls_total{service="ingest",code=~"internal|unavailable"}[30d])) / sum(increase(headwater_rpc_calls_total{service="ingest"}[30d]))', "ingest"),), "percentunit", "stat", ((None, RED), (0.9995, GREEN))),
    ),
)  # fmt: skip

BOARDS: Final = (OVERVIEW, CONNECTOR, INGEST, IDENTITY, QUOTA, SLO)


def rendered(board: Board) -> str:
    """Return a dashboard as Grafana reads it."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"headwater-{board.name}")
        .tags(["headwater"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("utc")
        .readonly()
    )
    if board.by_connector:
        connectors = dashboard.QueryVariable("connector").label("Connector").datasource(SOURCE)
        built.with_variable(connectors.query("label_values(headwater_breaker_state, connector)"))
    for panel in board.panels:
        built.with_panel(_panel(panel))
    return json.dumps(built.build(), cls=JSONEncoder, sort_keys=True, indent=1) + "\n"


def _panel(panel: Panel) -> Any:
    made: Any = stat.Panel() if panel.kind == "stat" else timeseries.Panel()
    width, height = panel.size
    made.title(panel.title).unit(panel.unit).datasource(SOURCE).span(width).height(height)
    if panel.steps:
        steps = [models.Threshold(value=value, color=color) for value, color in panel.steps]
        made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.kind == "stat":
        made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        made.color_mode(common_models.BigValueColorMode.BACKGROUND)
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        made.with_target(query.exemplar("latency" in expression))
    for legend in panel.red:
        fixed = {"mode": "fixed", "fixedColor": RED}
        made.override_by_regexp(f".*{legend}.*", [models.DynamicConfigValue(id_val="color", value=fixed)])
    return made


def main() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(rendered(board), encoding="utf-8")


if __name__ == "__main__":
    main()
