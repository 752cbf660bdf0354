"""What stands in the database and is told on /metrics: read by one statement, seldom, by key."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.alerting.tools import SAMPLE_POLICY

from headwater.cli.policy_files import read_policy
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.metrics import Metrics, names
from headwater.kernel.pg import queries
from headwater.kernel.pg.pool import open_pool
from headwater.sync.measuring import DELIVERIES_MAX, GaugeRow, GaugeStore, StateReader, gauges_of
from headwater.sync.membership import Membership
from headwater.sync.store.gauges import PostgresGauges

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

DAY = dt.date(2026, 11, 22)
NOTHING: Any = None

FILL = """
insert into sync.due (tenant_id, connector, lane, due_time, entity_id)
select 'acme', 'hubspot', 1, clock_timestamp() - make_interval(secs => 10 * n), gen_random_uuid()
from generate_series(1, 5) as made (n)
union all
select 'acme', 'hubspot', 2, clock_timestamp() + interval '1 hour', gen_random_uuid();
insert into sync.delivery (tenant_id, connector, entity_id, object, state, desired_version, last_error_class,
    event_key, dirty_time)
select 'acme', 'hubspot', gen_random_uuid(), 'contact', state, 1, error_class, gen_random_uuid(), now()
from (values (5, 'conflict'), (5, 'conflict'), (5, ''), (6, 'conflict'), (2, '')) as made (state, error_class);
insert into sync.connector_state (tenant_id, connector, paused, breaker) values
('acme', 'hubspot', true, jsonb_build_object('scope', 'account', 'breakers', jsonb_build_object('account',
    jsonb_build_object('failures', 5, 'probe_time', (clock_timestamp() + interval '1 minute')::text)))),
('acme', 'salesforce', false, jsonb_build_object('breakers', jsonb_build_object('account',
    jsonb_build_object('failures', 5, 'probe_time', (clock_timestamp() - interval '1 minute')::text))));
insert into sync.process (holder, expire_time) values ('one', clock_timestamp() + interval '1 minute'),
('gone', clock_timestamp() - interval '1 minute');
insert into sync.lease (name, holder, fence, expire_time) values
('connector/acme/hubspot', 'one', 1, 'infinity'), ('connector/acme/salesforce', 'gone', 1, 'infinity');
insert into sync.quota (tenant_id, connector, day, calls, vendor_used, vendor_limit, forecast_time) values
('acme', 'hubspot', '2026-11-22', 40, 70, 100, '2026-11-22T20:00:00Z'),
('acme', 'hubspot', '2026-11-21', 4000, 7000, 100, null);
insert into sync.expiry (tenant_id, connector, kind, subject, expire_time, renewable, check_time) values
('acme', 'hubspot', 'token', 'first', '2026-12-24T00:00:00Z', false, now()),
('acme', 'hubspot', 'token', 'later', '2027-12-24T00:00:00Z', false, now());
insert into sync.audit (tenant_id, audit_time, action, actor) values
('acme', clock_timestamp() - interval '90 seconds', 'tested', 'a test');
"""


@pytest.fixture
async def pool(migrated_database_url: str) -> AsyncIterator[Pool]:
    """A pool on a database with two accounts in all sorts of states."""
    async with await open_pool(migrated_database_url, application_name="test") as opened:
        await opened.execute(FILL)
        yield opened


async def _read(pool: Pool) -> dict[tuple[str, str, str], float]:
    accounts = [("acme", "hubspot", DAY), ("acme", "salesforce", DAY)]
    rows = await PostgresGauges(pool).read(accounts, DELIVERIES_MAX)
    return {(row.gauge, row.connector, row.label): row.value for row in rows}


async def test_queues_are_told_by_lane_with_the_age_of_the_first_in_line(pool: Pool) -> None:
    """What is not due yet counts, and has no age; an account without a queue has depth 0."""
    told = await _read(pool)
    assert told["depth", "hubspot", "live"] == 5
    assert told["age", "hubspot", "live"] == pytest.approx(50, abs=5)
    assert told["depth", "hubspot", "retry"] == 1
    assert told["age", "hubspot", "retry"] == 0
    assert told["depth", "salesforce", "live"] == 0


async def test_counting_a_queue_ends_at_its_bound(pool: Pool) -> None:
    """A queue of millions costs no more than one of the bound."""
    rows = await PostgresGauges(pool).read([("acme", "hubspot", DAY)], 3)
    assert next(row.value for row in rows if (row.gauge, row.label) == ("depth", "live")) == 3


async def test_accounts_stand_as_they_are_stored(pool: Pool) -> None:
    """Breaker, pause, lease, quota of the vendor's day, dead letters by class, the nearest end of a token."""
    told = await _read(pool)
    assert told["breaker", "hubspot", "open"] == told["breaker", "salesforce", "half_open"] == 1
    assert (told["paused", "hubspot", ""], told["paused", "salesforce", ""]) == (1, 0)
    assert (told["held", "hubspot", ""], told["held", "salesforce", ""]) == (1, 0)
    assert (told["quota", "hubspot", "calls"], told["quota", "hubspot", "vendor_used"]) == (40, 70)
    assert (told["dead", "hubspot", "conflict"], told["dead", "hubspot", ""]) == (2, 1)
    assert told["expiry", "hubspot", "token"] == dt.datetime(2026, 12, 24, tzinfo=dt.UTC).timestamp()


