"""How tasks of one loop tell each other that something changed, and how one error leaves a task group as itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from headwater.client.errors import UsedAfterFork


class Change:
    """Wakes everybody who waits now; who waits looks at the state first and again after."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def notify(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait for the next `notify`."""
        await self._event.wait()


class Home:
    """The process that opened a client: its connections and threads do not live in a child."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def left(self) -> bool:
        """Whether this is another process."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Raise UsedAfterFork in another process."""
        if self.left:
            message = f"opened in process {self._pid}, used in {os.getpid()}: open a client after the fork"
            raise UsedAfterFork(message)


@contextmanager
def errors_as_themselves() -> Iterator[None]:
    """Let the only error of a task group leave without its group."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
