"""What a failure means for a delivery: one pure table by error class, `TABLE`.

Each row says what happens next and, should the delivery end as a dead letter, what kind of person has to
look at it. Two tiers of pauses: a fast one for hiccups, then a slow one over hours, then the dead letter;
a policy may give a class pauses of its own, or give pauses to a class that has none here. Jitter is full and
drawn after the cap, so that clients at the cap do not march in step. What a vendor asks for (Retry-After) is
never undercut, and believed up to a bound.

A record that breaks our own contract never gets here: ingest keeps it in quarantine. A dead letter is a
delivery; its cause `data` says that the CRM refused the record and that a person has to correct it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headwater.connectors.base import ErrorClass, VendorError
from headwater.policy.account import Retry as RetryPolicy

RATE_LIMIT_PAUSE_S: Final = 10.0
"""Pause after a 429 that states none: the window of the vendors connected today."""
QUOTA_PAUSE_S: Final = 900.0
"""Pause when the daily allowance is gone and the vendor states no time."""


class Act(StrEnum):
    """What a class of errors leads to."""

    WAIT = "wait"
    """Pause as long as asked; nothing failed, so no try is used up."""
    BACK_OFF = "back_off"
    """Try again through both tiers, then the dead letter."""
    LOOK_UP = "look_up"
    """Ask the CRM before anything else; the try is used up, and the last look-up comes before the dead letter."""
    ADOPT = "adopt"
    """Take over the record that the vendor names, once; where it names none, the dead letter."""
    FORGET = "forget"
    """Forget the record that is gone and write anew, once; where none was known, the dead letter."""
    BURY = "bury"
    """No further try can help: the dead letter at once."""


class Cause(StrEnum):
    """What has to change before a dead letter can be delivered."""

    DATA = "data"
    """The record: a person corrects it in its source, or merges two records."""
    MAPPING = "mapping"
    """The policy: it sends what the vendor does not understand."""
    ACCESS = "access"
    """The account: its grant, scopes or permissions."""
    VENDOR = "vendor"
    """The vendor or the way to it: replay once it is well again."""
    DOUBT = "doubt"
    """Nobody knows whether the CRM holds it: a replay looks it up first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    act: Act
    cause: Cause


TABLE: Final[Mapping[ErrorClass, Rule]] = {
    # the account
    ErrorClass.AUTH: Rule(Act.BACK_OFF, Cause.ACCESS),  # a grant may be renewed within hours
    ErrorClass.PERMISSION: Rule(Act.BURY, Cause.ACCESS),
    # limits
    ErrorClass.RATE_LIMIT: Rule(Act.WAIT, Cause.VENDOR),
    ErrorClass.QUOTA: Rule(Act.WAIT, Cause.VENDOR),
    ErrorClass.HELD: Rule(Act.WAIT, Cause.VENDOR),  # our own breaker; it says when
    # certainly not applied
    ErrorClass.TIMEOUT: Rule(Act.BACK_OFF, Cause.VENDOR),
    ErrorClass.NETWORK: Rule(Act.BACK_OFF, Cause.VENDOR),
    ErrorClass.SERVER: Rule(Act.BACK_OFF, Cause.VENDOR),  # a look-up first where a repeat is not safe
    # nobody knows
    ErrorClass.IN_DOUBT: Rule(Act.LOOK_UP, Cause.DOUBT),
    ErrorClass.PARTIAL: Rule(Act.LOOK_UP, Cause.DOUBT),
    # the mapping
    ErrorClass.FORMAT: Rule(Act.BURY, Cause.MAPPING),
    # the record
    ErrorClass.VALIDATION: Rule(Act.BURY, Cause.DATA),
    ErrorClass.CONFLICT: Rule(Act.ADOPT, Cause.DATA),
    ErrorClass.CLAIMED: Rule(Act.BACK_OFF, Cause.DATA),  # values change hands, as after a merge
    ErrorClass.NOT_FOUND: Rule(Act.FORGET, Cause.DATA),
    ErrorClass.REFERENCE: Rule(Act.BACK_OFF, Cause.DATA),  # what it refers to may be on its way
}
"""Error class to what follows. Every class has a row."""

CLAIMED_TRIES: Final = 12
"""Tries more, each after the fast tier's longest pause, while whoever holds a value is about to let go."""

_PAUSES: Final = frozenset({Act.BACK_OFF, Act.LOOK_UP})
"""Acts that follow the two tiers unless the policy says otherwise."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Due again after a pause.

    Args:
        counts: whether this failure uses up one of the tries.
    """

    after_s: float
    counts: bool = True


