"""Enrichment on Postgres: who is asked, what is recorded and paid, and what a crash, a race or an outage leaves."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.enriching import Bench, benched
from tests.integration.sync.whole import until
from tests.unit.sync.enriched import POLICY
from tests.unit.sync.tenant import TENANT, key

from headwater.connectors.base import ErrorClass
from headwater.connectors.enriching_http import KIND as HTTP
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import PreconditionFailed, Unavailable
from headwater.policy.loading import load_policy
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.states import EntityState
from headwater.sync.enriching.host import EnrichmentHost
from headwater.sync.store.enrichment import want_entities
from headwater.sync.usecases.enrichment import EnrichmentView
from headwater.sync.wakeup import Wakeup

pytestmark = [pytest.mark.anyio]

ADDRESS = "ada@example.com"


@pytest.fixture
async def bench(migrated_database_url: str) -> AsyncIterator[Bench]:
    """A bench with scripted providers."""
    async with benched(migrated_database_url) as bench:
        yield bench


async def test_providers_are_asked_in_order_and_their_values_recorded(bench: Bench) -> None:
    """The second is asked for what the first lacks; each is told what the policy says; nothing is due after."""
    bench.kind.scripts = {
        "people": lambda _: {"title": "CTO"},
        "other": lambda _: {"job": "Boss", "city": "Leeds"},
    }
    await bench.want(1, email=ADDRESS, country="DE")
    await bench.work()
    assert bench.kind.asked == [
        ("local", {"country": "DE", "email": ADDRESS}),
        ("people", {"email": ADDRESS}),
        ("other", {"mail": ADDRESS, "place": "DE"}),
    ]
    assert bench.log.payloads() == [("people", {"title": "CTO"}), ("other", {"job": "Boss", "city": "Leeds"})]
    row = await bench.row()
    assert (row["seen_version"], row["tries"], row["told"]["people"]["fields"]) == (1, 0, ["title"])
    assert row["due_time"] > dt.datetime.now(dt.UTC) + dt.timedelta(days=89)
    notes = await bench.pool.fetch("select actor, changes from sync.audit where action = 'enrichment_asked'")
    assert {note["actor"]: note["changes"][0]["after"]["outcome"] for note in notes} == {
        "derived": "miss", "people": "hit", "other": "hit",
    }  # fmt: skip


async def test_the_change_that_an_answer_makes_asks_nobody_again(bench: Bench) -> None:
    """The entity comes by once more, with the values of the providers, and is settled without a call."""
    bench.kind.scripts["people"] = lambda _: {"title": "CTO", "city": "Leeds"}
    await bench.want(1, email=ADDRESS)
    await bench.work()
    asked = len(bench.kind.asked)
    await bench.want(1, version=2, email=ADDRESS)
    await bench.work()
    assert (len(bench.kind.asked), (await bench.row())["seen_version"]) == (asked, 2)


async def test_the_same_question_is_paid_once(bench: Bench) -> None:
    """Two entities with one address: the second is served by the kept answer."""
    bench.kind.scripts["people"] = lambda _: {"title": "CTO", "city": "Leeds"}
    for number in (1, 2):
        await bench.want(number, email=ADDRESS)
        await bench.work()
    used = await bench.usage("people")
    assert (used.calls, used.cost, used.hits, used.cached) == (1, 0.5, 2, 1)
    assert [item.external_id for item in bench.log.changes] == [f"entity:{key(1)}", f"entity:{key(2)}"]


async def test_a_budget_holds_exactly_and_the_next_provider_takes_over(bench: Bench) -> None:
    """A dozen entities at once: two calls fit into the day's cost of one, five into the other's calls; not one more."""
    bench.kind.scripts = {
        "people": lambda told: {"title": "CTO", "city": told["email"]},
        "other": lambda told: {"job": "Boss", "city": told["mail"]},
    }
    for number in range(1, 13):
        await bench.want(number, email=f"p{number}@example.com")
    await bench.work()
    people, other = await bench.usage("people"), await bench.usage("other")
    assert (people.calls, people.cost, people.refused) == (2, 1.0, 10)
    assert (other.calls, other.refused) == (5, 5)
    waiting = await bench.pool.fetchval("select count(*) from sync.enrichment where due_time::time = '00:00'")
    assert waiting == 5


async def test_a_crash_between_answer_and_log_pays_nothing_twice(bench: Bench) -> None:
    """Ingest is away: the entity stays due; a process begun anew records the same event without a call."""
    bench.kind.scripts["people"] = lambda _: {"title": "CTO", "city": "Leeds"}
    bench.log.away = True
    await bench.want(1, email=ADDRESS)
    with pytest.raises(Unavailable):
        await bench.work()
    kept = await bench.pool.fetchval(
        "select answer_time from sync.enrichment_answer where provider = 'people'"
    )
    bench.log.away = False
    await bench.work()
    used = await bench.usage("people")
    assert used.calls == 1
    assert [(item.source, item.event_time) for item in bench.log.changes] == [("people", kept)]


async def test_a_slow_or_failing_provider_gives_way_to_the_next(bench: Bench) -> None:
    """And is asked again later; one that was not served is not paid."""
    bench.kind.scripts = {"people": lambda _: ErrorClass.RATE_LIMIT, "other": lambda _: ErrorClass.TIMEOUT}
    await bench.want(1, email=ADDRESS)
    await bench.work()
    row = await bench.row()
    assert (row["told"]["people"]["outcome"], row["told"]["other"]["outcome"]) == ("limited", "timeout")
    assert row["tries"] == 1
    assert row["due_time"] <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    assert ((await bench.usage("people")).calls, (await bench.usage("other")).calls) == (0, 1)


async def test_an_open_breaker_is_remembered_by_the_next_process(bench: Bench) -> None:
    """Five failures open it; then nobody is called, also by who comes after."""
    bench.kind.scripts["people"] = lambda _: ErrorClass.SERVER
    text = POLICY.replace("budget_per_day: 1.0", "budget_per_day: 100").replace(
        "  retry_s", "  concurrency: 1\n  retry_s"
    )
    bench.policies.document = load_policy(text)
    for number in range(1, 9):
        await bench.want(number, email=f"p{number}@example.com")
    await bench.work()
    asked = [name for name, _ in bench.kind.asked].count("people")
    assert asked == 5
    await bench.want(9, email="p9@example.com")
    await bench.work()
    assert [name for name, _ in bench.kind.asked].count("people") == 5
    assert (await bench.row(9))["told"]["people"]["outcome"] == "open"
    _, providers = await EnrichmentView(bench.store, bench.policies, SystemClock()).status(TENANT)
    assert {item.name: item.breaker for item in providers}["people"] == "open"


async def test_what_is_wanted_meanwhile_stays_due(bench: Bench) -> None:
    """A change during a round is looked at in the next one."""
    bench.kind.scripts["people"] = lambda _: {"title": "CTO", "city": "Leeds"}
    await bench.want(1, email=ADDRESS)
    wanted = EntityState(TENANT, key(1), "contact", version=2)

    async def change() -> None:
        async with bench.pool.acquire() as connection:
            await want_entities(connection, [wanted])

    bench.kind.on_ask.append(change)
    await bench.tenant().step()
    row = await bench.row()
    assert (row["seen_version"], row["wanted_version"]) == (1, 2)
    assert row["due_time"] <= dt.datetime.now(dt.UTC)


async def test_who_has_lost_the_tenant_settles_nothing(bench: Bench) -> None:
    """The fence stands before everything that is kept of a round."""
    await bench.want(1, email=ADDRESS)
    await bench.pool.execute("update sync.lease set fence = fence + 1, holder = 'another'")
    with pytest.raises(FenceLost):
        await bench.work()
    assert (await bench.row())["seen_version"] == 0


async def test_a_process_takes_the_tenant_and_lets_it_go_with_the_policy(bench: Bench) -> None:
    """Work begins by itself once the lease is ours, and ends when the policy enriches no more."""
    await bench.parts.leases.release([bench.lease.name])
    await bench.want(1, email=ADDRESS)
    bell, held = Wakeup(), "select count(*) from sync.lease where name = $1 and expire_time > now()"

    async def seen() -> bool:
        bell.set()
        return bool((await bench.row())["seen_version"])

    async def let_go() -> bool:
        bell.set()
        return not await bench.pool.fetchval(held, bench.lease.name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.parts.membership.keep)
        tasks.start_soon(EnrichmentHost(bench.parts).run, bell)
        await until(seen, 10)
        bench.policies.document = load_policy(POLICY[: POLICY.index("enrichment:\n")])
        await until(let_go, 10)
        tasks.cancel_scope.cancel()


async def test_nobody_is_asked_while_the_log_is_projected_again(bench: Bench) -> None:
    """Entities that are half made would look as if their inputs had gone."""
    await bench.want(1, email=ADDRESS)
    await bench.pool.execute("insert into sync.rebuild (shard, xid, seq) values (0, 9, 9)")
    await bench.work()
    assert not bench.kind.asked
    await bench.pool.execute("delete from sync.rebuild")
    await bench.work()
    assert bench.kind.asked


async def test_operators_see_a_plan_order_a_round_and_read_the_ledger(bench: Bench) -> None:
    """A dry run changes nothing; an order asks everybody again, and is in the audit."""
    bench.kind.scripts["people"] = lambda _: {"title": "CTO", "city": "Leeds"}
    view = EnrichmentView(bench.store, bench.policies, SystemClock())
    await bench.want(1, email=ADDRESS)
    await bench.work()
    before = (await view.entity(TENANT, key(1))).plan
    assert {item.field: item.steps[0].standing for item in before if item.field in {"title", "domain"}} == {
        "title": "fresh", "domain": "fresh",
    }  # fmt: skip
    dry = await view.run(TENANT, key(1), "jo", dry=True)
    assert {step.standing for item in dry.plan for step in item.steps} == {"ask"}
    await bench.work()
    assert len(bench.kind.asked) == 2
    await view.run(TENANT, key(1), "jo", dry=False)
    await bench.work()
    assert [name for name, _ in bench.kind.asked] == ["local", "people"] * 2
    ledger = {item.provider: (item.calls, item.cost) for item in await view.budget(TENANT, 7)}
    assert ledger == {"local": (2, 0.0), "people": (2, 1.0)}
    spent = await view.run(TENANT, key(1), "jo", dry=True)
    assert {step.provider: step.standing for item in spent.plan for step in item.steps}["people"] == "budget"
    orders = await bench.pool.fetch("select actor from sync.audit where action = 'enrichment_ordered'")
    assert [row["actor"] for row in orders] == ["jo"]
    bench.policies.document = load_policy(POLICY[: POLICY.index("enrichment:\n")])
    with pytest.raises(PreconditionFailed, match="has no part"):
        await view.status(TENANT)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[SandboxProcess]:
    """The sandbox fleet, one of which is a provider."""
    process = SandboxProcess(tmp_path / "sandbox").start()
    try:
        yield process
    finally:
        process.client.close()
        process.stop()


async def test_the_http_kind_tells_the_providers_answers_apart(
    migrated_database_url: str, provider: SandboxProcess
) -> None:
    """Values, nothing known, too many, broken, too slow, and a key that is refused: each by what it is."""
    text = (
        POLICY.replace("https://people.example.com", f"{provider.url}/enrichment/{TENANT}")
        .replace("https://other.example.com", f"{provider.url}/enrichment/elsewhere")
        .replace("timeout_s: 1\n", "timeout_s: 0.4\n")
        .replace("budget_per_day: 1.0", "budget_per_day: 100")
    )
    faults = f"{provider.url}/_sandbox/enrichment/{TENANT}/faults"
    armed = {
        2: [],
        3: [{"kind": "storm_429", "retry_after_s": 0}],
        4: [{"kind": "error_5xx", "status": 500}],
        5: [{"kind": "latency_ms", "value_ms": 1_500}],
    }
    async with benched(migrated_database_url, text, HTTP) as bench:
        tenant = bench.tenant()
        await bench.want(1, email="ops@northwind.example.com")
        await bench.work(tenant)
        for number, plan in armed.items():
            provider.client.put(faults, json={"faults": plan}).raise_for_status()
            await bench.want(number, email=f"nobody{number}@unknown.example.com")
            await bench.work(tenant)
        await tenant.aclose()
        told = {number: (await bench.row(number))["told"] for number in range(1, 6)}
    assert bench.log.payloads() == [("people", {"city": "Leeds", "title": "Head of Operations"})]
    assert [told[number]["people"]["outcome"] for number in told] == [
        "hit",
        "miss",
        "limited",
        "failed",
        "timeout",
    ]
    assert (told[2]["other"]["outcome"], "UNAUTHORIZED" in told[2]["other"]["reason"]) == ("refused", True)
