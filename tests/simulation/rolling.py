"""Rollouts in a simulation: what an operator asks for, the log that takes policies, and what must hold of the course."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.chance import named_uuid
from tests.simulation.policies import policy_of
from tests.simulation.store.link import Link
from tests.simulation.store.rollouts import MemoryRollout, start_rollout

from headwater.policy.document import PolicyDocument
from headwater.policy.loading import policy_digest
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.impact import Impact, terms_of
from headwater.sync.domain.rollout import (
    ROLLBACK_STAGE,
    Fate,
    Rollout,
    RolloutKind,
    RolloutState,
    Selection,
    stage_ends,
)
from headwater.sync.domain.settling import State
from headwater.sync.rollouts.ports import PolicyLog, RolloutStore
from headwater.sync.rollouts.worker import RolloutWorker

if TYPE_CHECKING:
    from tests.simulation.plan import Fault
    from tests.simulation.world import World

GOOD: Final = "Grade"
"""CRM field of a policy that the CRM takes."""
BAD: Final = "Bad"
"""CRM field of a policy that it refuses for ever."""
SCANNED_MAX: Final = 1000
NEAR_S: Final = 0.3
"""How much later than it was decided a step is seen."""


class SimulatedPolicyLog:
    """Port `PolicyLog`: a policy is in force once it is taken; the same request again changes nothing."""

    def __init__(self, world: World, link: Link) -> None:
        self._world = world
        self._link = link

    async def put(
        self,
        tenant_id: str,
        text: str,
        *,
        request_id: str,
        actor: str,
        event_time: dt.datetime,
        staged: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a policy in force."""
        del actor, event_time
        assert staged is None
        await self._link.call("put_policy", lambda: self._put(tenant_id, text, request_id), may_race=False)

    def _put(self, tenant_id: str, text: str, request_id: str) -> None:
        taken = self._world.tables.rolling.put
        if (tenant_id, request_id) not in taken:
            taken.add((tenant_id, request_id))
            self._world.put_policy(tenant_id, text)


class SimulatedRolloutWorker(RolloutWorker):
    """Reads policies as JSON: reading YAML has no part in what is simulated."""

    def __init__(self, store: RolloutStore, policies: PolicyLog) -> None:
        super().__init__(store, policies)
        self._known: dict[str, PolicyDocument] = {}

    def _read(self, text: str) -> PolicyDocument:
        if text not in self._known:
            self._known[text] = read_policy(text)
        return self._known[text]


def read_policy(text: str) -> PolicyDocument:
    """Return the policy that *text* states."""
    return PolicyDocument.model_validate_json(text)


def written(document: dict[str, Any]) -> str:
    """Return *document* as text."""
    return json.dumps(document, sort_keys=True)


def begin_rollout(world: World, fault: Fault) -> None:
    """As an operator: look at what a new mapping would do, then roll it out."""
    account = next(item for item in world.plan.accounts if item.crm == fault.target)
    held = world.tables.rolling
    document = policy_of(world.plan, account.tenant, world.policy_version + 1)
    contact = document["connectors"][account.name]["objects"]["contact"][0]
    contact["fields"] = {**contact["fields"], fault.what: {"default": "gold"}}
    former, new = held.texts[account.tenant], written(world.parts.document(document))
    now, number = world.now(), named_uuid(world.plan.seed, "rollout")
    change = PolicyChange(
        account.tenant, number, former, policy_digest(former), new, policy_digest(new), "user:operator", now
    )
    policy, selection = read_policy(new), Selection(change_id=number)
    rollout = Rollout(
        account.tenant, number, account.name, RolloutKind.POLICY, selection, terms_of(policy), "user:operator",
        policy.version, now, now,
    )  # fmt: skip
    impact, unit = Impact(account.name), MemoryRollout(world.tables, rollout)
    connector = policy.connectors[account.name]
    impact.add(connector, selection, unit.scanned(sorted(connector.written), SCANNED_MAX))
    world.forecast = impact.records
    start_rollout(world.tables, rollout, change)


def rollout_violations(world: World) -> Iterator[str]:
    """Yield what a rollout did that it must not: too many records, too early, no end, a way back that ends nowhere."""
    held = world.tables.rolling
    for key, rollout in held.rollouts.items():
        bad = any(fault.what == BAD for fault in world.plan.faults if fault.kind == "rollout")
        wanted = RolloutState.ABORTED if bad else RolloutState.DONE
        if rollout.state is not wanted:
            yield f"rollout {rollout.connector} ended {rollout.state.name}, not {wanted.name}: {rollout.reason}"
        if rollout.total_count != world.forecast:
            yield f"rollout {rollout.connector}: {rollout.total_count} records, {world.forecast} in the dry run"
        change = held.changes[(key[0], rollout.selection.change_id or key[1])]
        in_force = change.former_digest if bad else change.new_digest
        if policy_digest(held.texts[key[0]]) != in_force:
            yield f"rollout {rollout.connector}: the policy in force is another one"
        yield from _stages(world, rollout)
        yield from _in_crm(world, rollout, bad=bad)


def _stages(world: World, rollout: Rollout) -> Iterator[str]:
    """No stage admits more than its records, nor begins before the one before it is settled and has soaked."""
    held, terms = world.tables.rolling, rollout.terms
    ends = stage_ends(terms, rollout.total_count)
    soaks = {item.stage.number: time for time, item in held.steps if item.state is RolloutState.SOAKING}
    times: dict[int, list[dt.datetime]] = {}
    for time, _, stage in held.admitted:
        times.setdefault(stage, []).append(time)
    for stage, begun in times.items():
        if stage == ROLLBACK_STAGE:
            continue
        size = ends[stage] - (ends[stage - 1] if stage else 0)
        if len(begun) > size:
            yield f"stage {stage} admitted {len(begun)} of {size} records"
        if stage and (stage - 1 not in soaks or _seconds(begun[0], soaks[stage - 1]) < terms.soak_s - NEAR_S):
            yield f"stage {stage} began before the one before had soaked"
        for first, time in enumerate(begun):
            for count, end in enumerate(begun[first:], start=1):
                if count > (_seconds(end, time) + 1 + NEAR_S) * terms.rate_per_s + 1:
                    yield f"stage {stage} admitted {count} records in {_seconds(end, time):.3f} s"
                    return


def _seconds(later: dt.datetime, earlier: dt.datetime) -> float:
    return (later - earlier).total_seconds()


def _in_crm(world: World, rollout: Rollout, *, bad: bool) -> Iterator[str]:
    crm = world.crms[f"{rollout.tenant_id}-{rollout.connector}"]
    members = world.tables.rolling.members[(rollout.tenant_id, rollout.rollout_id)]
    reached = {
        write.external_id
        for arrival in crm.arrivals
        for write in arrival.request.writes
        if BAD in write.fields or GOOD in write.fields
    }
    if bad and len(reached) > rollout.terms.records:
        yield f"{crm.name}: a refused policy reached {len(reached)} records, {rollout.terms.records} are the first stage"
    if bad:
        dead = [row for row in world.tables.account((rollout.tenant_id, rollout.connector)).values()
                if row.state is not State.DELIVERED]  # fmt: skip
        if dead:
            yield f"{crm.name}: {len(dead)} deliveries were left behind by an aborted rollout"
        return
    shown = {record.external_id for record in crm.records.values() if record.fields.get(GOOD) == "gold"}
    missing = [key for key, row in members.items() if row.fate is Fate.DELIVERED and str(key) not in shown]
    if missing or not members:
        yield f"{crm.name}: {len(missing)} of {len(members)} records lack what was rolled out"
