"""What approvals need of the store, in its own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

from headwater.sync.domain.approving import ApprovalFilter, ApprovalView, Ask, Decision, Verdict

ApprovalPlace = tuple[dt.datetime, uuid.UUID]
"""A place in the list of approvals: when it was asked, and its id."""


class ApprovalBook(Protocol):
    """What is asked about an account's writes. Every method may raise Unavailable and StoreRaced."""

    async def waiting(self, tenant_id: str, connector: str) -> Mapping[str, int]:
        """Return approval to the writes of an account that wait for it."""
        ...

    async def ask(self, asks: Sequence[Ask]) -> Mapping[uuid.UUID, Verdict]:
        """Ask what was not asked before, in place of what was asked of the same entity; return how all stand, by id.

        Args:
            asks: of one account.
        """
        ...


class ApprovalDesk(Protocol):
    """Approvals as operators decide about them. Every method may raise Unavailable."""

    async def list_approvals(
        self, tenant_id: str, wanted: ApprovalFilter, after: ApprovalPlace | None, limit: int
    ) -> tuple[ApprovalView, ...]:
        """Return up to *limit* approvals behind *after*, the longest waiting first."""
        ...

    async def count(self, tenant_id: str, wanted: ApprovalFilter, rules: Sequence[str]) -> tuple[int, int]:
        """Return how many of *wanted* wait, and how many of these are asked by *rules*."""
        ...

    async def decide(
        self, tenant_id: str, wanted: ApprovalFilter, rules: Sequence[str], decision: Decision, limit: int
    ) -> int:
        """Decide about up to *limit* that wait, with audit, and let their writes go on; return about how many."""
        ...

    async def now(self) -> dt.datetime:
        """Return the store's time."""
        ...


class ExpiringApprovals(Protocol):
    """Approvals that nobody decided about in time. May raise Unavailable and StoreRaced."""

    async def expire(self, limit: int) -> int:
        """Decide about up to *limit* whose time is over, as their policy says, with audit; return about how many."""
        ...
