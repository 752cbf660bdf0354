"""Removes marked records from the CRMs once their grace is over, in the accounts of this process.

Only the process that holds an account calls its CRM. A record is removed if it carries our id still, its delivery is
held back meanwhile, and it is looked up afterwards: what is there still stays noted. A lost answer is asked for again:
removing twice changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, Connector
from headwater.connectors.base.removing import Removable
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.kernel.ids import ObjectName
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.delivery.accounts import READ, RunningAccount, RunningAccounts
from headwater.sync.domain.delivering import to_target
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.removing import removes
from headwater.sync.ports import StoreRaced
from headwater.sync.removing.ports import Flagged, RemovalBook

_log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""Pause between two looks: a grace is days long."""
BATCH_RECORDS: Final = 100
"""Records of one look and of one call."""
RECORDS_MAX: Final = 1_000
"""Records that one look removes from an account, at most."""
LET_GO_S: Final = 5.0
"""Bound of letting go; what it leaves a successor releases."""
WRITE: Final = "write"
"""Class of endpoints that removals belong to."""
_FIRST: Final = uuid.UUID(int=0)

Mapping = tuple[ObjectName, OutboundObject]


class RemovalWorker:
    """Works on the accounts of this process.

    Args:
        approvals: where is asked about removals that a person has to approve; None: those wait for good.
    """

    def __init__(
        self, book: RemovalBook, accounts: RunningAccounts, approvals: ApprovalBook | None = None
    ) -> None:
        self._book = book
        self._accounts = accounts
        self._approvals = approvals

    async def run(self) -> None:
        """Remove for ever; ends by cancellation: a call under way is made again by a successor."""
        while True:
            await self.step()
            await anyio.sleep(LOOK_S)

    async def step(self) -> int:
        """Look once at every account; return how many records were removed."""
        removed = 0
        for account in list(self._accounts.current().values()):
            if not removes(account.document, account.name):
                continue
            try:
                with account.working():
                    removed += await self._work(account)
            except FenceLost:
                _log.warning("removals: account %s was taken over", account.name)
            except (Unavailable, StoreRaced, HeadwaterError, CallFailed) as error:
                _log.warning("removals in %s: %s", account.name, error)
        return removed

    async def _work(self, account: RunningAccount) -> int:
        grace_s = account.document.grace_days * 86_400.0
        removed, place = 0, _FIRST
        for _ in range(RECORDS_MAX // BATCH_RECORDS):
            page = await self._book.due(account.tenant_id, account.name, grace_s, place, BATCH_RECORDS)
            if not page:
                break
            place = page[-1].entity_id
            removed += await self._remove(account, grace_s, page)
        return removed

    async def _remove(self, account: RunningAccount, grace_s: float, page: Sequence[Flagged]) -> int:
        door = ApprovalDoor(account.document, account.name, self._approvals)
        by_mapping: dict[int, tuple[Mapping, list[Flagged]]] = {}
        for number, mapping in enumerate(removes(account.document, account.name)):
            wanted = [
                item for item in page if (item.object, item.crm_object) == (mapping[0], mapping[1].target)
            ]
            if allowed := await door.may_remove(account.tenant_id, wanted):
                by_mapping[number] = (mapping, [item for item in wanted if item.entity_id in allowed])
        if not by_mapping:
            return 0
        chosen = [item for _, items in by_mapping.values() for item in items]
        try:
            held = await self._book.hold(account.tenant_id, account.lease, account.name, grace_s, chosen)
            removed = 0
            async with account.connected() as connector:
                for mapping, items in by_mapping.values():
                    due = [item for item in items if item.entity_id in held]
                    removed += await _Removal(account, connector, self._book, mapping).remove(due)
            return removed
        finally:
            with anyio.move_on_after(LET_GO_S, shield=True):
                await self._book.let_go(account.tenant_id, account.lease, account.name)


@dataclass(frozen=True, slots=True)
class _Removal:
    """The removal of records of one mapping."""

    account: RunningAccount
    connector: Connector
    book: RemovalBook
    mapping: Mapping

    async def remove(self, items: Sequence[Flagged]) -> int:
        """Remove records that carry our ids; return how many are gone. Raises: CallFailed, and of the store."""
        if not items:
            return 0
        if not isinstance(self.connector, Removable):
            _log.warning("vendor %s has no bin: nothing is removed", self.account.policy.vendor)
            return 0
        ours = await self._there(items)
        doomed = [item.crm_id for item in items if ours.get(item.entity_id) == item.crm_id]
        if doomed:
            removing = self.connector.removing
            refused = await self.account.ask(WRITE, partial(removing.remove, self.mapping[1].target, doomed))
            for crm_id, error in refused.items():
                _log.warning("record %s of %s stays: %s", crm_id, self.account.name, error.message)
        left = await self._there(items)
        gone = [item for item in items if left.get(item.entity_id) != item.crm_id]
        await self.book.removed(
            self.account.tenant_id, self.account.lease, gone, self.account.document.version
        )
        return len(gone)

    async def _there(self, items: Sequence[Flagged]) -> dict[uuid.UUID, str]:
        """Return the records that the CRM has of entities."""
        target = to_target(*self.mapping)
        wanted = [str(item.entity_id) for item in items]
        found = await self.account.ask(READ, partial(self.connector.look_up, target, wanted))
        return {uuid.UUID(entity_id): record.crm_id for entity_id, record in found.items()}
