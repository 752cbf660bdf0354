"""What wakes one account's actor: due work, or an operator's order. Rings are remembered until they are heard."""

from __future__ import annotations

import anyio


class Bell:
    """The bell of one account."""

    def __init__(self) -> None:
        self._rung = anyio.Event()
        self._steered = anyio.Event()
        self._due = False

    def nudge(self) -> None:
        """Wake the actor to look at what it knows already."""
        self._rung.set()

    def take_due(self) -> bool:
        """Say whether something may have become due since the last time this was asked."""
        due, self._due = self._due, False
        return due

    def ring(self) -> None:
        """Tell that something may be due."""
        self._due = True
        self._rung.set()

    def steer(self) -> None:
        """Tell that an operator may have ordered something; wakes from a hold as well."""
        self._steered.set()
        self.ring()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Return at a ring, at once when it rang since the last wait, or after *timeout_s*; say whether it rang."""
        with anyio.move_on_after(timeout_s):
            await self._rung.wait()
        rung = self._rung.is_set()
        self._rung = anyio.Event()
        return rung

    async def wait_steered(self, timeout_s: float) -> bool:
        """As `wait`, for orders only."""
        with anyio.move_on_after(timeout_s):
            await self._steered.wait()
        steered = self._steered.is_set()
        self._steered = anyio.Event()
        return steered
