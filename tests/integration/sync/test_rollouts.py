"""Rollouts on Postgres: stage by stage, the same records after a restart, stopped and taken back on errors."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from tests.integration.sync.rolling import ACCOUNT, NEW, OLD, THIRD, Stage, rolling
from tests.unit.sync.tenant import TENANT, key

from headwater.connectors.base import Automation, AutomationKind, WriteConditions
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.domain.rollout import Fate, RolloutState
from headwater.sync.rollouts.worker import RolloutWorker
from headwater.sync.store.rollouts import PostgresRollouts
from headwater.sync.usecases.rollouts import Wish

pytestmark = pytest.mark.anyio

TABLES = (
    "sync.entity", "sync.delivery", "sync.due", "sync.attempt", "sync.audit", "sync.rollout",
    "sync.rollout_member", "sync.policy_change", "ingest.policy",
)  # fmt: skip


@pytest.fixture
async def stage(migrated_database_url: str) -> AsyncIterator[Stage]:
    """A stage with an empty account."""
    async with rolling(migrated_database_url) as stage:
        yield stage


async def contents(stage: Stage) -> dict[str, list[Any]]:
    """Return every row of the tables that a rollout could touch."""
    return {
        table: [tuple(row) for row in await stage.pool.fetch(f"select * from {table} order by 1, 2, 3")]  # noqa: S608
        for table in TABLES
    }


async def test_a_dry_run_shows_the_diff_and_changes_nothing(stage: Stage) -> None:
    """Field by field what would be written, how many records and calls, and not one row is another."""
    await stage.add(*range(1, 21))
    await stage.add(30, state=5)
    before = await contents(stage)
    (forecast,) = await stage.desk.preview(TENANT, Wish(document=NEW))
    assert await contents(stage) == before
    impact = forecast.impact
    assert (impact.connector, impact.records, impact.scanned, impact.under_way) == (ACCOUNT, 20, 21, 1)
    assert impact.fields == {"Contact.Title": 20}
    assert impact.samples[0].changes == (
        {"field": "Title", "before": "CTO", "after": "cto", "rule": "minimal_patch"},
    )
    assert (forecast.calls, forecast.ends) == (1, (3, 8, 20))
    assert forecast.quota_share == pytest.approx(1 / 15000)


async def test_a_policy_reaches_a_few_records_then_more_then_all(stage: Stage) -> None:
    """Each stage waits until its records are settled and has soaked; every record is as wanted at the end."""
    await stage.add(*range(1, 21))
    rollout_id = await stage.begin()
    sizes: list[int] = []
    for ending in (3, 8):
        await stage.until(rollout_id, RolloutState.SOAKING)
        assert stage.titles() == {"cto": ending, "CTO": 20 - ending}
        await stage.step(9.0)
        sizes.append((await stage.read(rollout_id)).stage.size)
        assert stage.titles()["cto"] == ending, "nothing more while it soaks"
        await stage.step(2.0)
    done = await stage.run(rollout_id)
    assert (done.state, sizes, stage.titles()) == (RolloutState.DONE, [3, 5], {"cto": 20})
    assert sorted(stage.calls) == list(range(1, 21)), "each record once"
    stages = await stage.store.stages(TENANT, rollout_id)
    assert [(item.size, item.count(Fate.DELIVERED)) for item in stages] == [(3, 3), (5, 5), (12, 12)]


async def test_a_restart_in_the_middle_of_a_stage_goes_on_with_the_same_records(stage: Stage) -> None:
    """Another process takes the stage over: no record is admitted twice, and none beyond the stage."""
    await stage.add(*range(1, 31))
    await stage.log.enforce(slow := OLD.replace("rate_per_s: 1000", "rate_per_s: 1"))
    rollout_id = await stage.begin(Wish(document=slow.replace("transform: upper", "transform: lower")))
    await stage.step(0.0)
    await stage.step(1.0)
    admitted = await admitted_records(stage, rollout_id)
    assert 1 <= len(admitted) < 3
    stage.worker = RolloutWorker(stage.store, stage.log, stage.time)
    await stage.until(rollout_id, RolloutState.SOAKING)
    after = await admitted_records(stage, rollout_id)
    assert admitted < after
    assert len(after) == 3
    assert {key(number) for number in stage.calls} == after
    assert len(stage.calls) == 3


async def test_two_processes_admit_no_record_beyond_a_stage(stage: Stage) -> None:
    """Both look at the same moment: one works the rollout off, the other finds nothing to do."""
    await stage.add(*range(1, 31))
    rollout_id = await stage.begin()
    others = [RolloutWorker(PostgresRollouts(stage.pool), stage.log, stage.time) for _ in range(3)]
    await stage.step(0.0)
    for _ in range(3):
        stage.clock.advance(1.0)
        async with anyio.create_task_group() as tasks:
            for worker in others:
                tasks.start_soon(worker.step)
    found = (await stage.read(rollout_id)).stage
    assert len(await admitted_records(stage, rollout_id)) == found.admitted == found.size == 3


async def admitted_records(stage: Stage, rollout_id: uuid.UUID) -> set[uuid.UUID]:
    """Return the records that were made due."""
    rows = await stage.pool.fetch(
        "select entity_id from sync.rollout_member where rollout_id = $1 and stage is not null", rollout_id
    )
    return {row["entity_id"] for row in rows}


async def test_a_stage_that_fails_too_often_aborts_and_takes_everything_back(stage: Stage) -> None:
    """The policy before is in force again, what was written is written back, and the rest was never touched."""
    await stage.add(*range(1, 31))
    stage.refuses = lambda number, fields: fields.get("Title") == "cto" and number % 2 == 0
    rollout_id = await stage.begin()
    aborted = await stage.run(rollout_id)
    assert aborted.state is RolloutState.ABORTED
    assert "have failed" in aborted.reason
    assert await stage.store.text_in_force(TENANT) == OLD
    assert list(stage.log.puts.values()) == [NEW, OLD]
    assert stage.titles() == {"CTO": 30}
    states = await stage.pool.fetch("select distinct state from sync.delivery")
    assert [row["state"] for row in states] == [2], "records that died of the new policy live again"
    assert len(set(stage.calls)) <= 8, "no record beyond the stages begun"
    actions = await stage.pool.fetch(
        "select action from sync.audit where action like 'rollout%' order by audit_id"
    )
    assert [row["action"] for row in actions][-2:] == ["rollout_rolling_back", "rollout_aborted"]


async def test_a_record_that_an_old_process_settled_goes_again(stage: Stage) -> None:
    """Settled is not enough: a record that is not as the new policy wants it is delivered once more."""
    await stage.add(*range(1, 4))
    rollout_id = await stage.begin()
    await stage.step(0.0)
    await stage.step(1.0)
    await stage.deliver(OLD)
    await stage.step(1.0)
    assert (await stage.read(rollout_id)).state is RolloutState.RUNNING
    assert stage.titles() == {"CTO": 3}
    assert (await stage.run(rollout_id)).state is RolloutState.DONE
    assert stage.titles() == {"cto": 3}


async def test_a_record_that_never_becomes_as_wanted_fails(stage: Stage) -> None:
    """A process that keeps to an old mapping does not keep the rollout going round for ever."""
    await stage.add(*range(1, 4))
    rollout_id = await stage.begin()
    for _ in range(12):
        await stage.step(1.0)
        await stage.deliver(OLD)
    assert (await stage.read(rollout_id)).state in {RolloutState.ROLLING_BACK, RolloutState.ABORTED}


async def test_a_lost_answer_of_the_log_changes_nothing(stage: Stage) -> None:
    """The policy may be in force and the worker not know it: it asks again, and the log has it once."""
    await stage.add(1)
    stage.log.lose = True
    rollout_id = await stage.begin()
    await stage.worker.step()
    assert (await stage.read(rollout_id)).state is RolloutState.PLANNING
    assert (await stage.run(rollout_id)).state is RolloutState.DONE
    assert len(stage.log.puts) == 1


async def test_an_abort_while_the_policy_is_on_its_way_takes_it_back(stage: Stage) -> None:
    """The answer got lost, the operator gives up: the policy is seen through and the one before put back."""
    await stage.add(1)
    stage.log.lose = True
    rollout_id = await stage.begin()
    await stage.worker.step()
    assert (await stage.read(rollout_id)).state is RolloutState.PLANNING
    await stage.desk.abort(TENANT, rollout_id, "ann", "second thoughts")
    assert (await stage.run(rollout_id)).state is RolloutState.ABORTED
    assert await stage.store.text_in_force(TENANT) == OLD
    assert stage.titles() == {"CTO": 1}


async def test_an_abort_before_the_policy_was_sent_sends_none(stage: Stage) -> None:
    """Nothing is in force that would have to be taken back."""
    await stage.add(1)
    rollout_id = await stage.begin()
    await stage.desk.abort(TENANT, rollout_id, "ann", "")
    assert (await stage.run(rollout_id)).state is RolloutState.ABORTED
    assert stage.log.puts == {}


async def test_a_third_policy_ends_a_rollout_and_is_left_alone(stage: Stage) -> None:
    """Somebody else decided since: the rollout neither goes on nor puts its own former policy back."""
    await stage.add(*range(1, 21))
    rollout_id = await stage.begin()
    await stage.until(rollout_id, RolloutState.SOAKING)
    await stage.log.enforce(THIRD)
    ended = await stage.run(rollout_id)
    assert (ended.state, ended.reason) == (RolloutState.ABORTED, "another policy was put in force")
    assert await stage.store.text_in_force(TENANT) == THIRD


async def test_an_abort_at_one_account_takes_back_what_the_others_are_through_with(stage: Stage) -> None:
    """One policy, two accounts: it is in force for both or for none, and so is what it wrote."""
    await stage.add(1)
    fields = {"email": "a1@x.io", "title": "Cto", "plan": "pro"}
    packed = {name: [value, "rule", "site", str(key(9)), 1] for name, value in fields.items()}
    await stage.pool.execute("update sync.entity set fields = $1", packed)
    both = NEW.replace(
        "plan: [pro]}, fields: {email: {field: email}}", "plan: [pro]}, fields: {email: {field: title}}"
    )
    await stage.pool.execute(
        "insert into sync.delivery (tenant_id, connector, entity_id, object, state, desired_version, delivered_version,"
        " crm_object, crm_id, known, event_key, dirty_time) select tenant_id, 'hubspot', entity_id, object, 2, 1, 1,"
        " 'contacts', '7', $1, event_key, dirty_time from sync.delivery",
        {"email": "a1@x.io"},
    )
    begun = await stage.desk.start(TENANT, uuid.uuid4(), Wish(document=both), "ann")
    ids = {item.connector: item.rollout_id for item in begun}
    assert set(ids) == {ACCOUNT, "hubspot"}
    assert (await stage.run(ids[ACCOUNT])).state is RolloutState.DONE
    assert stage.crm[1]["Title"] == "cto"
    stage.refuses = lambda _number, written: written.get("email") == "Cto"
    for _ in range(12):
        await stage.deliver(account="hubspot")
        await stage.step(1.0)
        await stage.deliver()
    assert [(await stage.read(item)).state for item in ids.values()] == [RolloutState.ABORTED] * 2
    assert await stage.store.text_in_force(TENANT) == OLD
    assert stage.crm[1]["Title"] == "CTO"


async def test_a_held_rollout_waits_for_approval(stage: Stage) -> None:
    """An operator's hold admits nothing more, however long; an approval goes on with the next stage."""
    await stage.add(*range(1, 21))
    rollout_id = await stage.begin()
    await stage.until(rollout_id, RolloutState.SOAKING)
    await stage.desk.hold(TENANT, rollout_id, "ann")
    for _ in range(5):
        await stage.step(60.0)
        await stage.deliver()
    assert stage.titles()["cto"] == 3
    assert (await stage.desk.approve(TENANT, rollout_id, "ann")).stage.size == 5
    assert (await stage.run(rollout_id)).state is RolloutState.DONE


