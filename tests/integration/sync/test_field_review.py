"""The quarterly review on a real database: what is in use by the records and deliveries that are there."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.integration.sync.queued import CONNECTOR, Queue
from tests.integration.sync.test_parity_reviews import Crm, account, last
from tests.unit.sync.tenant import NOON, POLICY, TENANT, key

from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg import queries
from headwater.policy.loading import load_policy
from headwater.sync.reconciling.jobs import QUARTERLY, QUARTERLY_S, Reconciliation
from headwater.sync.reconciling.ports import Order
from headwater.sync.reconciling.quarterly import FieldReview
from headwater.sync.store.field_use import PostgresFieldUse
from headwater.sync.store.parity import PostgresParity
from headwater.sync.store.parity_desk import PostgresParityDesk

pytestmark = pytest.mark.anyio

READ = POLICY.replace(
    'salesforce: {layer: record, owner: sales-ops, backup: platform, runbook: "https://runbooks/sf"}',
    'salesforce: {layer: record, owner: sales-ops, backup: platform, runbook: "https://runbooks/sf", inbound: '
    "{contact: {fields: {Email: email, FirstName: first_name, Title: title}}}}",
).replace(
    "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n",
    "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n"
    "    scopes: {objects: {contact: {fields: {plan: never, last_name: [read, write]}}}}\n",
)
DAY_US = 86_400_000_000


@dataclass
class Granting(Crm):
    """A CRM whose token tells what it was granted."""

    granted: tuple[str, ...] | None = ("api", "full", "refresh_token")

    async def granted_scopes(self) -> tuple[str, ...] | None:
        """Return them."""
        return self.granted


async def plant(queue: Queue, numbers: range, days: int, **values: str) -> None:
    """Put records of the CRM in, whose values are *days* old."""
    micros = int(NOON.timestamp() * 1e6) - days * DAY_US
    packed = {name: [value, micros, str(key(9))] for name, value in values.items()}
    await queue.pool.execute(
        "insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted)"
        " select $1, 'contact', 'salesforce', one.external_id, one.entity_id, $4, false"
        " from unnest($2::text [], $3::uuid []) as one (external_id, entity_id)",
        TENANT,
        [f"{number:06}" for number in numbers],
        [key(number) for number in numbers],
        packed,
    )


def review_of(queue: Queue, page_rows: int = 2, pages_max: int = 100) -> FieldReview:
    """Return the review, which reads small pages."""
    use = PostgresFieldUse(queue.pool, page_rows, pages_max)
    return FieldReview(PostgresParity(queue.pool), use, SteppedClock(NOON))


async def told(queue: Queue) -> dict[str, str]:
    """Return the findings of the last review: where and what."""
    report = await last(queue, "quarterly")
    return {item["where"].removeprefix("connectors.salesforce."): item["what"] for item in report["findings"]}


async def test_a_review_names_what_nobody_uses(queue: Queue) -> None:
    """A title that nobody ever has, a first name that is old, what the CRM was never given, a line that is too wide."""
    await plant(queue, range(1, 6), 100, first_name="Ann")
    await plant(queue, range(6, 9), 1, email="a@x.io", title="")
    await queue.add(1, 2, 3, crm_object="Contact", crm_id="", known={"Email": "a@x.io", "Title": ""})
    running = account(Granting(), load_policy(READ))
    detail = await review_of(queue).run(running)
    assert detail.endswith("; 11 records")
    found = await told(queue)
    inbound = "systems.salesforce.inbound.contact.fields"
    assert found[f"{inbound}.FirstName"] == found[f"{inbound}.Title"] == "unused"
    assert f"{inbound}.Email" not in found
    assert found["objects.contact.0.fields.Title"] == found["objects.account.0.fields.Name"] == "unused"
    assert found["scopes.objects.contact.fields.last_name"] == "wider scope"
    assert "scopes.objects.contact.fields.plan" not in found
    assert found[""] == "wider grant"
    report = await last(queue, "quarterly")
    assert report["grant"] == {"missing": [], "needless": ["full"]}
    assert report["people"] == {"owner": "sales-ops", "backup": "platform", "runbook": "https://runbooks/sf"}
    by_field = {(item["way"], item["crm"]): item for item in report["mapped"]}
    assert (by_field["read", "FirstName"]["records"], by_field["read", "Email"]["records"]) == (5, 3)
    # the CRM holds the address, and the entity's value of it is of 1970
    assert (found["objects.contact.0.fields.Email"], by_field["write", "Contact.Email"]["records"]) == (
        "unused",
        3,
    )
    details = {item["where"]: item["detail"] for item in report["findings"]}
    assert details[f"{inbound}.FirstName"].endswith("since 2025-11-21")
    assert details[f"{inbound}.Title"] == "contact.title was never read with a value"


async def test_what_was_not_looked_at_is_not_called_unused(queue: Queue) -> None:
    """More pages than one run reads: the review says so, and judges no field."""
    await plant(queue, range(1, 6), 1, email="a@x.io")
    detail = await review_of(queue, page_rows=2, pages_max=2).run(
        account(Granting(granted=None), load_policy(READ))
    )
    assert detail.endswith("; 4 records, not all")
    assert "unused" not in (await told(queue)).values()
    assert (await last(queue, "quarterly"))["grant"] is None


async def test_the_review_is_a_job_of_every_account_and_takes_orders(queue: Queue) -> None:
    """Also where nothing is compared; a dry run's report is kept as such."""
    review = review_of(queue)
    running = account(Granting(), load_policy(READ))
    jobs = Reconciliation(cast("Any", None), cast("Any", None), cast("Any", None), review).jobs(running)
    assert [(job.subject, job.every_s) for job in jobs] == [(QUARTERLY, QUARTERLY_S)]
    order = Order(dry=True, whole=False, actor="user:ann")
    await PostgresParityDesk(queue.pool).order(TENANT, CONNECTOR, "quarterly", order)
    await review.run(running)
    await review.run(running)
    runs = await PostgresParityDesk(queue.pool).list_runs(TENANT, CONNECTOR, "quarterly", 10)
    assert sorted(run.dry for run in runs) == [False, True]
    assert all(run.end_time == dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) for run in runs)


