"""How rollouts look in their tables. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.rollout import Fate, Rollout, RolloutKind, RolloutState, Selection, Stage, Terms


def read_rollout(row: Any) -> Rollout:
    """Return a row of `sync.rollout`, joined with its present stage."""
    selection = Selection(row["change_id"], row["object"], row["conditions"], row["look_up"])
    return Rollout(
        tenant_id=row["tenant_id"],
        rollout_id=row["rollout_id"],
        connector=row["connector"],
        kind=RolloutKind(row["kind"]),
        selection=selection,
        terms=_terms(row["terms"]),
        actor=row["actor"],
        policy_version=row["policy_version"],
        next_time=row["next_time"],
        rate_time=row["rate_time"],
        state=RolloutState(row["state"]),
        planned=row["planned"],
        place=row["place_entity_id"],
        scanned_count=row["scanned_count"],
        total_count=row["total_count"],
        stage=Stage(row["stage"], 0) if row["size"] is None else read_stage(row),
        soak_time=row["soak_time"],
        reason=row["reason"],
        acknowledged=tuple(row["acknowledged"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


def rollout_row(rollout: Rollout) -> tuple[Any, ...]:
    """Return what of a rollout changes, in the order of `save_rollout`."""
    return (
        rollout.state,
        rollout.planned,
        rollout.place,
        rollout.scanned_count,
        rollout.total_count,
        rollout.stage.number,
        rollout.soak_time,
        rollout.next_time,
        rollout.rate_time,
        rollout.reason,
        asdict(rollout.terms),
    )


def read_stage(row: Any) -> Stage:
    """Return a row of `sync.rollout_stage`."""
    return Stage(
        row["stage"],
        row["size"],
        {
            Fate.OPEN: row["open_count"],
            Fate.DELIVERED: row["delivered_count"],
            Fate.FAILING: row["failing_count"],
            Fate.FAILED: row["failed_count"],
            Fate.LEFT: row["left_count"],
        },
        row["begin_time"],
        row["settle_time"],
    )


def stage_row(stage: Stage) -> tuple[Any, ...]:
    """Return a stage in the order of `save_stage`."""
    fates = (Fate.OPEN, Fate.DELIVERED, Fate.FAILING, Fate.FAILED, Fate.LEFT)
    return (
        stage.number,
        stage.size,
        *(stage.count(fate) for fate in fates),
        stage.begin_time,
        stage.settle_time,
    )


def read_change(row: Any) -> PolicyChange:
    """Return a row of `sync.policy_change`."""
    return PolicyChange(**dict(row))


def _terms(stored: dict[str, Any]) -> Terms:
    return Terms(**{**stored, "ramp": tuple(stored["ramp"])})