async def test_a_redelivery_asks_the_crm_first_and_heals_what_drifted(stage: Stage) -> None:
    """Somebody changed a record in the CRM: it is compared and put right, the others are not written."""
    await stage.add(*range(1, 13))
    stage.crm[7]["Title"] = "Intern"
    rollout_id = await stage.begin(Wish(connector=ACCOUNT, object_name="contact", look_up=True))
    assert (await stage.run(rollout_id)).state is RolloutState.DONE
    assert (stage.calls, stage.titles()) == ([7], {"CTO": 12})


async def test_a_redelivery_reaches_the_selected_records_alone(stage: Stage) -> None:
    """A condition on a canonical field narrows the set."""
    await stage.add(*range(1, 13))
    wish = Wish(connector=ACCOUNT, where={"email": "a4@x.io"}, look_up=True)
    done = await stage.run(await stage.begin(wish))
    assert (done.state, done.total_count) == (RolloutState.DONE, 1)


async def test_live_changes_go_their_own_way(stage: Stage) -> None:
    """What is under way when its turn comes is watched, what failed by itself is left out."""
    await stage.add(1, 2)
    rollout_id = await stage.begin()
    await stage.step(0.0)
    await stage.pool.execute("update sync.delivery set state = 5 where entity_id = $1", key(1))
    await stage.step(1.0)
    stage_now = (await stage.read(rollout_id)).stage
    assert (stage_now.count(Fate.LEFT), stage_now.count(Fate.OPEN)) in {(1, 1), (0, 2)}
    assert (await stage.run(rollout_id)).state in {RolloutState.DONE, RolloutState.ABORTED}


