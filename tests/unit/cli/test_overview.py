"""One screen about a tenant: the five numbers, objectives, and how they are shown."""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from headwater.cli.overview.keeping import kept_words, region_words
from headwater.cli.overview.numbers import Number, five_numbers, objectives
from headwater.cli.overview.reading import Answers
from headwater.cli.overview.screen import counts, document, screen
from headwater.cli.scraping import Page
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import sync_pb2


def _at(hour: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(dt.datetime(2026, 3, 1, hour, 30, tzinfo=dt.UTC))
    return stamp


def _count(connector: str, state: str, count: int) -> sync_pb2.DeliveryCount:
    value = sync_pb2.DeliveryState.Value(f"DELIVERY_STATE_{state}")
    return sync_pb2.DeliveryCount(connector=connector, object="contact", state=value, count=count)


SYNC = sync_pb2.GetStatusResponse(
    events_projected=1_000,
    events_waiting=7,
    superseded=[sync_pb2.RuleCount(rule="stale_record_version", count=5)],
    deliveries=[
        _count("hubspot", "DELIVERED", 990), _count("hubspot", "DEAD", 10), _count("hubspot", "PENDING", 4),
        _count("salesforce", "DELIVERED", 500),
    ],
    latencies=[
        sync_pb2.LatencySummary(connector="hubspot", count=990, p50_ms=900, p95_ms=75_000),
        sync_pb2.LatencySummary(connector="salesforce", count=500, p50_ms=300, p95_ms=1_500),
    ],
)  # fmt: skip
IDENTITY = identity_pb2.GetIdentityStatusResponse(
    counts=[identity_pb2.IdentityCount(object="contact", entities=950, records=1_400, merged=50)],
    merge_candidates=3,
)
CONNECTORS = (
    sync_pb2.Connector(
        connector="hubspot", breaker_state="open", quota_used=70, quota_limit=100, quota_alert=True, dead_count=10,
        pending_count=4, oldest_pending_s=1_200, holder="w1", quota_forecast_time=_at(17),
    ),
    sync_pb2.Connector(connector="salesforce", breaker_state="closed", quota_used=12, paused=True, holder="w1"),
)  # fmt: skip
GROUPS = (
    sync_pb2.ErrorGroup(
        group_id="g1", connector="hubspot", endpoint="upsert contacts", error_class="conflict", error_code="409",
        message="the record was changed [twice]", failure_count=6, last_seen_time=_at(12),
    ),
    sync_pb2.ErrorGroup(connector="hubspot", error_class="server", failure_count=40, last_seen_time=_at(11)),
)  # fmt: skip
PAGES = (
    Page("sync-1", {
        "headwater_log_lag_seconds": (({}, 12.0),),
        "headwater_otel_spans_total": (({"result": "exported"}, 90.0), ({"result": "dropped"}, 2.0), ({"result": "failed"}, 1.0)),
    }),
    Page("ingest-1", {}),
)  # fmt: skip
ANSWERS = Answers(
    "acme", ingest_pb2.GetIngestStatusResponse(quarantine_open=9), IDENTITY, SYNC, CONNECTORS, GROUPS, PAGES,
    {"hubspot": 0.98},
)  # fmt: skip


def _shown(*parts: Any) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    for part in parts:
        console.print(part)
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def _number(name: str, answers: Answers = ANSWERS) -> Number:
    found = five_numbers(answers.sync, answers.identity, answers.connectors, answers.groups)
    assert len(found) == 5
    return next(item for item in found if item.name == name)


@pytest.mark.parametrize(
    ("name", "value", "met", "of"),
    [
        ("sync success", 1_490 / 1_500, "met", ""),
        ("event to CRM, p95", 75.0, "missed", "hubspot"),
        ("duplicates made", 0.05, "no goal", "entities that were merged into another"),
        ("overwrite conflicts", 6.0, "no goal", "met a record changed in the CRM meanwhile"),
        ("calls against quota", 0.7, "missed", "hubspot"),
    ],
)
def test_the_five_numbers(name: str, value: float, met: str, of: str) -> None:
    """Each with its goal, and of which account it is where the worst one is told."""
    found = _number(name)
    assert found.value == pytest.approx(value)
    assert ({True: "met", False: "missed", None: "no goal"}[found.met], found.of) == (met, of)


def test_too_many_dead_letters_miss_the_objective() -> None:
    """Below 99 % of the deliveries that ended, the number says so."""
    worse = sync_pb2.GetStatusResponse(deliveries=[_count("a", "DELIVERED", 98), _count("a", "DEAD", 2)])
    assert _number("sync success", replace(ANSWERS, sync=worse)).met is False


def test_a_tenant_without_anything_has_no_numbers_rather_than_perfect_ones() -> None:
    """Nothing is divided by nothing, and the screen is drawn all the same."""
    empty = Answers(
        "new", ingest_pb2.GetIngestStatusResponse(), identity_pb2.GetIdentityStatusResponse(),
        sync_pb2.GetStatusResponse(), (), (), (), {},
    )  # fmt: skip
    values = [item["value"] for item in document(empty)["numbers"]]
    assert values == [None, None, None, 0.0, None]
    assert "sync success" in _shown(screen(empty), *counts(empty))


def test_an_accounts_objective_is_its_policys() -> None:
    """Of 1,000 deliveries 10 are dead: half of the failures that 98 % allow; without a policy's word 99 % count."""
    hubspot, salesforce = objectives(SYNC, ["hubspot", "salesforce"], {"hubspot": 0.98})
    assert hubspot.budget_used == pytest.approx(0.5)
    assert objectives(SYNC, ["hubspot"], {})[0].budget_used == pytest.approx(1.0)
    assert (salesforce.success, salesforce.budget_used) == (1.0, 0.0)


def test_the_screen_shows_what_an_operator_asks_first() -> None:
    """Breaker, queue, quota with its end, dead letters, quarantine, silent processes, lost spans, the last error."""
    shown = _shown(screen(ANSWERS))
    for said in (
        "99.333 %", "75 s", "5.0 %", "6 tries", "70.0 %", "open", "1,200 s", "70 / 100 (70%), used up 17:30 UTC", "paused",
        "7 waiting, the oldest for 12 s", "ingest-1", "hubspot, upsert contacts: conflict 409",
        "the record was changed [twice]", "headwater runbook conflict",
    ):  # fmt: skip
        assert said in shown
    lines = {line.split("  ")[0]: line for line in map(str.rstrip, shown.splitlines())}
    assert lines["quarantine, open"].endswith("9")
    assert lines["spans lost"].endswith("3")


def test_the_document_is_json_and_keeps_what_services_said() -> None:
    """All that is shown, and the answers themselves."""
    told = json.loads(json.dumps(document(ANSWERS)))
    assert told["last_error"]["group_id"] == "g1"
    assert told["processes"] == {"sync-1": True, "ingest-1": False}
    assert (told["log_lag_s"], told["spans_lost"]) == (12.0, 3.0)
    assert told["objectives"][0]["connector"] == "hubspot"
    assert {"tenant_id", "ingest", "identity", "sync", "connectors", "numbers"} <= set(told)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "for ever"),
        ({"log_days": 90, "archived": True}, "90 days, as all tenants', then archived"),
        (
            {"days": 30, "log_days": 90, "kept_events": 1_200, "oldest_day": "2026-02-01", "due_events": 40}
            | {"held_events": 2, "blockers": ["reader sync has not read shard 3"]},
            (
                "30 days, by the policy, then gone; 1,200 events in days that are over, the oldest 2026-02-01; 40 due, "
                "2 of them in quarantine: reader sync has not read shard 3"
            ),
        ),
    ],
)
def test_how_long_events_are_kept_is_said(said: dict[str, Any], words: str) -> None:
    """By whose word, what is due, and what holds it back."""
    assert kept_words(ingest_pb2.Retention(**said)) == words


def test_where_records_are_is_said() -> None:
    """Nothing without a policy that says it; accounts elsewhere are named."""
    assert region_words(ingest_pb2.GetIngestStatusResponse()) == ""
    residency = ingest_pb2.Residency(
        region="eu", allowed=["us"], accounts={"hubspot": "eu", "salesforce": "us"}
    )
    shown = region_words(ingest_pb2.GetIngestStatusResponse(residency=residency))
    assert shown == "eu, may go to us: salesforce in us"
