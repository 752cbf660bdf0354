"""What the doctor says: one finding a check, each with a state, what was seen, and how it is put right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ENDS_WARNING: Final = dt.timedelta(days=7)
ENDS_PROBLEM: Final = dt.timedelta(days=1)
"""How soon what ends is told of: as the alerts have it (policy, `alarms.token_warn_days`)."""


class State(IntEnum):
    """How bad it is; the greater, the worse."""

    OK = 0
    WARNING = 1
    PROBLEM = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result.

    Args:
        check: its name, as `durability`.
        about: of what, as a service or an account; empty for the whole.
        found: what was seen, in a sentence.
        fix: what to do; empty where nothing is wrong.
    """

    check: str
    state: State
    found: str
    about: str = ""
    fix: str = ""


def worst(findings: Iterable[Finding]) -> State:
    """Return the worst state; OK of none."""
    return max((item.state for item in findings), default=State.OK)


def ending(ends: dt.datetime, now: dt.datetime) -> State:
    """Return how bad it is that something ends then."""
    if ends - now <= ENDS_PROBLEM:
        return State.PROBLEM
    return State.WARNING if ends - now <= ENDS_WARNING else State.OK
