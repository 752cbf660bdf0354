"""The monthly review beside the last one, and the weekly consistency of activities, on a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.integration.sync.queued import CONNECTOR, LEASE, Queue
from tests.integration.sync.test_parity import COMPARED
from tests.unit.sync.tenant import NOON, TENANT, key

from headwater.connectors.base import Connector
from headwater.connectors.base.describing import ApiVersions, FieldShape
from headwater.kernel.clock import SteppedClock
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.reconciling.monthly import Review
from headwater.sync.reconciling.ports import Order
from headwater.sync.reconciling.weekly import Consistency
from headwater.sync.store.parity import PostgresParity
from headwater.sync.store.parity_desk import PostgresParityDesk
from headwater.sync.store.timeline_desk import PostgresTimelineDesk
from headwater.sync.usecases.timeline import Timelines

pytestmark = pytest.mark.anyio

NAMES = (
    "Email", "FirstName", "LastName", "Title", "Headwater_Id__c", "Headwater_State__c", "Headwater_Winner__c",
)  # fmt: skip
TIMELINE = "timeline: {time: start_time, kind: subject, participants: people}\n"


@dataclass
class Crm:
    """A CRM that tells how its contacts are made."""

    fields: dict[str, FieldShape] = field(default_factory=lambda: dict.fromkeys(NAMES, FieldShape("string")))

    async def schema(self, crm_object: str) -> Mapping[str, FieldShape]:
        """Return the fields."""
        assert crm_object == "Contact"
        return self.fields

    async def api_versions(self) -> ApiVersions | None:
        """Return one that is served."""
        return ApiVersions("v61.0", ("v60.0", "v61.0"))

    async def aclose(self) -> None:
        """Nothing to close."""


@dataclass
class Policies:
    """One tenant's policy."""

    document: PolicyDocument

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return it."""
        return {TENANT: self.document}


def account(crm: Crm, document: PolicyDocument) -> RunningAccount:
    """Return the account of a process that holds it."""

    async def opened() -> Connector:
        return cast("Connector", crm)

    async def ask(_: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    return RunningAccount(TENANT, CONNECTOR, document, LEASE, opened, ask)


async def last(queue: Queue, job: str) -> dict[str, Any]:
    """Return the report of the last run."""
    report: dict[str, Any] = await queue.pool.fetchval(
        "select report from sync.parity_run where job = $1 order by begin_time desc limit 1", job
    )
    return report


async def test_a_review_tells_what_has_changed_since_the_last_one(queue: Queue) -> None:
    """The first has nothing to compare with; the second tells a type that changed; a third is calm again."""
    crm, clock = Crm(), SteppedClock(NOON)
    running = account(crm, load_policy(COMPARED.replace("REPAIRS", "{}")))
    review = Review(PostgresParity(queue.pool), clock)
    assert await review.run(running) == "schema and mappings fit"
    crm.fields = {**crm.fields, "Title": FieldShape("double")}
    clock.advance(60)
    assert await review.run(running) == "1 findings: Contact.Title type"
    assert (await last(queue, "monthly"))["findings"] == [
        {"where": "Contact.Title", "what": "type", "detail": "was string, is double"}
    ]
    clock.advance(60)
    assert await review.run(running) == "schema and mappings fit"


@pytest.mark.parametrize("dry", [True, False])
async def test_activities_without_a_place_are_looked_at_again_unless_the_run_is_dry(
    queue: Queue, *, dry: bool
) -> None:
    """Those that somebody is about to place already are left out."""
    document = load_policy(COMPARED.replace("REPAIRS", "{}") + TIMELINE)
    for number in (1, 2):
        await queue.pool.execute(
            "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
            " values ($1, $2, 'activity', 'active', 1, '{}')",
            TENANT,
            key(number),
        )
    await queue.pool.execute(
        "insert into sync.timeline_due (tenant_id, entity_id, object, event_key) values ($1, $2, 'activity', $2)",
        TENANT,
        key(2),
    )
    if dry:
        order = Order(dry=True, whole=False, actor="user:ann")
        await PostgresParityDesk(queue.pool).order(TENANT, CONNECTOR, "weekly", order)
    timelines = Timelines(PostgresTimelineDesk(queue.pool), Policies(document))
    weekly = Consistency(PostgresParity(queue.pool), timelines, SteppedClock(NOON))
    assert (await weekly.run(account(Crm(), document))).startswith(
        "1 activities without a place, 0 associations"
    )
    due = await queue.pool.fetch("select entity_id from sync.timeline_due order by entity_id")
    assert [row["entity_id"] for row in due] == ([key(2)] if dry else [key(1), key(2)])
    assert (await last(queue, "weekly"))["counts"]["activities without a place"] == 1