async def test_new_entities_of_a_wider_mapping_are_created(stage: Stage) -> None:
    """Entities that went nowhere before and are mapped now get a delivery of their own."""
    await stage.add(1)
    await stage.pool.execute("delete from sync.delivery")
    rollout_id = await stage.begin()
    assert (await stage.run(rollout_id)).state is RolloutState.DONE
    held = await stage.pool.fetchrow("select state, crm_id, desired_version from sync.delivery")
    assert held is not None
    assert tuple(held) == (2, "0031", 1)


async def test_an_account_has_one_rollout_at_a_time(stage: Stage) -> None:
    """A second one is refused; the same order again returns the first."""
    await stage.add(1)
    request_id = uuid.uuid4()
    first = await stage.desk.start(TENANT, request_id, Wish(document=NEW), "ann")
    assert await stage.desk.start(TENANT, request_id, Wish(document=NEW), "ann") == first
    with pytest.raises(PreconditionFailed, match="under way"):
        await stage.begin(Wish(connector=ACCOUNT, look_up=True))


async def test_a_policy_without_another_mapping_needs_no_rollout(stage: Stage) -> None:
    """Said plainly, in place of a rollout of nothing."""
    with pytest.raises(PreconditionFailed, match="no account's mapping changes"):
        await stage.desk.preview(TENANT, Wish(document=OLD.replace('version: "7"', 'version: "8"')))
    with pytest.raises(NotFound, match="no connector"):
        await stage.desk.preview(TENANT, Wish(connector="nowhere"))


