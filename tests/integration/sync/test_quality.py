"""The quality of records, measured in pages on Postgres and kept by day."""

from __future__ import annotations

import datetime as dt

import grpc
import pytest
from tests.integration.sync.world import World, refusal
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.cli.quality_page import page
from headwater.sync.domain.quality import KEPT_DAYS
from headwater.sync.store.quality import PostgresQuality
from headwater.sync.usecases.quality import PAGE_RECORDS
from headwater.sync.v1 import quality_pb2 as pb

pytestmark = pytest.mark.anyio


async def measured(world: World, days: int = 30) -> pb.QualityReport:
    """Measure, and return the report."""
    request = pb.MeasureQualityRequest(tenant_id=TENANT, trend_days=days)
    steps = [step async for step in world.quality.MeasureQuality(request, timeout=20)]
    assert [step.HasField("report") for step in steps[:-1]] == [False] * (len(steps) - 1)
    return steps[-1].report


def field(report: pb.QualityReport, source: str, name: str) -> pb.FieldQuality:
    """Return one field of a report."""
    return next(item for item in report.fields if (item.source, item.field) == (source, name))


async def test_fields_are_counted_by_source(world: World) -> None:
    """With a value, broken, at a private provider, the newest; deleted records and corrections are none."""
    await world.add_record(1, "crm", "1", at=100, email="ann@gmail.com", title="CTO")
    await world.add_record(2, "crm", "2", at=200, email="no address")
    await world.add_record(3, "crm", "3", email="gone@one.example.com", deleted=True)
    await world.add_record(1, "operator", str(key(1)), title="CEO")
    await world.add_record(1, "site", "s1", email="ann@gmail.com")
    report = await measured(world)
    email, title = field(report, "crm", "email"), field(report, "crm", "title")
    assert (email.record_count, email.present_count, email.invalid_count, email.personal_mail_count) == (
        2, 2, 1, 1,
    )  # fmt: skip
    assert email.newest_time.seconds == 200
    assert (title.record_count, title.present_count, title.invalid_count) == (2, 1, 0)
    assert {item.source for item in report.fields} == {"crm", "site"}
    assert (report.open_review_count, report.day) == (3, NOON.date().isoformat())


async def test_quarantined_events_are_told_by_source_and_rule(world: World) -> None:
    """Those that wait, and those of the trend's days however they ended; an event counts for each rule it breaks."""
    phone = {"rule": "format.phone", "field": "event.payload.phone"}
    email = {"rule": "format.email", "field": "event.payload.email"}
    for number, (source, rules, state, days) in enumerate(
        [
            ("site", [phone, email], 1, 0),
            ("site", [phone], 1, 90),
            ("crm", [email], 3, 1),
            ("crm", [email], 3, 90),
        ]
    ):
        closed = {} if state == 1 else {"close_time": NOON, "discard_reason": "old"}
        await world.pool.execute(
            "insert into ingest.quarantine (tenant_id, event_key, record_day, source, object, violations, state,"
            " open_time, close_time, discard_reason) values ($1, $2, (select min(record_day) from ingest.partition),"
            " $3, 'contact', $4, $5, $6, $7, $8)",
            TENANT, key(number), source, rules, state, NOON - dt.timedelta(days=days), closed.get("close_time"),
            closed.get("discard_reason", ""),
        )  # fmt: skip
    await world.add_record(1, "crm", "1", email="p1@one.example.com")
    report = await measured(world)
    found = [(one.source, one.rule, one.open_count, one.recent_count) for one in report.quarantined]
    assert found == [
        ("site", "format.phone", 2, 1), ("site", "format.email", 1, 1), ("crm", "format.email", 0, 1),
    ]  # fmt: skip
    drawn = page(report, TENANT)
    assert "event.payload.phone" in drawn
    assert "format.email" in drawn


