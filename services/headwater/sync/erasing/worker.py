"""Works on orders to erase people: what is here as soon as it is quiet, what is in CRMs account by account.

Every step is noted before the next begins and can be made again: whatever ends in between, another process goes on. Only
the process that holds an account calls its CRM; one that is away gets its erasures when it is back. A record counts as
erased once it was looked for and was not there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, cast

import anyio

from headwater.connectors.base import CallFailed, Connector, Fetcher
from headwater.connectors.base.erasing import Erasable
from headwater.connectors.base.removing import Removable
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.delivery.accounts import READ, RunningAccount, RunningAccounts
from headwater.sync.domain.backfilling import backoff_s
from headwater.sync.domain.delivering import to_target
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.domain.polling import poll_plans
from headwater.sync.erasing.collecting import collect
from headwater.sync.erasing.ports import ErasureBook, Forgetting, Order, Settled, Target, Traced
from headwater.sync.ports import Policies, StoreRaced, StoreRefused
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed; an account that is back is seen after it at the latest."""
CLAIM_S: Final = 10.0
"""How long nobody else works on an order: a process that was killed loses no more than that."""
LOOK_S: Final = 0.5
"""Pause between two looks at whether what was under way has ended."""
RETRY_S_MAX: Final = 60.0
"""Longest pause before a CRM is asked again: one that was away is not to wait for long once it is back."""
ORDERS_MAX: Final = 8
BATCH_RECORDS: Final = 50
"""Records of one call."""
EVENTS_MAX: Final = 1_000
"""Events of one transaction."""
WRITE: Final = "write"
BY_HAND: Final = "the vendor has no way to erase: do it by hand, then `headwater erase confirm`"


class ErasureWorker:
    """Erases, in the accounts of this process."""

    def __init__(
        self, book: ErasureBook, forgetting: Forgetting, policies: Policies, accounts: RunningAccounts
    ) -> None:
        self._book = book
        self._forgetting = forgetting
        self._policies = policies
        self._accounts = accounts

    async def run(self, bell: Wakeup) -> None:
        """Erase for ever; ends by cancellation: what is under way is made again by a successor."""
        while True:
            try:
                if await self.step():
                    continue
            except (Unavailable, StoreRaced) as error:
                _log.warning("erasing: %s", error)
            await bell.wait(POLL_S)

    async def step(self) -> bool:
        """Look once at what is due; return whether there was anything."""
        orders = await self._book.claim(CLAIM_S, ORDERS_MAX)
        for order in orders:
            await self._advance(order)
        return await self._propagate() or bool(orders)

    async def _advance(self, order: Order) -> None:
        try:
            match order.state:
                case "draining":
                    await self._drain(order)
                case "destroying":
                    await self._destroy(order)
                case _:
                    await self._conclude(order)
        except (Unavailable, StoreRaced, StoreRefused) as error:
            _log.warning("erasure %s waits: %s", order.erasure_id, error)
            await self._book.put_off(
                order, backoff_s(order.tries + 1), f"{error.reason}: {error.message}"[:512]
            )

    async def _drain(self, order: Order) -> None:
        """Wait for what was under way, then add what it has brought."""
        if not await self._book.drained(order):
            await self._book.put_off(order, LOOK_S, "")
            await anyio.sleep(LOOK_S)
            return
        document = self._policies.current().get(order.tenant_id)
        person = await collect(self._book, document, order.tenant_id, order.entities, known=order.records)
        await self._book.extend(order, person)
        counts = {"entities": len(person.entities), "identifiers": len(person.digests)}
        await self._book.move(order, "destroying", {"step": "drained", "counts": counts})

    async def _destroy(self, order: Order) -> None:
        traced, erased = await self._erase_log(order)
        counts = {
            "events": erased,
            "quarantined": traced.quarantined,
            "in_archives": traced.archived,
        }
        await self._book.note(order, {"step": "log", "counts": counts})
        forgotten = await self._forgetting.erase(order.tenant_id, order.records)
        await self._book.note(order, {"step": "identity", "counts": dict(forgotten)})
        await self._book.erase_state(order)

    async def _erase_log(self, order: Order) -> tuple[Traced, int]:
        traced = await self._book.trace(order.tenant_id, order.records, order.texts)
        erased = 0
        for start in range(0, len(traced.keys), EVENTS_MAX):
            erased += await self._book.erase_events(order.tenant_id, traced.keys[start : start + EVENTS_MAX])
        return traced, erased

    async def _conclude(self, order: Order) -> None:
        """Once no CRM has anything left, sweep up what came meanwhile, and end."""
        if await self._book.open_targets(order):
            await self._book.put_off(order, POLL_S, "")
            return
        _, erased = await self._erase_log(order)
        forgotten = await self._forgetting.erase(order.tenant_id, order.records)
        counts = {"events": erased, **forgotten}
        await self._book.note(order, {"step": "swept", "counts": counts})
        mentions = await self._book.mentions(order.tenant_id, order.entities, order.texts)
        await self._book.note(order, mentions.step())
        await self._book.certify(order)

    async def _propagate(self) -> bool:
        accounts = dict(self._accounts.current())
        due = await self._book.due_targets(list(accounts), BATCH_RECORDS) if accounts else ()
        async with anyio.create_task_group() as tasks:
            for key, targets in groupby(due, lambda item: (item.tenant_id, item.connector)):
                tasks.start_soon(self._work, accounts[key], list(targets))
        return bool(due)

    async def _work(self, account: RunningAccount, targets: Sequence[Target]) -> None:
        try:
            with account.working():
                ordered = sorted(targets, key=lambda item: item.crm_object)
                for crm_object, items in groupby(ordered, lambda item: item.crm_object):
                    await self._book.settle(
                        account.lease, await self._erase(account, crm_object, list(items))
                    )
        except FenceLost:
            _log.warning("erasing: account %s was taken over", account.name)
        except (Unavailable, StoreRaced) as error:
            _log.warning("erasing in %s: %s", account.name, error)

    async def _erase(
        self, account: RunningAccount, crm_object: str, targets: Sequence[Target]
    ) -> list[Settled]:
        """Erase records of one object and look whether they are gone; what fails is tried again, ever later."""
        try:
            async with account.connected() as connector:
                return await _Erasing(account, connector, crm_object).erase(targets)
        except CallFailed as failed:
            wait_s = min(RETRY_S_MAX, backoff_s(1 + max(item.tries for item in targets), failed.error))
            return [Settled(item, item.state, finding=str(failed)[:255], wait_s=wait_s) for item in targets]
        except (FenceLost, Unavailable):
            raise
        except HeadwaterError as error:
            finding = f"{error.reason}: {error.message}"[:255]
            return [Settled(item, item.state, finding=finding, wait_s=RETRY_S_MAX) for item in targets]


