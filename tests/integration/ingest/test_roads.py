"""The two roads into the log give the same outcomes and the same rows."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.ingest.days import world
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.domain.event import Actor, NewEvent
from headwater.kernel.errors import FieldViolation
from headwater.kernel.telemetry import TraceContext

BROKEN = (FieldViolation("event.payload.email", "a\0b", "format.email", "must be an address"),)
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
TRACES = st.sampled_from(
    [None, TraceContext("00-" + "1a" * 16 + "-" + "2b" * 8 + "-01"), TraceContext("00-" + "3c" * 16 + "-" + "4d" * 8 + "-00", "v=1")]
)  # fmt: skip
COLUMNS = """
SELECT
    event_key, content_hash, record_hash, disposition, operation, actor_type, tenant_id, source, object, external_id,
    payload, event_time, source_version, request_id, actor_id, actor_name, trace, tracestate, released_from
FROM ingest.event ORDER BY event_key
"""


@st.composite
def events(draw: st.DrawFn) -> NewEvent:
    """Events with everything that a row can hold; few keys, so that they meet."""
    event = new_event(
        {"email": draw(st.sampled_from(["a@example.com", "b@example.com"]))},
        request_id=draw(st.sampled_from(["", "r-1", "r-2"])),
        event_time_us=draw(st.integers(1, 4)) * 1_000_000,
        violations=draw(st.sampled_from([(), BROKEN])),
    )
    return msgspec.structs.replace(
        event,
        external_id=draw(st.sampled_from(["x", "ü" * 255])),
        source_version=draw(TEXTS),
        actor=Actor(draw(st.integers(0, 3)), draw(TEXTS), draw(TEXTS)),
        trace=draw(TRACES),
        payload=draw(st.binary(max_size=100)),
    )


async def _recorded(url: str, batches: list[list[NewEvent]], *, few: bool) -> tuple[Any, ...]:
    async with world(url) as log:
        await log.pool.execute(
            "TRUNCATE ingest.event, ingest.quarantine, ingest.event_count, ingest.sealed_key, ingest.resend"
        )
        road = log.few if few else log.log
        outcomes = [tuple(await road.append(batch)) for batch in batches]
        rows = [tuple(row) for row in await log.pool.fetch(COLUMNS)]
        counts = await log.pool.fetch(
            "SELECT source, object, disposition, sum(count) FROM ingest.event_count GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        tasks = await log.pool.fetch(
            "SELECT event_key, violations, state FROM ingest.quarantine ORDER BY event_key"
        )
    return outcomes, rows, [tuple(row) for row in counts], [tuple(row) for row in tasks]


@pytest.mark.timeout(120)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(events(), min_size=1, max_size=6), min_size=1, max_size=3))
def test_both_roads_record_the_same(migrated_database_url: str, batches: list[list[NewEvent]]) -> None:
    """Outcomes, every column, counts and the task list, for any batches with repeats and contradictions."""

    async def compare() -> None:
        copied = await _recorded(migrated_database_url, batches, few=False)
        inserted = await _recorded(migrated_database_url, batches, few=True)
        assert copied == inserted

    anyio.run(compare)
