r"""Rollouts: a change that reaches a few records, then more, then all, and stops by itself on errors. Pure.

    PLANNING -> RUNNING <-> SOAKING -> DONE
         \         \___ HELD ___/
          ABORTED <- ROLLING_BACK

A stage admits its records at a rate, waits until each is settled, soaks, and is followed by the next one. The
records of a rollout are drawn by a hash of entity and rollout, so a restart goes on with the same set.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

OPEN_MAX: Final = 500
"""Records of a rollout that are under way at most: those that wait hold the others up, instead of piling up."""
SAMPLE_MIN: Final = 20
"""Records of a stage that must have been tried before their share speaks for the whole stage."""
RETURNS_MAX: Final = 5
"""How often a record that is settled and still not as wanted is delivered again before it counts as failed."""
ROLLBACK_STAGE: Final = 99
"""Number of the stage that takes back what an aborted policy has written."""
LOOK_S: Final = 0.5
"""Pause between two looks at records under way."""
FINDING_S: Final = 3.0
"""How long a stage may stand while its account cannot be used: an older finding is cleared meanwhile."""
UNCOUNTED: Final = frozenset({"rate_limit", "quota", "held", "reference"})
"""Classes of errors that say nothing about the change: the record is only kept waiting."""


NOWHERE: Final = uuid.UUID(int=0)
"""Before every entity."""


class RolloutKind(IntEnum):
    """What is rolled out; numbers of rollouts.proto."""

    POLICY = 1
    REDELIVERY = 2
    VALUES = 3
    """A new policy of which values are staged, to all accounts at once: `staging`."""


class RolloutState(IntEnum):
    """Where a rollout stands; numbers of rollouts.proto."""

    PLANNING = 1
    RUNNING = 2
    SOAKING = 3
    HELD = 4
    DONE = 5
    ROLLING_BACK = 6
    ABORTED = 7


ENDED: Final = frozenset({RolloutState.DONE, RolloutState.ABORTED})


class Fate(IntEnum):
    """Where one record of a rollout stands; numbers of `sync.rollout_member.fate`."""

    PLANNED = 0
    OPEN = 1
    DELIVERED = 2
    FAILING = 3
    """Under way, and its last try failed."""
    FAILED = 4
    """Dead, or settled again and again without being as wanted."""
    LEFT = 5
    """Never admitted: it was under way or dead by itself, or the rollout ended before its turn."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a rollout goes.

    Args:
        records: of the first stage.
        ramp: records reached after each following stage, rising; then everything.
        error_share_max: share of failed records of a stage above which the rollout aborts itself.
        errors_min: failed records of a stage that it takes at least.
        soak_s: pause after the records of a stage are settled.
        approval: every stage ends held, until an operator approves.
    """

    records: int = 10
    ramp: tuple[int, ...] = (100, 1000)
    error_share_max: float = 0.05
    errors_min: int = 2
    soak_s: float = 60.0
    rate_per_s: float = 20.0
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage and what became of its records so far."""

    number: int
    size: int
    fates: Mapping[Fate, int] = field(default_factory=dict)
    begin_time: dt.datetime | None = None
    settle_time: dt.datetime | None = None

    def count(self, *fates: Fate) -> int:
        """Return how many records stand at one of *fates*."""
        return sum(self.fates.get(item, 0) for item in fates)

    @property
    def admitted(self) -> int:
        """Records that were made due, or passed over."""
        return self.count(*(item for item in Fate if item is not Fate.PLANNED))

    @property
    def under_way(self) -> int:
        """Records that are made due and not settled."""
        return self.count(Fate.OPEN, Fate.FAILING)

    @property
    def failed(self) -> int:
        """Records that failed, for good or so far."""
        return self.count(Fate.FAILING, Fate.FAILED)

    @property
    def tried(self) -> int:
        """Records that speak for or against the change."""
        return self.count(Fate.DELIVERED) + self.failed

    @property
    def settled(self) -> bool:
        """Whether nothing of the stage is left to wait for."""
        return self.admitted >= self.size and not self.under_way

    def moved(self, before: Fate, after: Fate, count: int = 1) -> Stage:
        """Return the stage after *count* records went from one fate to another."""
        fates = dict(self.fates)
        if before is not Fate.PLANNED:
            fates[before] = fates.get(before, 0) - count
        if after is not Fate.PLANNED:
            fates[after] = fates.get(after, 0) + count
        return replace(self, fates=fates)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a rollout is for.

    Args:
        change_id: of the policy change; None: the policy in force is delivered again.
        object_name, where: only entities of this object, with these values; empty for all.
        look_up: ask the CRM what it holds, record by record, before anything is written.
    """

    change_id: uuid.UUID | None = None
    object_name: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    look_up: bool = False


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout to one connector account, as it stands.

    Args:
        planned: the records of its course, forth or back, are all known.
        place: the entity that planning has looked at last.
        soak_time: when the soak of the stage ends.
        next_time: when the engine looks at it next.
        rate_time: when the next record may be admitted.
        reason: why it was held or aborted.
        acknowledged: what was found before it began, and was acknowledged.
    """

    tenant_id: str
    rollout_id: uuid.UUID
    connector: str
    kind: RolloutKind
    selection: Selection
    terms: Terms
    actor: str
    policy_version: str
    next_time: dt.datetime
    rate_time: dt.datetime
    state: RolloutState = RolloutState.PLANNING
    planned: bool = False
    place: uuid.UUID = NOWHERE
    scanned_count: int = 0
    total_count: int = 0
    stage: Stage = Stage(0, 0)
    soak_time: dt.datetime | None = None
    reason: str = ""
    acknowledged: tuple[str, ...] = ()
    create_time: dt.datetime | None = None
    update_time: dt.datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing of it will ever happen again."""
        return self.state in ENDED


def stage_ends(terms: Terms, total: int) -> tuple[int, ...]:
    """Return how many records are reached after each stage; the last one reaches all *total*."""
    steps = (terms.records, *terms.ramp)
    return (*(step for step in steps if step < total), total)


def stage_of(terms: Terms, total: int, number: int) -> Stage:
    """Return stage *number*, none of its records admitted yet."""
    ends = stage_ends(terms, total)
    return Stage(number, ends[number] - (ends[number - 1] if number else 0))


def exceeds(terms: Terms, stage: Stage) -> bool:
    """Return whether a stage fails too often for the rollout to go on.

    Either the failures are too many whatever the rest of the stage brings, or a sample of what was tried has
    too large a share of them. A single early failure of a large stage is neither.
    """
    if stage.failed < max(1, terms.errors_min):
        return False
    due = stage.size - stage.count(Fate.LEFT)
    certain = stage.failed > terms.error_share_max * due
    sampled = stage.tried >= SAMPLE_MIN and stage.failed > terms.error_share_max * stage.tried
    return certain or sampled


def planned(rollout: Rollout, now: dt.datetime) -> Rollout:
    """Return *rollout* once all its records are known: its first stage begins, or there is nothing to do."""
    if not rollout.total_count:
        return replace(rollout, planned=True, state=RolloutState.DONE, reason="no record differs")
    first = replace(stage_of(rollout.terms, rollout.total_count, 0), begin_time=now)
    return replace(rollout, planned=True, state=RolloutState.RUNNING, stage=first)


def going_back(rollout: Rollout, count: int, now: dt.datetime) -> Rollout:
    """Return *rollout* once it is known that *count* records were admitted and have to be taken back."""
    stage = Stage(ROLLBACK_STAGE, count, begin_time=rollout.stage.begin_time or now)
    return replace(rollout, planned=True, stage=stage)


def admissible(rollout: Rollout) -> int:
    """Return how many records may be made due now, rates aside."""
    if rollout.state not in {RolloutState.RUNNING, RolloutState.ROLLING_BACK} or not rollout.planned:
        return 0
    stage = rollout.stage
    return max(0, min(stage.size - stage.admitted, OPEN_MAX - stage.under_way))


def advance(rollout: Rollout, now: dt.datetime) -> Rollout:
    """Return *rollout* after all that is to be decided at *now*; the same when there is nothing."""
    match rollout.state:
        case RolloutState.RUNNING | RolloutState.SOAKING if exceeds(rollout.terms, rollout.stage):
            return aborted(rollout, _too_many(rollout), now)
        case RolloutState.RUNNING if rollout.stage.settled:
            until = now + dt.timedelta(seconds=rollout.terms.soak_s)
            stage = replace(rollout.stage, settle_time=now)
            return replace(rollout, state=RolloutState.SOAKING, stage=stage, soak_time=until)
        case RolloutState.SOAKING if rollout.soak_time is None or rollout.soak_time <= now:
            if rollout.terms.approval and not _is_last(rollout):
                return replace(rollout, state=RolloutState.HELD, reason="waits for approval")
            return _next_stage(rollout, now)
        case RolloutState.ROLLING_BACK if rollout.planned and rollout.stage.settled:
            stage = replace(rollout.stage, settle_time=now)
            return replace(rollout, state=RolloutState.ABORTED, stage=stage)
        case _:
            return rollout


def hindered(rollout: Rollout, finding: str, now: dt.datetime) -> Rollout:
    """Return *rollout* aborted where its account cannot be used: nothing fails then, and nothing moves.

    Args:
        finding: what keeps the account from being used; empty when nothing does.
    """
    begun = rollout.stage.begin_time
    if not finding or begun is None or now < begun + dt.timedelta(seconds=FINDING_S):
        return rollout
    if rollout.state is not RolloutState.RUNNING or not rollout.stage.under_way:
        return rollout
    return aborted(rollout, f"the account cannot be used: {finding}", now)


def approved(rollout: Rollout, now: dt.datetime) -> Rollout | None:
    """Return *rollout* after an operator let it go on: out of a hold, or past the soak; None: nothing to approve."""
    if rollout.state is RolloutState.SOAKING:
        return _next_stage(rollout, now)
    if rollout.state is not RolloutState.HELD:
        return None
    if not rollout.planned:
        return replace(rollout, state=RolloutState.PLANNING, reason="")
    if rollout.stage.settled and not exceeds(rollout.terms, rollout.stage):
        return _next_stage(rollout, now)
    return replace(rollout, state=RolloutState.RUNNING, reason="")


def held(rollout: Rollout, reason: str) -> Rollout | None:
    """Return *rollout* with nothing more admitted until an approval; None when there is nothing to hold."""
    if rollout.state in {RolloutState.PLANNING, RolloutState.RUNNING, RolloutState.SOAKING}:
        return replace(rollout, state=RolloutState.HELD, reason=reason, soak_time=None)
    return None


def aborted(rollout: Rollout, reason: str, now: dt.datetime) -> Rollout:
    """Return *rollout* on its way back, or at its end when there is nothing to take back.

    What a policy change has written is written back; a delivery of the policy in force has nothing to go back to.
    """
    if rollout.ended or rollout.state is RolloutState.ROLLING_BACK:
        return rollout
    if rollout.kind is RolloutKind.REDELIVERY:
        return replace(rollout, state=RolloutState.ABORTED, reason=reason)
    back = Stage(ROLLBACK_STAGE, 0, begin_time=now)
    return replace(
        rollout, state=RolloutState.ROLLING_BACK, planned=False, place=NOWHERE, reason=reason, stage=back,
        soak_time=None,
    )  # fmt: skip


def replaced(rollout: Rollout) -> Rollout:
    """Return *rollout* at its end because neither its policy nor the one before it is in force any more."""
    said = "another policy was put in force"
    reason = f"{rollout.reason}; {said}" if rollout.state is RolloutState.ROLLING_BACK else said
    return replace(rollout, state=RolloutState.ABORTED, reason=reason)


def fate_of(
    state: int, error_class: str, returns: int, *, as_wanted: bool, back: bool = False, asked: bool = False
) -> Fate | None:
    """Return where a record under way stands now; None: it was settled by an old mapping and has to go again.

    Args:
        state: of its delivery.
        error_class: of its last try; empty when that was good.
        returns: how often it had to go again so far.
        as_wanted: whether the CRM is known to hold what the rollout wants.
        asked: whether a held one waits for a person: its stage waits, too.
        back: whether what was written is taken back: a try that was under way by then may still have ended dead.
    """
    match state:
        case 2 if as_wanted:
            return Fate.DELIVERED
        case 2:
            return Fate.FAILED if returns >= RETURNS_MAX else None
        case 5 if back and returns < RETURNS_MAX:
            return None
        case 5 | 6:
            return Fate.FAILED
        case 7:  # what consent holds is none of the rollout's
            return Fate.OPEN if asked else Fate.LEFT
        case _:
            return Fate.FAILING if error_class and error_class not in UNCOUNTED else Fate.OPEN


def look_again(rollout: Rollout, now: dt.datetime) -> dt.datetime:
    """Return when the engine has to look at *rollout* next."""
    if rollout.state is RolloutState.PLANNING:
        return now
    soon = now + dt.timedelta(seconds=LOOK_S)
    if rollout.state is RolloutState.SOAKING and rollout.soak_time is not None:
        return max(now, min(rollout.soak_time, now + dt.timedelta(seconds=10 * LOOK_S)))
    return soon


def _next_stage(rollout: Rollout, now: dt.datetime) -> Rollout:
    if _is_last(rollout):
        return replace(rollout, state=RolloutState.DONE, reason="", soak_time=None)
    following = stage_of(rollout.terms, rollout.total_count, rollout.stage.number + 1)
    stage = replace(following, begin_time=now)
    return replace(rollout, state=RolloutState.RUNNING, stage=stage, reason="", soak_time=None)


def _is_last(rollout: Rollout) -> bool:
    return rollout.stage.number + 1 >= len(stage_ends(rollout.terms, rollout.total_count))


def _too_many(rollout: Rollout) -> str:
    stage = rollout.stage
    return (
        f"stage {stage.number + 1}: {stage.failed} of {stage.tried} records tried have failed, "
        f"more than {rollout.terms.error_share_max:.1%} of {stage.size}"
    )