class _Erasing:
    """The erasing of records of one object of a CRM."""

    def __init__(self, account: RunningAccount, connector: Connector, crm_object: str) -> None:
        self._account = account
        self._connector = connector
        self._crm_object = crm_object

    async def erase(self, targets: Sequence[Target]) -> list[Settled]:
        """Return how far *targets* are. Raises: CallFailed."""
        connector, ids = self._connector, [item.crm_id for item in targets]
        if isinstance(connector, Erasable):
            erase, method = connector.erasing.erase, connector.erasing.method(self._crm_object)
        elif isinstance(connector, Removable):
            erase, method = connector.removing.remove, "deleted into the CRM's bin"
        else:
            return [Settled(item, "open", finding=BY_HAND, wait_s=RETRY_S_MAX) for item in targets]
        refused = await self._account.ask(WRITE, partial(erase, self._crm_object, ids))
        there = await self._there([item for item in ids if item not in refused])
        return [self._settled(item, method, refused, there) for item in targets]

    def _settled(
        self, item: Target, method: str, refused: Mapping[str, Any], there: frozenset[str]
    ) -> Settled:
        wait_s = min(RETRY_S_MAX, backoff_s(item.tries + 1))
        if item.crm_id in refused:
            return Settled(item, item.state, method, str(refused[item.crm_id].message)[:255], wait_s)
        if item.crm_id in there:
            return Settled(item, "sent", method, "the CRM said yes and shows it still", wait_s)
        return Settled(item, "erased", method)

    async def _there(self, crm_ids: Sequence[str]) -> frozenset[str]:
        """Return those records that the CRM shows still."""
        if not crm_ids:
            return frozenset()
        for name, items in self._account.policy.written.items():
            for mapping in items:
                if mapping.target == self._crm_object:
                    target = to_target(name, mapping)
                    held = await self._account.ask(READ, partial(self._connector.owners, target, crm_ids))
                    return frozenset(held)
        plan = poll_plans(self._account.document, self._account.name).get(self._crm_object)
        if plan is not None and isinstance(self._connector, Fetcher):
            fetcher = cast("Fetcher", self._connector)
            found = await self._account.ask(READ, partial(fetcher.fetch, plan.polled, crm_ids))
            return frozenset(one.crm_id for one in found.records)
        return frozenset(crm_ids)  # nobody can look: it stays to be done by hand
