"""Which of a process's sleeping accounts have work: by notification, and by one query for all of them in a while.

A notification names its accounts, so that live work needs no query at all; the query finds what a
lost notification would have told, and when the deliveries of sleepers become due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import anyio

from headwater.kernel.errors import Unavailable
from headwater.sync.ports import DueTimes, StoreRaced
from headwater.sync.wakeup import read_accounts

_log = logging.getLogger(__name__)

WATCH_S: Final = 2.0
"""Pause between two questions: how late work is begun whose notification was lost."""


class Sleeper(Protocol):
    """An account as the watcher sees it."""

    @property
    def awake(self) -> bool:
        """Whether it knows by itself what is due."""
        ...

    @property
    def bell(self) -> Ringable:
        """What wakes it."""
        ...


class Ringable(Protocol):
    """A bell."""

    def ring(self) -> None:
        """Tell that something may be due."""
        ...

    def steer(self) -> None:
        """Tell that an operator may have ordered something."""
        ...


Sleepers = Callable[[], Mapping[tuple[str, str], Sleeper]]
"""Tells the accounts of this process as they are now."""


class DueWatch:
    """The watcher of one process."""

    def __init__(self, due_times: DueTimes, sleepers: Sleepers, *, watch_s: float = WATCH_S) -> None:
        self._due_times = due_times
        self._sleepers = sleepers
        self._watch_s = watch_s
        self._asked = anyio.Event()

    def notify(self, payload: str) -> None:
        """Take in a notification: the accounts that it names have work; without a name any may, or orders."""
        accounts = self._sleepers()
        named = read_accounts(payload)
        for key in named:
            if account := accounts.get(key):
                account.bell.ring()
        if not named:
            for account in accounts.values():
                if account.awake:
                    account.bell.steer()
            self._asked.set()

    async def watch(self) -> None:
        """Ring the bells of sleepers whose deliveries are due, until cancelled."""
        while True:
            try:
                next_s = await self._look()
            except (Unavailable, StoreRaced) as error:
                _log.warning("nobody watches what is due: %s", error)
                next_s = self._watch_s
            with anyio.move_on_after(min(self._watch_s, next_s)):
                await self._asked.wait()

    async def _look(self) -> float:
        """Ask once for all sleepers; return the seconds until the next of their deliveries is due."""
        self._asked = anyio.Event()
        accounts = self._sleepers()
        asleep = [key for key, account in accounts.items() if not account.awake]
        next_s = self._watch_s
        for found in await self._due_times.due_accounts(asleep) if asleep else ():
            if found.due_s > 0:
                next_s = min(next_s, found.due_s)
            elif account := accounts.get((found.tenant_id, found.connector)):
                account.bell.ring()
        return next_s
