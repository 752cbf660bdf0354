"""Runs the delivery accounts of one process: takes its fair share by lease, hands over what is too much.

An account is handed over gracefully: it finishes what is in flight, settles, and only then its lease
is released. One whose lease may have lapsed is cancelled at once. The host never dies of an account.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio

from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.sync.delivery.account import AccountKey, AccountParts, DeliveryAccount
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.leasing import FenceLost, Lease, plan_leases
from headwater.sync.membership import Membership
from headwater.sync.ports import Deliveries, Leases, LimitBooks, Policies, StoreRaced

_log = logging.getLogger(__name__)

OpenStore = Callable[[str, str, Lease], Deliveries]
"""Opens the tables of tenant and account under a lease."""
OpenBooks = Callable[[str, str, Lease], LimitBooks]
"""Opens the books of tenant and account under a lease."""
DRAIN_S: Final = 10.0
"""How long what is in flight may take when an account is handed over; then it is cancelled and in doubt."""


@dataclass(slots=True)
class _Held:
    lease: Lease
    account: DeliveryAccount
    document: PolicyDocument
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    leaving: bool = False
    lost: bool = False

    def end(self) -> None:
        """Ask for the end, and bound it."""
        self.account.end()
        self.scope.deadline = min(self.scope.deadline, anyio.current_time() + DRAIN_S)


class DeliveryHost:
    """The delivery accounts of one process."""

    def __init__(
        self,
        open_store: OpenStore,
        open_books: OpenBooks,
        leases: Leases,
        membership: Membership,
        policies: Policies,
        parts: AccountParts,
        entered: RunningAccounts | None = None,
    ) -> None:
        self._entered = entered or RunningAccounts()
        self._open_store = open_store
        self._open_books = open_books
        self._leases = leases
        self._membership = membership
        self._policies = policies
        self._parts = parts
        self._held: dict[AccountKey, _Held] = {}
        self._to_release: set[str] = set()
        self._documents: tuple[PolicyDocument, ...] = ()
        self._processes = 0
        self._shared_out = False
        self._unsettled = False  # an account ended while leases were asked for
        self._ending = False
        self._changed = anyio.Event()
        membership.on_lapse(self._lose_everything)

    def accounts(self) -> Mapping[AccountKey, DeliveryAccount]:
        """Return the accounts that run here now."""
        return {key: held.account for key, held in self._held.items()}

    async def run(self) -> None:
        """Hold this process's share of the accounts; ends by `drain` or cancellation."""
        async with anyio.create_task_group() as tasks:
            while not self._ending:
                await self._membership.wait_until_standing()
                try:
                    await self._share_out(tasks)
                except (Unavailable, StoreRaced) as error:
                    _log.warning("account leases: %s", error)
                with anyio.move_on_after(self._membership.beat_s):
                    await self._changed.wait()
                self._changed = anyio.Event()

    async def drain(self) -> None:
        """End every account gracefully, take no more; returns when all are handed over or their time is up."""
        self._ending = True
        for held in self._held.values():
            held.leaving = True
            held.end()
        self._changed.set()
        with anyio.move_on_after(DRAIN_S + 1.0):
            while self._held:
                await self._changed.wait()
                self._changed = anyio.Event()

    async def _share_out(self, tasks: anyio.abc.TaskGroup) -> None:
        """Let go of what is too much, take what is free and due to us, follow changes of policy."""
        await self._release(())
        if not self._stands_otherwise():
            return
        wanted = self._wanted()
        staying = [(key, held) for key, held in self._held.items() if not held.leaving]
        for key, held in staying:
            if key in wanted and _differs(wanted[key], held.document):
                held.end()  # begins anew under the same lease
        staying.sort(key=lambda pair: -pair[1].account.in_flight)
        leaving = {lease_name(key) for key, held in self._held.items() if held.leaving} | self._to_release
        plan = plan_leases(
            [lease_name(key) for key in wanted],
            [lease_name(key) for key, _ in staying],
            self._membership.processes,
        )
        for _, held in staying:
            if held.lease.name in plan.release:
                held.leaving = True
                held.end()
        candidates = [name for name in plan.candidates if name not in leaving]
        self._shared_out, self._unsettled = False, False  # until the database has answered
        taken = await self._acquire(candidates, plan.take) if plan.take and candidates else {}
        self._shared_out = len(taken) == plan.take and not self._unsettled
        for key in wanted if taken else ():
            if (fence := taken.get(lease_name(key))) is not None:
                self._begin(tasks, key, Lease(lease_name(key), fence))

    async def _acquire(self, candidates: list[str], take: int) -> dict[str, int]:
        try:
            return await self._leases.acquire(candidates, take)
        except (Unavailable, StoreRaced):
            self._to_release.update(
                candidates
            )  # some may be ours without our knowing: nobody else could have them
            raise

    def _stands_otherwise(self) -> bool:
        """Say whether there may be anything to take or let go: policies, processes, or what is held have changed."""
        documents = tuple(self._policies.current().values())
        same = len(documents) == len(self._documents) and all(map(operator.is_, documents, self._documents))
        otherwise = not (same and self._shared_out and self._membership.processes == self._processes)
        self._documents, self._processes = documents, self._membership.processes
        return otherwise

    def _wanted(self) -> Mapping[AccountKey, PolicyDocument]:
        return {
            (tenant_id, name): document
            for tenant_id, document in self._policies.current().items()
            for name, connector in document.connectors.items()
            if connector.enabled
        }

    def _document(self, key: AccountKey) -> PolicyDocument | None:
        document = self._policies.current().get(key[0])
        connector = document.connectors.get(key[1]) if document else None
        return document if connector and connector.enabled else None

    def _begin(self, tasks: anyio.abc.TaskGroup, key: AccountKey, lease: Lease) -> None:
        document = self._document(key)
        if document is None or self._ending or not self._membership.may_work():
            self._to_release.add(lease.name)
            return
        store, books = self._open_store(*key, lease), self._open_books(*key, lease)
        bulk = self._parts.open_bulk(*key, lease) if self._parts.open_bulk else None
        held = _Held(lease, DeliveryAccount(key, document, store, books, self._parts, bulk), document)
        self._held[key] = held
        tasks.start_soon(self._hold, tasks, key, held)

    async def _hold(self, tasks: anyio.abc.TaskGroup, key: AccountKey, held: _Held) -> None:
        """Run an account; afterwards begin it anew, or let go of its lease."""
        ours = True
        try:
            account = held.account
            entry = RunningAccount(
                *key, held.document, held.lease, account.connect, account.ask, account.open_lanes
            )
            with held.scope, self._entered.running(entry):
                await held.account.run()
        except FenceLost:
            ours = False
        finally:
            if self._held.get(key) is held:
                del self._held[key]
            self._shared_out, self._unsettled = False, True
        if ours and not held.lost and self._membership.may_work():
            if held.leaving:
                await self._release([held.lease.name])
            else:
                self._begin(tasks, key, held.lease)
        self._changed.set()

    async def _release(self, names: list[str] | tuple[()]) -> None:
        """Let go of leases; of those that the database did not hear of, at the next time."""
        self._to_release.update(names)
        if not self._to_release:
            return
        released = sorted(self._to_release)
        try:
            await self._leases.release(released)
        except (Unavailable, StoreRaced) as error:
            _log.warning("leases are released later: %s", error)
        else:
            self._to_release.difference_update(released)

    def _lose_everything(self) -> None:
        """Cancel every account: the leases may be other processes' by now."""
        self._to_release.clear()
        self._shared_out, self._unsettled = False, True
        for held in self._held.values():
            held.lost = True
            held.scope.cancel()
        self._held.clear()


def _differs(wanted: PolicyDocument, held: PolicyDocument) -> bool:
    """Say whether two policies differ; the same one need not be compared, field by field, for every account."""
    return wanted is not held and wanted != held


def lease_name(key: AccountKey) -> str:
    """Return the name of the lease of a connector account."""
    return f"connector/{key[0]}/{key[1]}"