async def test_duplicates_are_records_that_repeat_an_entity(world: World) -> None:
    """Inside one source, and over all sources together."""
    for number, external_id in ((1, "1"), (1, "2"), (2, "3")):
        await world.add_record(number, "crm", external_id, email=f"p{number}@one.example.com")
    await world.add_record(1, "site", "s1", email="p1@one.example.com")
    found = {item.source: item for item in (await measured(world)).records}
    assert (found["crm"].record_count, found["crm"].entity_count) == (3, 2)
    assert found["crm"].duplicate_share == pytest.approx(1 / 3)
    assert (found[""].record_count, found[""].entity_count, found[""].duplicate_share) == (4, 2, 0.5)
    assert found["site"].duplicate_share == 0.0


async def test_every_record_is_counted_once_over_pages(world: World) -> None:
    """One record more than two pages hold, sources and ids side by side."""
    total = PAGE_RECORDS * 2 + 1
    await world.pool.execute(
        "insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted)"
        " select $1, 'contact', case when number % 2 = 0 then 'crm' else 'site' end, number::text,"
        " gen_random_uuid(), jsonb_build_object('title', jsonb_build_array('CTO', 1, gen_random_uuid())), false"
        " from generate_series(1, $2) as number",
        TENANT,
        total,
    )
    report = await measured(world)
    whole = next(item for item in report.records if not item.source)
    assert (whole.record_count, whole.entity_count, whole.invalid_count) == (total, total, total)


async def test_a_delivery_that_is_due_since_long_is_late(world: World) -> None:
    """Of these accounts alone, and not what is due later or was due a moment ago."""
    store, now = PostgresQuality(world.pool), dt.datetime.now(dt.UTC)
    await _due(world, "hubspot", 1, now + dt.timedelta(hours=1))
    await _due(world, "hubspot", 2, now)
    await _due(world, "salesforce", 3, now - dt.timedelta(minutes=1))
    assert not await store.is_late(TENANT, ["hubspot"], 30.0)
    assert not await store.is_late("another", ["salesforce"], 30.0)
    assert await store.is_late(TENANT, ["hubspot", "salesforce"], 30.0)


async def _due(world: World, connector: str, number: int, due_time: dt.datetime) -> None:
    await world.insert(
        "due", tenant_id=TENANT, connector=connector, lane=3, due_time=due_time, entity_id=key(number)
    )


async def test_the_trend_is_made_of_the_days_that_were_kept(world: World) -> None:
    """A later measurement of a day stands for the day; days beyond what is kept are forgotten."""
    await world.add_record(1, "crm", "1", email="p@one.example.com")
    await measured(world)
    await world.add_record(2, "crm", "2", title="CTO")
    await measured(world)
    world.clock.advance(86_400.0)
    trend = field(await measured(world), "crm", "email").trend
    tomorrow = NOON.date() + dt.timedelta(days=1)
    assert [(point.day, point.share) for point in trend] == [
        (NOON.date().isoformat(), 0.5),
        (tomorrow.isoformat(), 0.5),
    ]
    world.clock.advance(86_400.0 * KEPT_DAYS)
    await measured(world)
    days = await world.pool.fetch("select distinct day from sync.quality order by day")
    assert [row["day"] for row in days] == [tomorrow, tomorrow + dt.timedelta(days=KEPT_DAYS)]


async def test_a_kept_report_is_shown_without_measuring(world: World) -> None:
    """The newest one, also when identity is away; none is told as such."""
    request = pb.GetQualityRequest(tenant_id=TENANT)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.quality.GetQuality(request, timeout=10)
    assert refusal(refused.value)[:2] == (grpc.StatusCode.NOT_FOUND, "NOT_MEASURED")
    await world.add_record(1, "crm", "1", email="p@one.example.com")
    first = await measured(world)
    await world.add_record(2, "crm", "2", email="q@one.example.com")
    world.reviews.away = True
    kept = (await world.quality.GetQuality(request, timeout=10)).report
    assert list(kept.fields) == list(first.fields)
    assert kept.open_review_count == -1
