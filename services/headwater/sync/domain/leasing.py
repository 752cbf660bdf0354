"""The right to work on something, a fence against those who lost it, and who should hold how much. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on what *name* says, as long as no higher fence is given out."""

    name: str
    fence: int


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat found.

    Args:
        unbroken: False when the one before had lapsed, or there was none: everything held is lost.
        processes: live ones, this one included.
    """

    unbroken: bool
    processes: int


class FenceLost(Exception):
    """A lease is another process's now: nothing of this work may be written."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"leases not held any more: {', '.join(names)}")
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class LeasePlan:
    """What one process does about its leases.

    Args:
        release: finish what is in flight, then let go.
        candidates: what may be taken, of which *take* at most.
    """

    release: tuple[str, ...]
    candidates: tuple[str, ...]
    take: int


def fair_share(count: int, processes: int) -> int:
    """Return how many of *count* leases one of *processes* holds at most."""
    return -(-count // max(1, processes))


def plan_leases(wanted: Collection[str], held: Collection[str], processes: int) -> LeasePlan:
    """Return what to let go of and what to take, so that every process has its fair share.

    Args:
        wanted: everything that some process should hold.
        held: what this one holds, those that it would rather keep first.
        processes: live ones, this one included.
    """
    wanted_names = set(wanted)
    kept = [name for name in held if name in wanted_names]
    share = fair_share(len(wanted_names), processes)
    surplus = kept[share:]
    unwanted = [name for name in held if name not in wanted_names]
    candidates = sorted(wanted_names.difference(held))
    return LeasePlan((*unwanted, *surplus), tuple(candidates), max(0, share - len(kept)))
