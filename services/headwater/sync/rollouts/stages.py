"""One step of a policy change whose values are staged: plan, tell the log, watch all accounts. One transaction.

An entity is under way once it was renewed under its policy of the stage, and settled once every account is known to
hold what that policy wants. What the log says is the truth throughout: a step decides by the event in force alone, so a
crash, a restart or another process goes on with the same entities.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.sharing import draw
from headwater.policy.staging import StagedText, read_staged
from headwater.sync.domain.approving import APPROVAL_WAITS
from headwater.sync.domain.foreseeing import supposed
from headwater.sync.domain.impact import NO_DELIVERY
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reaching import both, lacks, reached
from headwater.sync.domain.renewing import RenewalState, renew
from headwater.sync.domain.replaying import portion
from headwater.sync.domain.rollout import (
    ROLLBACK_STAGE,
    Fate,
    Rollout,
    RolloutState,
    Stage,
    aborted,
    admissible,
    advance,
    fate_of,
    going_back,
    hindered,
    look_again,
    stage_ends,
)
from headwater.sync.domain.settling import State
from headwater.sync.domain.staging import (
    NAMED_MAX,
    WHOLE,
    ends_all,
    follow_stages,
    joined,
    planned_stages,
    seed_of,
    share_of,
    spread,
)
from headwater.sync.domain.workbench import Standing
from headwater.sync.rollouts.ports import Member, StagingUnit

PAGE_ENTITIES: Final = 200
"""Entities that planning looks at in one transaction."""
_RENEWED: Final = frozenset({RenewalState.SETTLING, RenewalState.DONE})
_WATCHED: Final = frozenset({RolloutState.RUNNING, RolloutState.HELD, RolloutState.ROLLING_BACK})

ReadPolicy = Callable[[str], PolicyDocument]
Accounts = Mapping[str, ConnectorPolicy]


async def move_stages(unit: StagingUnit, read_policy: ReadPolicy, now: dt.datetime) -> None:
    """Take the rollout of *unit* one step further, and store how it stands."""
    following = follow_stages(unit.rollout, unit.change, await unit.in_force(), now)
    if following is None or following.ended:
        rollout = following or unit.rollout
    else:
        unit.rollout = following
        rollout = await _Step(unit, read_policy, now).taken()
    scanning = rollout.state is RolloutState.ROLLING_BACK and rollout.place != unit.rollout.place
    await unit.save(replace(rollout, next_time=now if scanning else look_again(rollout, now)))


class _Step:
    """A step of one rollout: what it reads and decides by."""

    def __init__(self, unit: StagingUnit, read_policy: ReadPolicy, now: dt.datetime) -> None:
        self._unit, self._now = unit, now
        self._former = read_policy(unit.change.former_text)
        self._new = read_policy(unit.change.new_text)
        self._names = tuple(name for name, _, _ in both(self._former, self._new))

    async def taken(self) -> Rollout:
        """Return the rollout after the step."""
        rollout = self._unit.rollout
        match rollout.state:
            case RolloutState.PLANNING:
                return await self._plan(rollout)
            case RolloutState.ROLLING_BACK:
                return await self._go_back(rollout)
            case _ if self._unit.change.wanted_stage == WHOLE:
                return rollout
            case RolloutState.RUNNING if self._unit.change.wanted_stage != rollout.stage.number:
                return await self._tell(rollout)
            case _:
                return await self._go_on(rollout)

    async def _plan(self, rollout: Rollout) -> Rollout:
        """Look at one more page of entities; after the last one choose those that are reached first."""
        unit, tenant_id = self._unit, rollout.tenant_id
        page = await unit.scan(self._names, PAGE_ENTITIES)
        workspace = Workspace({tenant_id: self._new})
        workspace.load(page.entities, page.members)
        renew(workspace, supposed(tenant_id, self._now))
        found = reached(self._former, self._new, workspace, page.standings, tenant_id)
        seed = seed_of(tenant_id, unit.change.former_digest, unit.change.new_digest)
        chosen = [item for item in found if not item.stuck]
        await unit.add([(item.entity_id, draw(seed, item.entity_id), item.kinds) for item in chosen])
        rollout = replace(
            rollout,
            place=page.entities[-1].entity_id if page.entities else rollout.place,
            scanned_count=rollout.scanned_count + len(page.entities),
            total_count=rollout.total_count + len(chosen),
        )
        if len(page.entities) == PAGE_ENTITIES:
            return rollout
        count = min(rollout.terms.records, NAMED_MAX)
        await unit.put_first(spread(await unit.candidates(count), count))
        return planned_stages(rollout, self._now)

    async def _tell(self, rollout: Rollout) -> Rollout:
        """Have the log told of the stage that begins; of nothing but the new policy, where it reaches nobody."""
        if not rollout.total_count:
            await self._unit.want(WHOLE, None)
            return rollout
        first = await self._unit.first()
        end = stage_ends(rollout.terms, rollout.total_count)[rollout.stage.number]
        last = None if end <= len(first) or ends_all(rollout) else await self._unit.last_draw(end)
        share = share_of(rollout, self._unit.change, first, last)
        staged = StagedText(share, self._unit.change.new_text)
        await self._unit.want(rollout.stage.number, staged.as_json())
        return rollout

    async def _go_on(self, rollout: Rollout) -> Rollout:
        renewal = await self._unit.renewal()
        if renewal is not None and renewal[0] is RenewalState.REFUSED:
            return aborted(rollout, f"the policy cannot be read: {renewal[2]}", self._now)
        rollout = await self._watch(rollout, self._accounts(back=False))
        after = advance(rollout, self._now)
        if after.state is RolloutState.DONE:
            await self._unit.want(WHOLE, None)
            return rollout
        after = hindered(after, await self._unit.finding(self._names), self._now)
        if renewal is None or after.state is not RolloutState.RUNNING:
            return after
        if after.stage.number != rollout.stage.number:  # the log is to be told of it first
            return after
        state, place, _ = renewal
        if state in _RENEWED:
            return await self._admit(after, None)
        return await self._admit(after, place) if ends_all(after) else after

    async def _go_back(self, rollout: Rollout) -> Rollout:
        """Once entities are renewed by the former policy: find what accounts hold otherwise, and wait for it."""
        unit = self._unit
        if rollout.planned:
            rollout = await self._watch(rollout, self._accounts(back=True))
            return await self._admit(advance(rollout, self._now), None)
        if unit.change.put_stage is None and unit.change.begin_time is None:
            return going_back(rollout, 0, self._now)
        renewal = await unit.renewal()
        if renewal is None or renewal[0] not in _RENEWED:
            return rollout
        if rollout.place == uuid.UUID(int=0):
            await unit.turn_back()
        page = await unit.scan(self._names, PAGE_ENTITIES)
        staged = read_staged(unit.change.staged)  # none once the policy was to be whole
        differ = {
            item.claimed.entity_id
            for name in self._names
            for item in page.standings[name]
            if (staged is None or staged.share.holds(item.claimed.entity_id))
            and item.delivery.state == State.DELIVERED
            and lacks(self._former.connectors[name], item)
        }
        await unit.go_back_with(sorted(differ))
        if len(page.entities) == PAGE_ENTITIES:
            return replace(rollout, place=page.entities[-1].entity_id)
        return going_back(rollout, await unit.count_planned(), self._now)

    def _accounts(self, *, back: bool) -> Accounts:
        """Return by which mappings entities under way are judged: all of them are under one policy."""
        document = self._former if back else self._new
        return {name: document.connectors[name] for name in self._names}

    async def _watch(self, rollout: Rollout, accounts: Accounts) -> Rollout:
        stage = rollout.stage
        soaked = rollout.soak_time is not None and rollout.soak_time <= self._now
        if rollout.state is RolloutState.SOAKING and soaked:
            fallen = await self._unit.relapsed(self._names)
            stage = stage.moved(Fate.DELIVERED, Fate.FAILED, fallen)
        elif rollout.state in _WATCHED and stage.under_way:
            stage = await self._judge(stage, accounts)
        return replace(rollout, stage=stage)

    async def _judge(self, stage: Stage, accounts: Accounts) -> Stage:
        members = {item.entity_id: item for item in await self._unit.open_members()}
        fates: dict[uuid.UUID, list[Fate]] = {entity_id: [] for entity_id in members}
        returned: set[uuid.UUID] = set()
        back = stage.number == ROLLBACK_STAGE
        for name, account in accounts.items():
            again = []
            for item in await self._unit.standing(name, list(members)):
                entity_id = item.claimed.entity_id
                fate = _fate(account, item, members[entity_id], back=back)
                if fate is None:
                    again.append(entity_id)
                    fate = Fate.OPEN
                fates[entity_id].append(fate)
            if again:
                await self._unit.make_due(name, again)
                returned.update(again)
        if returned:
            await self._unit.count_returns(sorted(returned))
        moves = {one: joined(held) for one, held in fates.items() if joined(held) is not members[one].fate}
        for entity_id, fate in moves.items():
            stage = stage.moved(members[entity_id].fate, fate)
        if moves:
            await self._unit.judge(moves)
        return stage

    async def _admit(self, rollout: Rollout, upto: uuid.UUID | None) -> Rollout:
        allowed = portion(rollout.terms.rate_per_s, rollout.rate_time, self._now)
        count = min(allowed.count, admissible(rollout))
        if not count:
            return rollout
        self._unit.rollout = rollout
        admitted = await self._unit.admit(count, upto, self._now)
        unused = (allowed.count - admitted) / rollout.terms.rate_per_s
        stage = rollout.stage.moved(Fate.PLANNED, Fate.OPEN, admitted)
        if admitted < count and upto is None:  # entities that are gone: nothing of the stage is left to admit
            stage = replace(stage, size=stage.admitted)
        return replace(rollout, stage=stage, rate_time=allowed.next_time - dt.timedelta(seconds=unused))


def _fate(account: ConnectorPolicy, item: Standing, member: Member, *, back: bool) -> Fate | None:
    """Return where an entity stands with an account; None: it has to be written once more."""
    state = item.delivery.state
    if state == NO_DELIVERY:
        return None if lacks(account, item) else Fate.DELIVERED
    wanted = state != State.DELIVERED or not lacks(account, item)
    asked = item.delivery.last_error.startswith(APPROVAL_WAITS)
    return fate_of(
        state, item.delivery.last_error_class, member.returns, as_wanted=wanted, back=back, asked=asked
    )
