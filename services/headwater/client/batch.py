"""A batch on its way: events as bytes, then their outcomes or the reason why there are none. Knows no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headwater.client.outcomes import Outcomes
from headwater.kernel.errors import HeadwaterError


@dataclass(slots=True, eq=False)
class Batch:
    """Events that travel together.

    Args:
        bodies: the events' bytes, in order; let go once settled.
        due_time: when it leaves though it is not full; None until it was looked at.
        tokens: one per event, for the shell that made them (futures); may be empty.
    """

    bodies: Sequence[bytes] = field(default_factory=list)
    due_time: float | None = None
    tokens: list[Any] = field(default_factory=list)
    size_bytes: int = 0
    number: int = 0
    """Given by the conversation; 0 before."""
    message: bytes = b""
    """What goes out, however often."""
    count: int = 0
    outcomes: Outcomes | None = None
    failure: HeadwaterError | None = None
    seen: bool = False
    """Whether somebody has looked at the failure."""
    waiter: Any = None
    """What the shell wakes when the batch is done; None while nobody waits."""

    @property
    def done(self) -> bool:
        """Whether it is settled or failed."""
        return self.outcomes is not None or self.failure is not None

    def settle(self, outcomes: Outcomes) -> None:
        """Keep the outcomes, let the bytes go."""
        self.outcomes = outcomes
        self.bodies, self.message = (), b""

    def fail(self, failure: HeadwaterError) -> None:
        """Keep the reason, let the bytes go."""
        self.failure = failure
        self.bodies, self.message = (), b""