@dataclass(frozen=True, slots=True)
class LookUp:
    """Nobody knows whether the write was applied: look before anything else. Uses up a try."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Adopt:
    """Another record of the CRM is this entity: write to that one."""

    crm_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The record we knew is gone from the CRM: forget its id and what it held, then write anew."""


@dataclass(frozen=True, slots=True)
class Bury:
    """No further try can help, or all are used up: the dead letter."""

    reason: str
    cause: Cause


Decision = TryAgain | LookUp | Adopt | Forget | Bury


def decide(
    error: VendorError,
    failure_count: int,
    policy: RetryPolicy,
    chance: random.Random,
    *,
    crm_id: str = "",
    repeat_safe: bool = True,
) -> Decision:
    """Return what follows from *error*.

    Args:
        failure_count: failures of this delivery that counted before this one, since its last success.
        crm_id: the CRM record that was written to; empty when none was known yet. A record is adopted
            once, and forgotten once: what comes back after that is a failure.
        repeat_safe: whether the vendor promises that a repeat of this write changes nothing; where it does
            not, a fault of the server leaves a doubt.
    """
    match _act(error.error_class, repeat_safe=repeat_safe):
        case Act.WAIT:
            return TryAgain(_pause(error, policy), counts=False)
        case Act.LOOK_UP:
            return _look_up(error, failure_count, policy, chance)
        case Act.ADOPT if error.existing_crm_id not in {"", crm_id}:
            return Adopt(error.existing_crm_id)
        case Act.FORGET if crm_id:
            return Forget()
        case _:
            return _back_off(error, failure_count, policy, chance)


def cause_of(error_class: ErrorClass) -> Cause:
    """Return what has to change before a dead letter of this class can be delivered."""
    return TABLE[error_class].cause


def steps_of(error_class: ErrorClass, policy: RetryPolicy) -> tuple[float, ...]:
    """Return the caps of the pauses between the tries of a class; empty: one try is all."""
    own = policy.by_class.get(error_class.value)
    if own is not None:
        return own.after_s
    if error_class is ErrorClass.CLAIMED:  # it takes as long as a delivery, never hours
        return (*policy.fast_s, *(policy.fast_s[-1:] * CLAIMED_TRIES))
    return (*policy.fast_s, *policy.slow_s) if TABLE[error_class].act in _PAUSES else ()


def is_spent(failure_count: int, policy: RetryPolicy) -> bool:
    """Return whether a write in doubt that turns out not to be applied has no try left."""
    return failure_count > len(steps_of(ErrorClass.IN_DOUBT, policy))


def _act(error_class: ErrorClass, *, repeat_safe: bool) -> Act:
    if error_class is ErrorClass.SERVER and not repeat_safe:
        return Act.LOOK_UP
    return TABLE[error_class].act


def _look_up(error: VendorError, failure_count: int, policy: RetryPolicy, chance: random.Random) -> LookUp:
    """Look up soon after the first loss, later after each further one, and once more when no try is left."""
    steps = steps_of(error.error_class, policy)
    spread_s = chance.uniform(0.0, steps[failure_count]) if failure_count < len(steps) else 0.0
    return LookUp(max(policy.in_doubt_s, spread_s, _wish_s(error, policy)))


def _back_off(error: VendorError, failure_count: int, policy: RetryPolicy, chance: random.Random) -> Decision:
    steps = steps_of(error.error_class, policy)
    name, cause = error.error_class.value, TABLE[error.error_class].cause
    if not steps:
        return Bury(name, cause)
    if failure_count >= len(steps):
        return Bury(f"{name}: all {len(steps)} retries used", cause)
    after_s = chance.uniform(0.0, steps[failure_count])
    return TryAgain(max(after_s, _wish_s(error, policy)))


def _pause(error: VendorError, policy: RetryPolicy) -> float:
    if error.retry_after_s is not None:
        return _wish_s(error, policy)
    steps = steps_of(error.error_class, policy)
    usual_s = QUOTA_PAUSE_S if error.error_class is ErrorClass.QUOTA else RATE_LIMIT_PAUSE_S
    return steps[0] if steps else usual_s


def _wish_s(error: VendorError, policy: RetryPolicy) -> float:
    """Return what the vendor asks for, 0 when it asks for nothing, never above what the policy believes."""
    return min(max(error.retry_after_s or 0.0, 0.0), policy.retry_after_s_max)
