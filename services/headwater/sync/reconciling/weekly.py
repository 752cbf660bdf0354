"""The weekly consistency of a tenant's activities and attribution: what the timeline has, against what the log says.

Activities without a place in the timeline and touches that are missing are made again; associations that point to
entities which stand no more, and touches that differ from what the policy in force makes of their events, are told.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.sync.delivery.accounts import RunningAccount
from headwater.sync.reconciling.ports import Account, ParityBook, Run
from headwater.sync.usecases.timeline import Timelines

PAGES_MAX: Final = 100_000
"""Pages of events that one run looks at."""
EXAMPLES: Final = 20
_FIRST: Final = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Consistency:
    """Runs the weekly consistency."""

    book: ParityBook
    timelines: Timelines
    clock: Clock
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def run(self, account: RunningAccount) -> str:
        """Look at the tenant of *account* once; return what it came to. Raises: FenceLost, Unavailable, StoreRaced."""
        held, begin = Account(account.tenant_id, account.name, account.lease), self.clock.now()
        order = await self.book.take_order(held, "weekly")
        dry = order is not None and order.dry
        findings: list[dict[str, str]] = []
        counts: dict[str, int] = {}
        if account.document.timeline is not None:
            lost, astray = await self.book.timeline_gaps(held, repair=not dry)
            counts |= {"activities without a place": len(lost), "associations astray": len(astray)}
            findings += [
                {"where": str(one), "what": "activity", "detail": "is not in the timeline; looked at again"}
                for one in lost[:EXAMPLES]
            ]
            findings += [
                {"where": str(one), "what": "association", "detail": "concerns an entity that stands no more"}
                for one in astray[:EXAMPLES]
            ]
        if account.document.attribution is not None:
            counts |= await self._touches(account.tenant_id, findings, dry=dry)
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        told = told or "the policy has neither timeline nor attribution"
        report: dict[str, Any] = {"findings": findings, "counts": counts}
        await self.book.write_run(
            held, Run(self.new_id(), "weekly", begin, dry, self.clock.now(), told, report)
        )
        return told

    async def _touches(self, tenant_id: str, findings: list[dict[str, str]], *, dry: bool) -> dict[str, int]:
        same = missing = differing = 0
        after: uuid.UUID | None = _FIRST
        for _ in range(PAGES_MAX):
            if after is None:
                break
            try:
                page = await self.timelines.recompute(tenant_id, after, dry_run=dry)
            except NotFound:  # the section was taken out meanwhile
                break
            same += page.same
            missing += len(page.missing)
            differing += len(page.differing)
            for fact, _now in page.differing[: max(0, EXAMPLES - len(findings))]:
                detail = f"kept as {fact.channel}, would be another by the policy in force"
                findings.append({"where": str(fact.event_key), "what": "touch", "detail": detail})
            after = page.last
        return {"touches agree": same, "touches made again": missing, "touches differ": differing}
