"""One process of the limits run: takes the account's lease, calls as fast as its gate lets it, hands over.

`python -m tests.load.sync.limit_worker PLAN`, the plan as JSON. Uses the product's own leases, books,
gate and connector against a sandbox. Runs until it is killed, or ends without a word where the plan says so.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from tests.doubles.gates import open_gate

from headwater.connectors.base import Account, CallFailed, Connector, Target, load_vendor
from headwater.kernel.clock import SystemClock
from headwater.kernel.lifecycle import announce_ready
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Limits
from headwater.sync.delivery.gate import GateParts, Place
from headwater.sync.delivery.pacing import BucketPacer
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.limiting import Limiter, rules_of
from headwater.sync.domain.quota import Ledger, allowance_of
from headwater.sync.domain.usage import Usage
from headwater.sync.membership import Membership
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.limits import PostgresLimits

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

POLL_S = 0.05
"""How often a process without the lease asks for it."""
DIE_EARLY_S = 0.05
"""A process that ends itself does so before it would drain, its calls under way."""
REST_S = 0.1
"""How long it leaves the lease to others after a hand-over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker does.

    Args:
        hold_s: shortest and longest time with the lease.
        crash: share of holdings that end by the process ending itself at once.
        safe: False lets every process begin with empty books: a control run that must be seen to exceed.
    """

    dsn: str
    url: str
    account: str
    calls: int
    window_s: float
    hold_s: tuple[float, float]
    lease_ttl_s: float
    callers: int
    crash: float
    seed: int
    safe: bool = True

    @property
    def limits(self) -> Limits:
        """The policy's limits."""
        window = {"calls": self.calls, "window_s": self.window_s, "classes": ["write", "read"]}
        given = {"windows": [window], "concurrency": self.callers, "lost_call_s": 0.5}
        return Limits.model_validate(given)


class Forgetful(PostgresLimits):
    """Books that tell a successor nothing of the windows."""

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books, and forget what was in them."""
        _, ledger = await super().take_over(day)
        return Usage(fresh=True), ledger


class Worker:
    """One process's part in the run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(f"{plan.seed}:{os.getpid()}")

    async def run(self) -> None:
        """Hold the lease again and again."""
        plan = self._plan
        async with await open_pool(plan.dsn, application_name="limits", size_max=4) as pool:
            leases = PostgresLeases(pool, f"worker:{os.getpid()}", plan.lease_ttl_s)
            membership = Membership(leases)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(membership.keep)
                announce_ready(service="limits")
                await self._take_turns(pool, leases, membership)

    async def _take_turns(self, pool: Pool, leases: PostgresLeases, membership: Membership) -> None:
        plan = self._plan
        name = f"connector/{plan.account}/hubspot"
        open_books = PostgresLimits if plan.safe else Forgetful
        while True:
            await membership.wait_until_standing()
            fences = await leases.acquire([name], 1)
            if name not in fences:
                await anyio.sleep(POLL_S * self._chance.uniform(0.5, 1.5))
                continue
            try:
                await self._hold(
                    membership, open_books(pool, plan.account, "hubspot", Lease(name, fences[name]))
                )
            except* FenceLost:
                sys.stderr.write(f"{os.getpid()}: the lease was lost\n")
            await leases.release([name])
            await anyio.sleep(REST_S)

    async def _hold(self, membership: Membership, books: PostgresLimits) -> None:
        plan = self._plan
        rules = rules_of(plan.limits)
        parts = GateParts(
            limiter=Limiter(rules),
            allowance=allowance_of(plan.limits),
            books=books,
            pacer=BucketPacer(rules),
            spans=Spans.off(),
            clock=SystemClock(),
            may_call=membership.may_work,
        )
        base = f"{plan.url}/hubspot/{plan.account}"
        account = Account("hubspot", base, _credentials(plan.account), timeout_s=5.0)
        async with open_gate(Place(plan.account, base, account.timeout_s), parts) as gate:
            connector = load_vendor("hubspot").open(account, gate)
            try:
                await self._call_for(connector)
            finally:
                await connector.aclose()

    async def _call_for(self, connector: Connector) -> None:
        end = anyio.current_time() + self._chance.uniform(*self._plan.hold_s)
        dies = self._chance.random() < self._plan.crash
        async with anyio.create_task_group() as callers:
            if dies:
                callers.start_soon(_die_at, end)
            for _ in range(self._plan.callers):
                callers.start_soon(self._call, connector, end)

    async def _call(self, connector: Connector, end: float) -> None:
        target = Target("contact", "contacts", "headwater_id")
        while anyio.current_time() < end:
            try:
                await connector.owners(target, ["1"])
            except CallFailed as error:
                sys.stderr.write(f"{os.getpid()}: {error}\n")


async def _die_at(end: float) -> None:
    await anyio.sleep(max(0.0, end - anyio.current_time() - DIE_EARLY_S))
    os._exit(9)


def _credentials(account: str) -> dict[str, str]:
    """What the sandbox takes."""
    return {
        "client_id": "headwater",
        "client_secret": "sandbox-secret",
        "refresh_token": f"sandbox-refresh-{account}",
    }


async def main(plan: Plan) -> None:
    """Run one worker."""
    await Worker(plan).run()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["hold_s"] = tuple(given["hold_s"])
    anyio.run(main, Plan(**given), backend="asyncio", backend_options={"use_uvloop": True})
