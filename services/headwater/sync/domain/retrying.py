"""What a failure means for a delivery: one pure table by error class.

Two tiers: a fast one for hiccups, then a slow one over hours, then the dead letter. Jitter is full
and drawn after the cap, so that clients at the cap do not march in step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from headwater.connectors.base import ErrorClass, VendorError
from headwater.policy.document import Retry as RetryPolicy

RATE_LIMIT_PAUSE_S: Final = 10.0
"""Pause after a 429 that states none: the window of the vendors connected today."""
QUOTA_PAUSE_S: Final = 900.0
"""Pause when the daily allowance is gone and the vendor states no time."""


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
    """Nobody knows whether the write was applied: look before anything else."""

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


Decision = TryAgain | LookUp | Adopt | Forget | Bury


def decide(
    error: VendorError, failure_count: int, policy: RetryPolicy, chance: random.Random, *, crm_id: str = ""
) -> Decision:
    """Return what follows from *error*.

    Args:
        failure_count: failures of this delivery that counted before this one, since its last success.
        crm_id: the CRM record that was written to; empty when none was known yet. A record is adopted
            once, and forgotten once: what comes back after that is a failure.
    """
    match error.error_class:
        case ErrorClass.RATE_LIMIT:
            return TryAgain(_pause(error, RATE_LIMIT_PAUSE_S), counts=False)
        case ErrorClass.QUOTA:
            return TryAgain(_pause(error, QUOTA_PAUSE_S), counts=False)
        case ErrorClass.IN_DOUBT:
            return LookUp(policy.in_doubt_s)
        case ErrorClass.CONFLICT if error.existing_crm_id not in {"", crm_id}:
            return Adopt(error.existing_crm_id)
        case ErrorClass.NOT_FOUND if crm_id:
            return Forget()
        case ErrorClass.NETWORK | ErrorClass.SERVER | ErrorClass.AUTH | ErrorClass.REFERENCE:
            return _backoff(error, failure_count, policy, chance)
        case _:
            return Bury(error.error_class.value)


def tries_max(policy: RetryPolicy) -> int:
    """Return how many failures a delivery survives."""
    return len(policy.fast_s) + len(policy.slow_s)


def _backoff(error: VendorError, failure_count: int, policy: RetryPolicy, chance: random.Random) -> Decision:
    steps = (*policy.fast_s, *policy.slow_s)
    if failure_count >= len(steps):
        return Bury(f"{error.error_class.value}: all {len(steps)} retries used")
    after_s = chance.uniform(0.0, steps[failure_count])
    return TryAgain(max(after_s, error.retry_after_s or 0.0))


def _pause(error: VendorError, default_s: float) -> float:
    return error.retry_after_s if error.retry_after_s is not None else default_s
