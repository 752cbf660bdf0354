"""What is done about drift that is kept: repaired as the policy says, healed, or asked about. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from headwater.policy.reconciling import Reconcile, Repairs
from headwater.sync.domain.reconciling import Drift, DriftKind, Verdict

HEAL_S: Final = 30.0
"""How long a repair may take to show before it is tried again."""

Action = Literal["wait", "healed", "redeliver", "refetch", "recreate", "ask"]

ALLOWED: Final[Mapping[DriftKind, tuple[str, ...]]] = {
    DriftKind.FIELD: ("redeliver",),
    DriftKind.STALE: ("refetch", "redeliver"),
    DriftKind.CONTESTED: ("redeliver",),
    DriftKind.MISSING: ("recreate",),
    DriftKind.ENDED: ("refetch", "recreate"),
    DriftKind.UNRECORDED: ("refetch",),
    DriftKind.DOUBLE: (),
}
"""What an operator may order about each kind, beside accepting it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Drift as it is kept: how it stands, and what was ordered.

    Args:
        ordered: an operator's order; empty where the policy decides.
    """

    kind: DriftKind
    repairing: bool
    repair_count: int
    repair_time: dt.datetime | None
    ordered: str = ""


def policy_repair(repairs: Repairs, kind: DriftKind) -> Action:
    """Return what the policy does about a kind of drift."""
    if kind in {DriftKind.CONTESTED, DriftKind.DOUBLE}:
        return "ask"  # two who insist, or two records for one: nobody but a person knows
    chosen: Action = getattr(repairs, kind.value)
    return chosen


def action_of(
    section: Reconcile, kept: Kept, verdict: Verdict, now: dt.datetime, *, too_many_gone: bool
) -> tuple[Action, Drift | None]:
    """Return what to do about *kept*, now that its record was looked at again, and the drift that is there now.

    Args:
        too_many_gone: more of the object's records are gone than the policy takes for deletions.
    """
    if verdict.excluded is not None:
        return "wait", None
    drift = verdict.drift
    if drift is None or drift.kind is not kept.kind:
        return "healed", drift  # what is there now, if anything, is another drift
    if kept.repairing:
        since = kept.repair_time or now
        if now - since < dt.timedelta(seconds=HEAL_S):
            return "wait", drift
        if kept.repair_count >= section.repairs_max:
            return "ask", drift
    if kept.ordered:
        return kept.ordered, drift  # type: ignore[return-value]
    if too_many_gone and drift.kind in {DriftKind.MISSING, DriftKind.ENDED}:
        return "ask", drift
    return policy_repair(section.repairs, drift.kind), drift
