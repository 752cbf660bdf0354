"""Rollouts as they begin, and as the audit hears of their steps, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.rollout import Rollout

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection

_SQL: Final = queries.load("headwater.sync", "rollout.sql")


async def start_rollouts(
    connection: Connection, rollouts: Sequence[Rollout], change: PolicyChange | None
) -> None:
    """Begin rollouts, those that were begun before left alone, and wake who works them off."""
    if change is not None:
        await connection.execute(
            _SQL["start_change"].text,
            change.tenant_id,
            change.change_id,
            change.former_text,
            change.former_digest,
            change.new_text,
            change.new_digest,
            change.actor,
            change.create_time,
            change.by_stages,
        )
    for item in rollouts:
        selection = item.selection
        begun = await connection.fetchval(
            _SQL["start_rollout"].text,
            item.tenant_id,
            item.rollout_id,
            item.connector,
            item.kind,
            selection.change_id,
            selection.object_name,
            dict(selection.where),
            selection.look_up,
            asdict(item.terms),
            item.next_time,
            item.actor,
            item.policy_version,
            list(item.acknowledged),
        )
        if begun is not None:
            await note_step(connection, None, item, item.actor)
    await connection.execute(_SQL["notify_rollouts"].text)


async def note_step(connection: Connection, before: Rollout | None, after: Rollout, actor: str) -> None:
    """Tell the audit of a step of a rollout."""
    rule = f"rollout {after.rollout_id}"
    state = {
        "field": "state",
        "before": before.state.name.lower() if before else None,
        "after": after.state.name.lower(),
        "rule": rule,
    }
    stage = {"field": "stage", "before": None, "after": after.stage.number + 1, "rule": rule}
    reason = {"field": "reason", "before": None, "after": after.reason, "rule": rule}
    seen = {"field": "acknowledged", "before": None, "after": list(after.acknowledged), "rule": rule}
    changes = [state, stage, *([reason] if after.reason else [])]
    if before is None and after.acknowledged:
        changes.append(seen)
    action = "rollout_started" if before is None else f"rollout_{after.state.name.lower()}"
    await connection.execute(
        _SQL["note_rollout"].text,
        after.tenant_id,
        after.connector,
        actor,
        after.policy_version,
        action,
        changes,
    )