def found(*names: str, required: tuple[str, ...] = ()) -> Inspection:
    """Return what an account tells whose people have automated contacts."""
    flows = tuple(Automation(AutomationKind.FLOW, name) for name in names)
    return Inspection({"Contact": WriteConditions(flows, required)})


async def test_a_dry_run_shows_automations_and_fields_that_nothing_fills(stage: Stage) -> None:
    """With the name by which each is acknowledged; every object that is written is asked about."""
    await stage.add(1)
    stage.inspections.told[ACCOUNT] = found("Welcome", required=("LastName", "Region__c"))
    wish = Wish(document=NEW, acknowledged=frozenset({"Region__c"}))
    (forecast,) = await stage.desk.preview(TENANT, wish)
    assert [item.label for item in forecast.findings] == [
        "flow Contact: Welcome", "required field Contact: Region__c",
    ]  # fmt: skip
    assert [item.name for item in forecast.unacknowledged] == ["Welcome"]
    assert "Contact" in stage.inspections.asked[0][ACCOUNT]


async def test_a_rollout_does_not_begin_before_every_finding_is_acknowledged(stage: Stage) -> None:
    """One of two is not enough; nothing is stored of a refused one."""
    await stage.add(1)
    stage.inspections.told[ACCOUNT] = found("Welcome", "Territory")
    wish = Wish(document=NEW, acknowledged=frozenset({"Welcome"}))
    with pytest.raises(PreconditionFailed) as caught:
        await stage.desk.start(TENANT, uuid.uuid4(), wish, "operator-1")
    assert caught.value.reason == "FINDINGS_OPEN"
    assert "flow Contact: Territory" in caught.value.message
    assert "Welcome" not in caught.value.message
    assert await stage.pool.fetchval("select count(*) from sync.rollout") == 0


async def test_what_was_acknowledged_is_kept_and_stands_in_the_audit(stage: Stage) -> None:
    """Who began it in spite of what, a year later."""
    await stage.add(1)
    stage.inspections.told[ACCOUNT] = found("Welcome")
    wish = Wish(document=NEW, acknowledged=frozenset({"Welcome", "gone since"}))
    (begun,) = await stage.desk.start(TENANT, uuid.uuid4(), wish, "operator-1")
    assert begun.acknowledged == ("flow Contact: Welcome",)
    row = await stage.pool.fetchrow("select actor, changes from sync.audit where action = 'rollout_started'")
    assert row is not None
    assert (row["actor"], row["changes"][-1]["field"], row["changes"][-1]["after"]) == (
        "operator-1", "acknowledged", ["flow Contact: Welcome"],
    )  # fmt: skip


async def test_an_account_that_cannot_be_asked_must_be_acknowledged_too(stage: Stage) -> None:
    """Silence is no permission; an operator may say that it is accepted."""
    await stage.add(1)
    stage.inspections.told[ACCOUNT] = Inspection(hindrance="PERMISSION: no scope automation")
    with pytest.raises(PreconditionFailed, match="no scope automation"):
        await stage.desk.start(TENANT, uuid.uuid4(), Wish(document=NEW), "operator-1")
    wish = Wish(document=NEW, acknowledged=frozenset({"unchecked"}))
    (begun,) = await stage.desk.start(TENANT, uuid.uuid4(), wish, "operator-1")
    assert begun.acknowledged == ("unchecked",)


async def test_an_order_sent_again_is_not_asked_again(stage: Stage) -> None:
    """An automation that was switched on meanwhile does not turn a begun rollout into an error."""
    await stage.add(1)
    request_id = uuid.uuid4()
    (begun,) = await stage.desk.start(TENANT, request_id, Wish(document=NEW), "operator-1")
    stage.inspections.told[ACCOUNT] = found("Welcome")
    (again,) = await stage.desk.start(TENANT, request_id, Wish(document=NEW), "operator-1")
    assert again.rollout_id == begun.rollout_id