@pytest.mark.parametrize(
    ("name", "table", "values"),
    [
        ("read_use", "record", (TENANT, "contact", "salesforce", "001000", 100)),
        ("written_use", "delivery", (TENANT, CONNECTOR, key(1_000), 100)),
    ],
)
async def test_a_page_costs_its_own_rows(
    queue: Queue, name: str, table: str, values: tuple[Any, ...]
) -> None:
    """On a full table each page is a stretch of the primary key: rows before and behind it are not read."""
    await plant(queue, range(1, 3_001), 1, email="a@x.io")
    await queue.add(*range(1, 3_001), crm_object="Contact", known={"Email": "a@x.io"})
    await queue.pool.execute(
        "insert into sync.delivery (tenant_id, connector, entity_id, object, state, desired_version, event_key,"
        " dirty_time) select one.tenant_id, other, one.entity_id, one.object, 2, 1, one.event_key, one.dirty_time"
        " from sync.delivery as one cross join unnest(array['hubspot', 'old', 'pipedrive']) as other"
    )
    await queue.pool.execute(f"analyze sync.{table}")
    statement = queries.load("headwater.sync", "field_use.sql")[name].text
    [found] = await queue.pool.fetch(f"explain (analyze, format json) {statement}", *values)
    plan = found[0] if isinstance(found[0], str) else json.dumps(found[0])
    nodes = [node for node in _nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == table]
    assert [node["Node Type"] for node in nodes] == ["Index Scan"]
    assert nodes[0]["Actual Rows"] == 100
    assert nodes[0]["Index Name"] == f"{table}_pkey"


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in _nodes(part))]
