"""One step of one rollout: look at what is under way, decide, admit the next records. One transaction.

What counts is what the CRM is known to hold: a record that was settled by a process with an older policy is found
not to be as wanted, and goes again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.loading import policy_digest
from headwater.policy.sharing import draw
from headwater.sync.domain.approving import APPROVAL_WAITS
from headwater.sync.domain.changing import follow_policy
from headwater.sync.domain.impact import as_wanted, selected
from headwater.sync.domain.replaying import portion
from headwater.sync.domain.rollout import (
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
    planned,
)
from headwater.sync.rollouts.ports import Member, RolloutUnit

PAGE_RECORDS: Final = 500
"""Entities that planning looks at in one transaction."""
_WATCHED: Final = frozenset({RolloutState.RUNNING, RolloutState.HELD, RolloutState.ROLLING_BACK})

ReadPolicy = Callable[[str], PolicyDocument]


async def move_on(unit: RolloutUnit, read_policy: ReadPolicy, now: dt.datetime) -> None:
    """Take the rollout of *unit* one step further, and store how it stands."""
    text = await unit.policy_in_force()
    following = follow_policy(unit.rollout, unit.change, policy_digest(text), now)
    if following is None or following.ended:
        rollout = following or unit.rollout
    else:
        account = read_policy(text).connectors.get(following.connector) if text else None
        rollout = await _step(unit, account, following, now)
    await unit.save(replace(rollout, next_time=look_again(rollout, now)))


async def _step(
    unit: RolloutUnit, account: ConnectorPolicy | None, rollout: Rollout, now: dt.datetime
) -> Rollout:
    if rollout.state is RolloutState.ROLLING_BACK and not rollout.planned:
        rollout = going_back(rollout, await unit.turn_back(), now)
    if account is None:
        gone = "the policy in force does not name the account"
        back = rollout.state is RolloutState.ROLLING_BACK
        return (
            replace(rollout, state=RolloutState.ABORTED, reason=gone) if back else aborted(rollout, gone, now)
        )
    if rollout.state is RolloutState.PLANNING:
        return await _plan(unit, account, rollout, now)
    rollout = await _watch(unit, account, rollout, now)
    rollout = hindered(advance(rollout, now), await unit.finding(), now)
    return await _admit(unit, rollout, now)


async def _plan(unit: RolloutUnit, account: ConnectorPolicy, rollout: Rollout, now: dt.datetime) -> Rollout:
    """Look at one more page of the account's records."""
    page = await unit.scan(sorted(account.written), PAGE_RECORDS)
    chosen = [item.claimed.entity_id for item in page if selected(account, rollout.selection, item)]
    if chosen:
        await unit.add({entity_id: draw(rollout.rollout_id, entity_id) for entity_id in chosen})
    rollout = replace(
        rollout,
        place=page[-1].claimed.entity_id if page else rollout.place,
        scanned_count=rollout.scanned_count + len(page),
        total_count=rollout.total_count + len(chosen),
    )
    return rollout if len(page) == PAGE_RECORDS else planned(rollout, now)


async def _watch(unit: RolloutUnit, account: ConnectorPolicy, rollout: Rollout, now: dt.datetime) -> Rollout:
    stage = rollout.stage
    if rollout.state is RolloutState.SOAKING and rollout.soak_time is not None and rollout.soak_time <= now:
        stage = stage.moved(Fate.DELIVERED, Fate.FAILED, await unit.relapsed(stage.number))
    elif rollout.state in _WATCHED and stage.under_way:
        back = rollout.state is RolloutState.ROLLING_BACK
        stage = await _judge(unit, account, stage, back=back)
    return replace(rollout, stage=stage)


async def _judge(unit: RolloutUnit, account: ConnectorPolicy, stage: Stage, *, back: bool) -> Stage:
    members = {member.entity_id: member for member in await unit.open_members()}
    moves: dict[uuid.UUID, Fate] = {}
    again: list[uuid.UUID] = []
    for item in await unit.standing(list(members)):
        member = members.pop(item.claimed.entity_id)
        wanted = item.delivery.state != 2 or as_wanted(account, item)  # noqa: PLR2004 - delivered
        fate = fate_of(
            item.delivery.state, item.delivery.last_error_class, member.returns, as_wanted=wanted, back=back,
            asked=item.delivery.last_error.startswith(APPROVAL_WAITS),
        )  # fmt: skip
        if fate is None:
            again.append(member.entity_id)
            fate = Fate.OPEN
        stage = _move(stage, moves, member, fate)
    for member in members.values():  # the delivery is gone
        stage = _move(stage, moves, member, Fate.LEFT)
    if moves:
        await unit.judge(moves)
    if again:
        await unit.send_again(again)
    return stage


def _move(stage: Stage, moves: dict[uuid.UUID, Fate], member: Member, fate: Fate) -> Stage:
    if fate is member.fate:
        return stage
    moves[member.entity_id] = fate
    return stage.moved(member.fate, fate)


async def _admit(unit: RolloutUnit, rollout: Rollout, now: dt.datetime) -> Rollout:
    allowed = portion(rollout.terms.rate_per_s, rollout.rate_time, now)
    count = min(allowed.count, admissible(rollout))
    if not count:
        return rollout
    back = rollout.state is RolloutState.ROLLING_BACK
    number = rollout.stage.number
    open_count, left_count = await unit.admit(number, count, back=back, now=now)
    unused = (allowed.count - count) / rollout.terms.rate_per_s
    stage = rollout.stage.moved(Fate.PLANNED, Fate.OPEN, open_count)
    stage = stage.moved(Fate.PLANNED, Fate.LEFT, left_count)
    if open_count + left_count < count:  # entities that are gone: nothing of the stage is left to admit
        stage = replace(stage, size=stage.admitted)
    return replace(rollout, stage=stage, rate_time=allowed.next_time - dt.timedelta(seconds=unused))
