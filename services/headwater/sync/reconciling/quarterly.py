"""The quarterly review of one account: mapped fields that nobody uses, scopes and grants that are wider than needed.

Changes nothing: people map, and people connect.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import msgspec

from headwater.connectors.base import CallFailed
from headwater.connectors.base.scopes import GrantFit
from headwater.connectors.base.trying import grant_fit, needed_scopes
from headwater.kernel.clock import Clock
from headwater.policy.scoping import access_of
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.domain.field_review import field_rows, review
from headwater.sync.reconciling.ports import Account, FieldUse, ParityBook, Run


@dataclass(frozen=True, slots=True)
class FieldReview:
    """Runs the quarterly review."""

    book: ParityBook
    use: FieldUse
    clock: Clock
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def run(self, account: RunningAccount) -> str:
        """Review *account* once; return what it came to. Raises: FenceLost, Unavailable, StoreRaced."""
        held, begin = Account(account.tenant_id, account.name, account.lease), self.clock.now()
        document = account.document
        policy = document.connectors[account.name]
        order = await self.book.take_order(held, "quarterly")
        objects = list(document.systems[policy.system].inbound)
        tally = await self.use.tally(account.tenant_id, account.name, policy.system, objects)
        fit = await self._fit(account)
        now = self.clock.now()
        findings = review(document, account.name, tally, fit, now)
        looked = f"{tally.records} records" + ("" if tally.complete else ", not all")
        told = (
            f"{len(findings)} findings: {', '.join(dict.fromkeys(one.what for one in findings))}"
            if findings
            else "every mapped field is in use, scopes and grant fit"
        )
        report = {
            "findings": msgspec.to_builtins(findings),
            "mapped": field_rows(document, account.name, tally),
            "people": {"owner": policy.owner, "backup": policy.backup, "runbook": policy.runbook},
            "needed": needed_scopes(policy.vendor, access_of(document, account.name)),
            "grant": None if fit is None else asdict(fit),
            "records": tally.records,
            "complete": tally.complete,
        }
        dry = order is not None and order.dry
        detail = f"{told}; {looked}"
        await self.book.write_run(held, Run(self.new_id(), "quarterly", begin, dry, now, detail, report))
        return detail

    async def _fit(self, account: RunningAccount) -> GrantFit | None:
        """Return how the grant fits; None where the vendor does not tell, or cannot be asked now."""
        policy = account.policy
        accesses = access_of(account.document, account.name)
        try:
            async with account.connected() as connector:
                return await account.ask(READ, partial(grant_fit, policy.vendor, accesses, connector))
        except CallFailed:
            return None
