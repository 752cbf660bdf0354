"""Looking at writes that wait for a person, and deciding about them. Orders effects, holds no state.

NotFound            UNKNOWN_APPROVAL      nothing of that id was asked, or something else since
PreconditionFailed  APPROVAL_DECIDED      it does not wait any more
                    MAY_NOT_APPROVE       the policy lets others decide about all that is named
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from typing import Final

from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.policy.authority import may_act
from headwater.sync.approvals.ports import ApprovalDesk, ApprovalPlace
from headwater.sync.domain.approving import ApprovalFilter, ApprovalState, ApprovalView, Decision
from headwater.sync.ports import Policies

DECISIONS_MAX: Final = 500
"""Writes that one call decides about, in one transaction."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision was about, or would be.

    Args:
        waiting: writes that wait and are named.
        allowed: those of them that the actor may decide about.
        decided: those of them that were decided about now.
        as_of: the store's time before they were counted.
    """

    waiting: int
    allowed: int
    decided: int
    as_of: dt.datetime


class Approvals:
    """Approvals as operators use them."""

    def __init__(self, desk: ApprovalDesk, policies: Policies) -> None:
        self._desk = desk
        self._policies = policies

    async def listed(
        self, tenant_id: str, wanted: ApprovalFilter, after: ApprovalPlace | None, page_size: int
    ) -> tuple[tuple[ApprovalView, ...], bool]:
        """Return one page, the longest waiting first, and whether there are more."""
        found = await self._desk.list_approvals(tenant_id, wanted, after, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def one(self, tenant_id: str, approval_id: uuid.UUID) -> ApprovalView:
        """Return one approval. Raises: NotFound."""
        wanted = ApprovalFilter(approval_ids=(approval_id,))
        found = await self._desk.list_approvals(tenant_id, wanted, None, 1)
        if not found:
            message = (
                f"nothing is asked as {approval_id}: the write may have changed since, and is asked anew"
            )
            raise NotFound(message, reason="UNKNOWN_APPROVAL", metadata={"approval_id": str(approval_id)})
        return found[0]

    async def decide(
        self,
        tenant_id: str,
        wanted: ApprovalFilter,
        *,
        approves: bool,
        actor: str,
        reason: str,
        dry_run: bool,
    ) -> Decided:
        """Decide about what waits, up to `DECISIONS_MAX` at once, or only count it.

        Raises: NotFound, PreconditionFailed.
        """
        document = self._policies.current().get(tenant_id)
        approvals, roles = (document.approval, document.roles) if document else ({}, {})
        rules = [name for name, item in approvals.items() if may_act(item.approvers, actor, roles)]
        as_of = await self._desk.now()
        waiting, allowed = await self._desk.count(tenant_id, wanted, rules)
        if len(wanted.approval_ids) == 1 and not waiting:
            await self._explain_absence(tenant_id, wanted.approval_ids[0])
        if waiting and not allowed:
            message = f"{actor} is not among the approvers that the policy names"
            raise PreconditionFailed(message, reason="MAY_NOT_APPROVE", metadata={"actor": actor})
        decided = 0
        if not dry_run:
            decision = Decision(approves, actor, reason, document.version if document else "")
            seen = replace(wanted, before=wanted.before or as_of)
            decided = await self._desk.decide(tenant_id, seen, rules, decision, DECISIONS_MAX)
        return Decided(waiting, allowed, decided, as_of)

    async def _explain_absence(self, tenant_id: str, approval_id: uuid.UUID) -> None:
        found = await self.one(tenant_id, approval_id)
        state = found.verdict.state
        how = "is not needed any more" if state is ApprovalState.ASKED else f"is {state.name.lower()}"
        by = f" by {found.verdict.actor}" if found.verdict.actor else ""
        raise PreconditionFailed(f"approval {approval_id} {how}{by}", reason="APPROVAL_DECIDED")
