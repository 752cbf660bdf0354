"""The accounts that run in this process: what else works for an account uses its gate, breaker and lease.

The delivery host enters an account for as long as its actor runs; leaving cancels what was begun on it. So polling
shares limiter, quota, breaker and fence with the deliveries of the same account.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

import anyio

from headwater.connectors.base import Connector
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.wakeup import Wakeup

CLOSE_S: Final = 5.0
"""Bound of closing a connector's connections."""

READ: Final = "read"
"""Class of endpoints that questions beside the deliveries belong to: their breaker is the look-ups'."""

Answer = TypeVar("Answer")


class Asks(Protocol):
    """Asks a vendor something beside the deliveries."""

    async def __call__(self, endpoint_class: str, call: Callable[[], Awaitable[Answer]], /) -> Answer:
        """Return what *call* returns, counted by the account's breaker. Raises: CallFailed, HELD when none may start."""
        ...


@dataclass(eq=False)
class RunningAccount:
    """One connector account whose lease this process holds.

    Args:
        opened: opens a connector on the account's own gate.
        ask: what every question to the vendor passes: the account's breaker counts its answer.
        open_lanes: says which lanes may use what is left of the day's quota.
    """

    tenant_id: str
    name: str
    document: PolicyDocument
    lease: Lease
    opened: Callable[[], Awaitable[Connector]] = field(repr=False)
    ask: Asks = field(repr=False)
    open_lanes: Callable[[], frozenset[Lane]] = field(default=lambda: frozenset(Lane), repr=False)
    _scopes: set[anyio.CancelScope] = field(default_factory=set, repr=False)

    @property
    def policy(self) -> ConnectorPolicy:
        """The account's part of the policy."""
        return self.document.connectors[self.name]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connector]:
        """Open a connector for the block. Raises: InvalidInput when the credentials cannot be used, FenceLost, Unavailable."""
        connector = await self.opened()
        try:
            yield connector
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await connector.aclose()

    @contextmanager
    def working(self) -> Iterator[anyio.CancelScope]:
        """Work on the account inside the block; it is cancelled when the account ends here."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    def end(self) -> None:
        """Cancel what works on the account."""
        for scope in tuple(self._scopes):
            scope.cancel()


class RunningAccounts:
    """The accounts of this process, by tenant and name."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], RunningAccount] = {}
        self.changed = Wakeup()
        """Rung when an account has begun or ended."""

    def current(self) -> Mapping[tuple[str, str], RunningAccount]:
        """Return the accounts that run now."""
        return MappingProxyType(self._accounts)

    @contextmanager
    def running(self, account: RunningAccount) -> Iterator[None]:
        """Let others work on *account* while the block runs."""
        key = (account.tenant_id, account.name)
        self._accounts[key] = account
        self.changed.set()
        try:
            yield
        finally:
            if self._accounts.get(key) is account:  # it may have begun anew while this one was ending
                del self._accounts[key]
            account.end()
            self.changed.set()
