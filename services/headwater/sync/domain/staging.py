"""A policy change whose values are staged: how its course follows the log, and whom each stage holds for. Pure.

The log tells every stage by an event of its own: the policy before, and the newer one with whom it holds for. So the
policy of an entity at any place of the log is a function of the log alone. The rollout decides when the next stage is
due, the worker puts it into the log, entities are renewed by the event as by any other version, and the rollout watches
what becomes of their deliveries to all accounts.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headwater.policy.document import PolicyDocument
from headwater.policy.sharing import DRAW_MAX, NONE_DRAWN, Share
from headwater.policy.staging import StagedText
from headwater.sync.domain.changing import PolicyChange, WayBack
from headwater.sync.domain.rollout import (
    Fate,
    Rollout,
    RolloutKind,
    RolloutState,
    Stage,
    aborted,
    approved,
    planned,
    replaced,
)

WHOLE: Final = 100
"""Number of the stage by which the newer policy holds for everybody, alone in its event."""
NAMED_MAX: Final = 100
"""Entities of the first stage that are chosen one by one, and named in the log."""
_NAMESPACE: Final = uuid.UUID("0f6d2f0c-6c3e-5f52-8f0e-5b1f7a3f4d11")
_DECIDING: Final = ("objects", "systems", "override", "roles", "consent", "routing")
_WORST: Final = (Fate.FAILED, Fate.FAILING, Fate.OPEN, Fate.DELIVERED, Fate.LEFT)


@dataclass(frozen=True, slots=True)
class InForce:
    """The newest policy event of a tenant.

    Args:
        text, digest: the policy, or, while a change is staged, the one before it.
        staged: that change at its present stage.
    """

    text: str
    digest: str
    staged: StagedText | None = None

    @property
    def change_id(self) -> uuid.UUID | None:
        """The change that is staged; None as a rule."""
        return None if self.staged is None else self.staged.share.change_id

    def plainly(self, digest: str) -> bool:
        """Say whether one policy holds for everybody, and has *digest*."""
        return self.staged is None and self.digest == digest


def alters_values(before: PolicyDocument, after: PolicyDocument) -> bool:
    """Return whether entities may show other values under *after*: then a change is staged as a whole."""
    return any(getattr(before, name) != getattr(after, name) for name in _DECIDING)


def seed_of(tenant_id: str, former_digest: str, new_digest: str) -> uuid.UUID:
    """Return by what the entities of a change are drawn: the same for a dry run and for the change itself."""
    return uuid.uuid5(_NAMESPACE, f"{tenant_id}/{former_digest}/{new_digest}")


def spread(candidates: Iterable[tuple[str, int, uuid.UUID]], count: int) -> tuple[uuid.UUID, ...]:
    """Return the first *count* entities of a change: of every kind of change in turn the next that is drawn.

    Args:
        candidates: kind of change, place in the draw, entity; an entity once for each of its kinds.
    """
    by_kind: dict[str, list[tuple[int, uuid.UUID]]] = {}
    for kind, place, entity_id in candidates:
        by_kind.setdefault(kind, []).append((place, entity_id))
    lines = [iter(sorted(by_kind[kind])) for kind in sorted(by_kind)]
    found: dict[uuid.UUID, None] = {}
    while lines and len(found) < count:
        left = []
        for line in lines:
            fresh = next((one for _, one in line if one not in found), None)
            if fresh is not None:
                left.append(line)
                if len(found) < count:
                    found[fresh] = None
        lines = left
    return tuple(found)


def share_of(
    rollout: Rollout, change: PolicyChange, first: Sequence[uuid.UUID], last_draw: int | None
) -> Share:
    """Return whom the present stage of *rollout* holds for.

    Args:
        first: those that were chosen for the first stage.
        last_draw: place of the last entity of the stage; None: the stage has no others than *first*.
    """
    stage, seed = rollout.stage, seed_of(change.tenant_id, change.former_digest, change.new_digest)
    last = ends_all(rollout)
    upto = DRAW_MAX if last else NONE_DRAWN if last_draw is None else last_draw
    return Share(
        change.change_id, stage.number, seed, upto, frozenset(first), rate_per_s=rollout.terms.rate_per_s
    )


def ends_all(rollout: Rollout) -> bool:
    """Return whether the present stage reaches everybody."""
    terms, number = rollout.terms, rollout.stage.number
    return number >= sum(step < rollout.total_count for step in (terms.records, *terms.ramp))


def planned_stages(rollout: Rollout, now: dt.datetime) -> Rollout:
    """Return *rollout* once all its records are known; without any the policy can be whole at once."""
    if rollout.total_count:
        return planned(rollout, now)
    return replace(rollout, planned=True, state=RolloutState.RUNNING, stage=Stage(0, 0, begin_time=now))


def approved_stages(rollout: Rollout, now: dt.datetime) -> Rollout | None:
    """As `approved`; the last stage is not over before the log has told that the policy is whole."""
    after = approved(rollout, now)
    if after is None or rollout.kind is not RolloutKind.VALUES or after.state is not RolloutState.DONE:
        return after
    return replace(rollout, state=RolloutState.SOAKING, soak_time=now, reason="")


def may_put(change: PolicyChange, in_force: InForce) -> bool:
    """Return whether the wanted stage may go into the log: nobody has put another policy there meanwhile."""
    if in_force.change_id == change.change_id:
        return True
    if change.wanted_stage == WHOLE and in_force.plainly(change.new_digest):
        return True
    return change.put_stage is None and in_force.plainly(change.former_digest)


def way_back_of_stages(change: PolicyChange, in_force: InForce) -> WayBack:
    """Return what an abort does with the policy in force; a third one is left alone."""
    if in_force.change_id == change.change_id or in_force.plainly(change.new_digest):
        return "put_back"
    return "is_back" if in_force.plainly(change.former_digest) else "leave"


def follow_stages(
    rollout: Rollout, change: PolicyChange, in_force: InForce, now: dt.datetime
) -> Rollout | None:
    """Return *rollout* as the log lets it stand; None when it has to wait for an event of its own."""
    former = in_force.plainly(change.former_digest)
    if rollout.ended:
        return rollout
    if rollout.state is RolloutState.ROLLING_BACK:
        if change.end_time is None:
            return None
        stays = former and not change.replaced
        return rollout if stays or change.begin_time is None else replaced(rollout)
    if in_force.plainly(change.new_digest):
        reason = "" if change.wanted_stage == WHOLE else "the new policy was put in force for everybody"
        return replace(rollout, state=RolloutState.DONE, reason=reason, soak_time=None)
    if former and change.put_stage is not None:
        return aborted(rollout, "the policy before was put back", now)
    if in_force.change_id == change.change_id or former:
        return None if change.wanted_stage != change.put_stage else rollout
    return replaced(rollout)


def joined(fates: Iterable[Fate]) -> Fate:
    """Return where an entity stands that stands so with each of its accounts; delivered where it has none."""
    return min(fates, key=_WORST.index, default=Fate.DELIVERED)
