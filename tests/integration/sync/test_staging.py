"""A staged change of values on Postgres: stage by stage, over lost answers, back on errors, and never over another policy."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from tests.integration.sync.rolling import ACCOUNT, Stage, rolling
from tests.integration.sync.rolling import OLD as MAPPED
from tests.unit.sync.tenant import TENANT, key

from headwater.kernel.errors import PreconditionFailed
from headwater.policy.loading import policy_digest
from headwater.sync.domain.rollout import Rollout, RolloutState
from headwater.sync.rollouts.worker import RolloutWorker
from headwater.sync.store.renewals import PostgresRenewals
from headwater.sync.store.rollouts import PostgresRollouts
from headwater.sync.usecases.rollouts import Wish
from headwater.sync.versions.worker import RenewalSettings, RenewalWorker

pytestmark = pytest.mark.anyio

OWNED: Final = "first_name: {type: text, owners: [crm, site, mail], rule: most_recent}"
OLD: Final = MAPPED
NEW: Final = OLD.replace(
    OWNED, "first_name: {type: text, owners: [site, crm, mail], rule: source_priority}"
).replace('version: "7"', 'version: "8"')
THIRD: Final = OLD.replace('version: "7"', 'version: "9"')
TWENTY: Final = range(11, 31)
RENEWING: Final = RenewalSettings(page_entities=3, entities_per_s=1e9, settle_s=1.0)


@dataclass(slots=True)
class Staging:
    """Tables, script and workers."""

    stage: Stage
    renewing: RenewalWorker = field(init=False)

    def __post_init__(self) -> None:
        """Start a process."""
        self.restart()

    def restart(self) -> None:
        """Start a process anew."""
        stage = self.stage
        stage.worker = RolloutWorker(PostgresRollouts(stage.pool), stage.log, stage.time)
        self.renewing = RenewalWorker(PostgresRenewals(stage.pool), RENEWING, stage.time)

    async def contacts(self, *numbers: int) -> None:
        """Put contacts in whose newest name is Rob by crm, and whom site calls Robert; as *OLD* has it."""
        pool = self.stage.pool
        for number in numbers:
            await self.stage.add(number)
            for source, name, at in (("site", "Robert", 1), ("crm", "Rob", 2)):
                said = {
                    field: [value, at * 1_000_000, str(key(9000 + number))]
                    for field, value in (("email", f"a{number}@x.io"), ("first_name", name))
                }
                await pool.execute(
                    "insert into sync.record (tenant_id, object, source, external_id, entity_id, fields, deleted)"
                    " values ($1, 'contact', $2, $3, $4, $5, false)",
                    TENANT, source, f"{source}-{number}", key(number), said,
                )  # fmt: skip
            stated = str(key(9000 + number))
            fields = {
                "email": [f"a{number}@x.io", "source_priority", "crm", stated, 2_000_000],
                "first_name": ["Rob", "most_recent", "crm", stated, 2_000_000],
            }
            known = {"Email": f"a{number}@x.io", "FirstName": "Rob", "LastName": "unknown"}
            await pool.execute("update sync.entity set fields = $2 where entity_id = $1", key(number), fields)
            await pool.execute("update sync.delivery set known = $2 where entity_id = $1", key(number), known)
            self.stage.crm[number] = dict(known)

    async def step(self, seconds: float = 1.0) -> None:
        """Let time pass, and every worker do what is to be done."""
        await self.stage.step(seconds)
        for _ in range(8):
            await self.renewing.step()
            self.stage.clock.advance(0.02)
        await self.stage.deliver()

    async def until(self, rollout_id: uuid.UUID, state: RolloutState, steps_max: int = 60) -> Rollout:
        """Go on until the rollout stands so."""
        for _ in range(steps_max):
            if (found := await self.stage.read(rollout_id)).state is state:
                return found
            await self.step()
        raise AssertionError(f"still {found.state.name}: {found}")

    async def names(self) -> dict[str, int]:
        """Return each given name that entities show, and how many do."""
        rows = await self.stage.pool.fetch("select fields from sync.entity")
        return dict(Counter(row["fields"]["first_name"][0] for row in rows))

    def written(self) -> dict[str, int]:
        """Return each given name that the CRM holds, and in how many records."""
        return dict(Counter(record["FirstName"] for record in self.stage.crm.values()))

    async def in_force(self) -> tuple[str, str]:
        """Return the digests of the policy in force and of the one that is staged."""
        found = await self.stage.store.in_force(TENANT)
        return found.digest, found.staged.digest if found.staged else ""


@pytest.fixture
async def staging(migrated_database_url: str) -> AsyncIterator[Staging]:
    """Twenty contacts that the CRM holds as the old policy wants it."""
    async with rolling(migrated_database_url) as stage:
        staging = Staging(stage)
        await staging.contacts(*TWENTY)
        for _ in range(3):
            await staging.step(2.0)
        assert await staging.names() == staging.written() == {"Rob": 20}
        stage.calls.clear()
        yield staging


async def test_three_then_eight_then_all(staging: Staging) -> None:
    """Each stage renews and writes its own entities, and no other; the log tells each; an entity is written once."""
    stage = staging.stage
    rollout_id = await stage.begin(Wish(document=NEW))
    seen: list[dict[str, int]] = []
    for _ in range(60):
        await staging.step()
        assert await staging.names() == staging.written()
        if not seen or seen[-1] != staging.written():
            seen.append(staging.written())
        if (found := await stage.read(rollout_id)).ended:
            break
    assert found.state is RolloutState.DONE
    assert seen == [{"Rob": 20}, {"Rob": 17, "Robert": 3}, {"Rob": 12, "Robert": 8}, {"Robert": 20}]
    assert sorted(stage.calls) == list(TWENTY)
    assert await staging.in_force() == (policy_digest(NEW), "")
    stages = [request.rsplit(":", 1)[1] for request in stage.log.puts]
    assert stages == ["0", "1", "2", "100"]


async def test_a_restart_and_a_lost_answer_change_nothing(staging: Staging) -> None:
    """The log is asked again with the same request: each stage is in it once, with the same entities."""
    stage = staging.stage
    rollout_id = await stage.begin(Wish(document=NEW))
    for _ in range(12):
        stage.log.lose = True
        staging.restart()
        await staging.step()
    await staging.until(rollout_id, RolloutState.DONE)
    assert staging.written() == {"Robert": 20}
    assert sorted(stage.calls) == list(TWENTY)
    told = await stage.pool.fetch(
        "select staged from sync.policy_version where staged is not null order by seq"
    )
    assert [row["staged"]["stage"] for row in told] == [0, 1, 2]
    assert len({tuple(row["staged"]["entities"]) for row in told}) == 1


async def test_too_many_failures_take_it_back(staging: Staging) -> None:
    """What was written is written back, what failed too; the others were never touched."""
    stage = staging.stage
    stage.refuses = lambda number, fields: number % 2 == 0 and fields.get("FirstName") == "Robert"
    rollout_id = await stage.begin(Wish(document=NEW))
    found = await staging.until(rollout_id, RolloutState.ABORTED)
    assert "have failed" in found.reason
    assert await staging.names() == staging.written() == {"Rob": 20}
    assert await staging.in_force() == (policy_digest(OLD), "")
    reached = set(stage.calls)
    assert len(reached) <= 8, "no more than the second stage"
    states = await stage.pool.fetch("select state, count(*) from sync.delivery group by 1")
    assert {row["state"]: row["count"] for row in states} == {2: 20}
    told = await stage.pool.fetch(
        "select action from sync.audit where action like 'rollout%' order by audit_id"
    )
    assert [row["action"] for row in told][-2:] == ["rollout_rolling_back", "rollout_aborted"]


async def test_a_hold_stops_the_renewal_of_its_stage_too(staging: Staging) -> None:
    """Nobody else comes under the newer policy until it is approved."""
    stage = staging.stage
    rollout_id = await stage.begin(Wish(document=NEW))
    await staging.until(rollout_id, RolloutState.SOAKING)
    await stage.desk.approve(TENANT, rollout_id, "ann")
    for _ in range(3):  # the log is told of the next stage; its entities are not renewed yet
        await stage.step()
    assert (await stage.store.in_force(TENANT)).staged is not None
    await stage.desk.hold(TENANT, rollout_id, "ann")
    for _ in range(3):
        await staging.step()
    assert await staging.names() == staging.written() == {"Rob": 17, "Robert": 3}
    await stage.desk.approve(TENANT, rollout_id, "ann")
    await staging.until(rollout_id, RolloutState.DONE)
    assert staging.written() == {"Robert": 20}


async def test_another_policy_meanwhile_is_left_alone(staging: Staging) -> None:
    """The change ends; every entity is as the third policy wants it."""
    stage = staging.stage
    rollout_id = await stage.begin(Wish(document=NEW))
    await staging.until(rollout_id, RolloutState.SOAKING)
    assert staging.written()["Robert"] == 3
    await stage.log.enforce(THIRD)
    found = await staging.until(rollout_id, RolloutState.ABORTED)
    assert "another policy" in found.reason
    for _ in range(3):
        await staging.step(2.0)
    assert await staging.names() == staging.written() == {"Rob": 20}
    assert await staging.in_force() == (policy_digest(THIRD), "")


async def test_the_policy_before_put_back_by_hand_ends_it(staging: Staging) -> None:
    """As `policy rollback` does: the same way back as of an abort."""
    stage = staging.stage
    rollout_id = await stage.begin(Wish(document=NEW))
    await staging.until(rollout_id, RolloutState.SOAKING)
    await stage.log.enforce(OLD)
    found = await staging.until(rollout_id, RolloutState.ABORTED)
    assert "put back" in found.reason
    assert await staging.names() == staging.written() == {"Rob": 20}


async def test_what_a_mapping_alone_writes_is_staged_with_the_values(staging: Staging) -> None:
    """Of three entities first, and taken back by an abort before anything is in the log whole."""
    stage = staging.stage
    text = NEW.replace(
        "LastName: {field: last_name, default: unknown}", "LastName: {field: last_name, default: none}"
    )
    rollout_id = await stage.begin(Wish(document=text))
    await staging.until(rollout_id, RolloutState.SOAKING)
    names = Counter((one["FirstName"], one["LastName"]) for one in stage.crm.values())
    assert names == {("Robert", "none"): 3, ("Rob", "unknown"): 17}
    await stage.desk.abort(TENANT, rollout_id, "ann", "wrong")
    await staging.until(rollout_id, RolloutState.ABORTED)
    names = Counter((one["FirstName"], one["LastName"]) for one in stage.crm.values())
    assert names == {("Rob", "unknown"): 20}


async def test_a_policy_under_which_no_entity_differs_is_whole_at_once(staging: Staging) -> None:
    """One event, no stage."""
    stage = staging.stage
    text = OLD.replace("name: {type: text, owners: [site], rule: most_recent, required: true}",
                       "name: {type: text, owners: [site], rule: longest, required: true}")  # fmt: skip
    rollout_id = await stage.begin(Wish(document=text))
    await staging.until(rollout_id, RolloutState.DONE)
    assert await staging.in_force() == (policy_digest(text), "")
    assert len(stage.log.puts) == 1


async def test_one_account_alone_cannot_have_other_values(staging: Staging) -> None:
    """Values are of the entity: they concern all accounts."""
    with pytest.raises(PreconditionFailed) as refused:
        await staging.stage.begin(Wish(document=NEW, connector=ACCOUNT))
    assert refused.value.reason == "VALUES_CHANGE"