async def test_an_operators_order_is_the_breakers_state(pool: Pool) -> None:
    """Held open by an order it is open, whatever the calls said; an order that has ended is none."""
    order = """update sync.connector_state set breaker = jsonb_build_object('forced', jsonb_build_object(
        'mode', 'open', 'until', (clock_timestamp() + $1::interval)::text)) where connector = 'salesforce'"""
    await pool.execute(order, dt.timedelta(minutes=5))
    assert ("breaker", "salesforce", "open") in await _read(pool)
    await pool.execute(order, dt.timedelta(minutes=-5))
    assert ("breaker", "salesforce", "closed") in await _read(pool)


async def test_the_audit_tells_what_waits_for_a_number(pool: Pool) -> None:
    """An entry that no process has numbered has an age; nothing is unsigned, as nothing is numbered."""
    told = await _read(pool)
    assert told["audit", "", "lag"] == pytest.approx(90, abs=5)
    assert (told["audit", "", "unsigned"], told["audit", "", "finding"]) == (0, 0)
    assert told["log", "", "lag"] == 0


async def test_every_number_that_is_read_becomes_a_series(pool: Pool) -> None:
    """What stands in the database is told, with accounts of all sorts; no part of the statement is without a gauge."""
    bench = Bench(PostgresGauges(pool))
    await bench.reader.read()
    key = ("acme", "hubspot")
    assert bench.told(names.ERASURES_OVERDUE)[key] == 0
    assert (bench.told(names.PAUSED)[key], bench.told(names.HELD)[key]) == (1, 1)
    assert bench.told(names.QUEUE_DEPTH)[*key, "live"] == 5
    assert bench.told(names.AUDIT_LAG)["acme",] == pytest.approx(90, abs=5)
    assert bench.told(names.STATE_READ)[()]
    text = queries.load("headwater.sync", "gauges.sql")["read_gauges"].text
    read = set(re.findall(r"select\s+'(\w+)'", text))
    assert {"depth", "parity_run", "erasures_overdue", "drift_time", "audit", "log"} <= read
    limits = {key: read_policy(SAMPLE_POLICY).document.connectors["hubspot"].limits}
    for gauge in read - {"quota", "audit", "log"}:
        told = gauges_of([GaugeRow(gauge, *key, "", 7.0)], limits)
        assert 7.0 in {value for series in told.values() for value in series.values()}


