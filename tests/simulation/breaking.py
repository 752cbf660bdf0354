"""I4: what the breaker must hold back, replayed from the calls as their senders saw them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tests.simulation.policies import BREAKER

if TYPE_CHECKING:
    from tests.simulation.vendor import CallSeen
    from tests.simulation.world import World

NEAR_S: Final = 0.001
"""Difference below which two moments are one to the checker."""
COUNTABLE: Final = frozenset({"network", "server", "in_doubt", "auth", "timeout"})
_BLIND: Final = frozenset({"crash", "crash_at_step", "pause", "clock", "database", "races"})
"""Faults after which an engine may honestly have lost count of a failure that it never wrote down."""


def breaker_violations(world: World) -> Iterator[str]:
    """Yield calls that started while the breaker must have been open, or beside a probe."""
    if any(fault.kind in _BLIND for fault in world.plan.faults):
        return
    for account in world.plan.accounts:
        calls = [call for call in world.calls if call.account == account.crm]
        yield from _of_account(account.crm, calls)


def _of_account(name: str, calls: list[CallSeen]) -> Iterator[str]:
    """Walk through begins and ends in order of time; at one instant ends come first."""
    edges = sorted(
        [(call.end_time, 0, number) for number, call in enumerate(calls)]
        + [(call.send_time, 1, number) for number, call in enumerate(calls)]
    )
    failures, open_until, probe = 0, None, -1
    for time, begins, number in edges:
        call = calls[number]
        if begins:
            if open_until is None:
                continue
            if time < open_until - NEAR_S:
                yield f"{name}: a call at {time:.3f} while open until {open_until:.3f}"
                return
            if probe >= 0:
                yield f"{name}: a second call at {time:.3f} beside the probe"
                return
            probe = number
        elif call.failure in COUNTABLE:
            failures += 1
            if number == probe or (open_until is None and failures >= BREAKER["failures"]):
                open_until, probe = time + BREAKER["hold_s"], -1
        elif number == probe and call.failure == "cancelled":
            probe = -1
        elif number == probe or (call.failure == "" and open_until is None):
            failures, open_until, probe = 0, None, -1
