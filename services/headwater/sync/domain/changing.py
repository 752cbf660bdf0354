"""A policy change that comes with a rollout: when it goes into the log, and when it is taken back. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from headwater.sync.domain.rollout import Rollout, RolloutKind, RolloutState, aborted, replaced


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A new policy and the one before it.

    Args:
        begin_time: the new one may be in the log since then; None: it is not.
        apply_time: it is in the log.
        end_time: an abort is through with it: the former one is in force, or (*replaced*) a third one.
        by_stages: its values are staged (`staging`): the log is told each stage.
        wanted_stage: that the log is to be told next, by an event that says *staged*.
        put_stage: that the log was told.
        aborting: its rollout goes back.
    """

    tenant_id: str
    change_id: uuid.UUID
    former_text: str
    former_digest: str
    new_text: str
    new_digest: str
    actor: str
    create_time: dt.datetime
    begin_time: dt.datetime | None = None
    apply_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    replaced: bool = False
    by_stages: bool = False
    wanted_stage: int | None = None
    staged: Mapping[str, Any] | None = None
    put_stage: int | None = None
    aborting: bool = False


WayBack = Literal["put_back", "is_back", "leave"]


def way_back(change: PolicyChange, digest: str) -> WayBack:
    """Return what an abort does with the policy in force, which has *digest*.

    A third policy that somebody has put in force meanwhile is left alone.
    """
    if digest == change.new_digest:
        return "put_back"
    return "is_back" if digest == change.former_digest else "leave"


def follow_policy(
    rollout: Rollout, change: PolicyChange | None, digest: str, now: dt.datetime
) -> Rollout | None:
    """Return *rollout* as the policy in force lets it stand; None when it has to wait for its policy.

    Args:
        digest: of the policy in force.
    """
    if rollout.kind is RolloutKind.REDELIVERY or change is None or rollout.ended:
        return rollout
    if rollout.state is RolloutState.ROLLING_BACK:
        if change.end_time is None:
            return None
        stays = not change.replaced and digest == change.former_digest
        return rollout if stays or change.begin_time is None else replaced(rollout)
    if change.end_time is not None:
        return aborted(rollout, "the rollout to another account was aborted", now)
    if change.apply_time is None:
        return None
    if digest == change.new_digest:
        return rollout
    if digest == change.former_digest:
        return aborted(rollout, "the policy before was put back", now)
    return replaced(rollout)