async def test_the_reading_walks_no_table(pool: Pool) -> None:
    """Every part can find its rows by key or at one end of an index: where tables are large, none is scanned."""
    text = queries.load("headwater.sync", "gauges.sql")["read_gauges"].text
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        rows = await connection.fetch(f"explain {text}", ["acme"], ["hubspot"], [DAY], 10)
    plan = "\n".join(row[0] for row in rows)
    for table in ("due", "delivery", "connector_state", "quota", "audit_checkpoint", "audit "):
        assert f"Seq Scan on {table}" not in plan


@dataclass
class Counted:
    """A store that counts how often it is read, and may be away."""

    rows: list[GaugeRow]
    reads: int = 0
    away: bool = False

    async def read(self, accounts: object, deliveries_max: int) -> list[GaugeRow]:
        """Return the rows."""
        del accounts, deliveries_max
        self.reads += 1
        if self.away:
            raise Unavailable("away")
        return self.rows


@dataclass
class Bench:
    """A reader over a store of made-up rows, and its time."""

    store: GaugeStore
    now_s: float = 0.0
    metrics: Metrics = field(default_factory=lambda: Metrics("sync"))

    def __post_init__(self) -> None:
        """Make the reader."""
        policies: Mapping[str, Any] = {"acme": read_policy(SAMPLE_POLICY).document}
        membership = Membership(NOTHING, lambda: self.now_s)
        self.reader = StateReader(
            self.store, lambda: policies, self.metrics, SystemClock(), membership, lambda: self.now_s
        )

    def told(self, metric: names.Metric) -> dict[tuple[str, ...], float | None]:
        """Return a gauge's series."""
        return {labels: one.value for labels, one in self.metrics.gauge(metric).series.items()}


async def test_several_scrapes_in_a_row_cost_one_statement() -> None:
    """What was read is kept; when it is too old the next scrape reads again."""
    store = Counted([])
    bench = Bench(store)
    await bench.reader.read()
    await bench.reader.read()
    assert store.reads == 1
    bench.now_s += 2.0
    await bench.reader.read()
    assert store.reads == 2


async def test_gauges_stay_and_grow_old_while_the_database_is_away() -> None:
    """What was known is told on, with the time when it was read."""
    store = Counted([GaugeRow("depth", "acme", "hubspot", "live", 7.0)])
    bench = Bench(store)
    await bench.reader.read()
    read_time = bench.told(names.STATE_READ)[()]
    bench.now_s, store.away = 2.0, True
    with pytest.raises(Unavailable):
        await bench.reader.read()
    assert bench.told(names.QUEUE_DEPTH)["acme", "hubspot", "live"] == 7.0
    assert bench.told(names.STATE_READ)[()] == read_time


async def test_quota_is_told_of_the_count_that_is_nearest_its_limit() -> None:
    """The vendor's own count of all its users, where that is nearer than ours."""
    rows = [GaugeRow("quota", "acme", "hubspot", label, value) for label, value in
            (("calls", 40.0), ("vendor_used", 70.0), ("vendor_limit", 100.0), ("ends", 5.0))]  # fmt: skip
    bench = Bench(Counted(rows))
    await bench.reader.read()
    key = ("acme", "hubspot")
    assert (bench.told(names.QUOTA_USED)[key], bench.told(names.QUOTA_LIMIT)[key]) == (70.0, 100.0)
    assert bench.told(names.QUOTA_ENDS)[key] == 5.0


async def test_states_that_an_account_is_not_in_are_zero() -> None:
    """One state of the breaker is 1, the others are told as 0; accounts of which nothing stands are closed and empty."""
    bench = Bench(Counted([GaugeRow("breaker", "acme", "hubspot", "open", 1.0)]))
    await bench.reader.read()
    told = bench.told(names.BREAKER)
    assert [told["acme", "hubspot", state] for state in ("closed", "open", "half_open")] == [0, 1, 0]
    assert bench.told(names.DEAD_LETTERS)["acme", "hubspot", "conflict"] == 0
