"""The host of the accounts' actors: pauses after failures, accounts that cannot be opened, leases that are lost meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import anyio
import pytest
from tests.unit.sync.accounts import Crm, OnePolicy, account_parts, memory_books
from tests.unit.sync.cluster import Cluster, MemoryLeases
from tests.unit.sync.tenant import TENANT, policy
from tests.unit.sync.virtual_time import run_virtually

from headwater.kernel.errors import InvalidInput, Unavailable
from headwater.sync.delivery.account import BACKOFF_S_MAX, BACKOFF_S_MIN, next_pause_s
from headwater.sync.delivery.credentials import Credentials
from headwater.sync.delivery.host import DeliveryHost
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.membership import Membership
from headwater.sync.ports import Deliveries

PATIENCE_S = 10.0


def test_pauses_grow_while_an_actor_fails_at_once_and_begin_anew_when_it_ran() -> None:
    """Doubling up to the cap; a run longer than the pause before it counts as recovery."""
    pauses = [BACKOFF_S_MIN]
    for _ in range(7):
        pauses.append(next_pause_s(pauses[-1], ran_s=0.1))
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, BACKOFF_S_MAX, BACKOFF_S_MAX]
    assert next_pause_s(8.0, ran_s=8.5) == BACKOFF_S_MIN
    assert next_pause_s(8.0, ran_s=7.5) == 16.0


class NoSecrets:
    """Credentials that are missing."""

    async def read(self, tenant_id: str, reference: str) -> Credentials:
        """Refuse."""
        del tenant_id
        raise InvalidInput(f"{reference} is not set")


class DeafStore:
    """A store that cannot be reached; only what a failing start asks of it."""

    def __init__(self) -> None:
        self.findings = 0
        self.again = anyio.Event()

    async def write_finding(self, finding: str) -> None:
        """Fail; ring when each of the two enabled accounts was opened, and one of them again."""
        del finding
        self.findings += 1
        if self.findings > 2:
            self.again.set()
        raise Unavailable("gone")


@pytest.mark.anyio
async def test_an_account_that_cannot_be_opened_is_tried_again_though_nobody_can_be_told() -> None:
    """The supervisor outlives an actor's failure even when the database is away as well."""
    store = DeafStore()

    def open_store(*_: Any) -> Deliveries:
        return cast("Deliveries", store)

    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases, anyio.current_time)
    parts = account_parts(Crm(), secrets=NoSecrets())
    host = DeliveryHost(
        open_store, lambda *_: memory_books(), leases, membership, OnePolicy((TENANT, policy())), parts
    )
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await store.again.wait()
            tasks.cancel_scope.cancel()


class LosesItsFence:
    """The store of an account that cannot be opened: its first finding ends it, on a sign, by the loss of its fence."""

    def __init__(self, sign: anyio.Event) -> None:
        self._sign = sign
        self._lost = False

    async def write_finding(self, finding: str) -> None:
        """Lose the fence once; hang afterwards."""
        del finding
        await self._sign.wait()
        if self._lost:
            await anyio.sleep_forever()
        self._lost = True
        raise FenceLost(["one"])


class EndsOneMeanwhile(MemoryLeases):
    """Leases that are slow to answer the second time: meanwhile an account ends."""

    def __init__(self, cluster: Cluster, holder: str, sign: anyio.Event) -> None:
        super().__init__(cluster, holder)
        self._sign = sign
        self.taken: list[str] = []

    async def acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        """Give the sign in the second call, and answer when what it does is done."""
        if self.taken:
            self._sign.set()
            await anyio.sleep(0.1)
        taken = await super().acquire(names, limit)
        self.taken += taken
        return taken


def test_an_account_that_ends_while_leases_are_asked_for_is_taken_again() -> None:
    """The answer says how many were wanted before it ended: without a second look it would be nobody's for ever."""
    sign = anyio.Event()
    cluster = Cluster()
    cluster.held["connector/acme/hubspot"] = ("two", 1)
    cluster.beats["two"] = float("inf")
    leases = EndsOneMeanwhile(cluster, "one", sign)
    membership = Membership(leases, anyio.current_time)
    store = LosesItsFence(sign)

    def open_store(*_: Any) -> Deliveries:
        return cast("Deliveries", store)

    host = DeliveryHost(
        open_store,
        lambda *_: memory_books(),
        leases,
        membership,
        OnePolicy((TENANT, policy())),
        account_parts(Crm(), secrets=NoSecrets()),
    )

    async def live() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await anyio.sleep(1.0)
            assert leases.taken == ["connector/acme/salesforce"]
            del cluster.beats["two"]
            await anyio.sleep(10.0)
            assert set(host.accounts()) == {(TENANT, "hubspot"), (TENANT, "salesforce")}
            tasks.cancel_scope.cancel()

    run_virtually(live)
