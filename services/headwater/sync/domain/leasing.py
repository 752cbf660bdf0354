"""The right to work on something, with a fence against those who lost it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on what *name* says, as long as no higher fence is given out."""

    name: str
    fence: int


class FenceLost(Exception):
    """A lease is another process's now: nothing of this work may be written."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"leases not held any more: {', '.join(names)}")
        self.names = tuple(names)
