"""The hosts of projector and actors outlive the database's absence, and trust its cursors, not their memory."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio
import pytest
from tests.unit.sync.accounts import Cluster, Crm, MemoryLeases, OnePolicy, account_parts
from tests.unit.sync.tenant import TENANT, event, policy

from headwater.kernel.errors import HeadwaterError, InvalidInput, Unavailable
from headwater.sync.delivery.account import BACKOFF_S_MAX, BACKOFF_S_MIN, next_pause_s
from headwater.sync.delivery.host import DeliveryHost
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.projecting import Effect
from headwater.sync.membership import Membership
from headwater.sync.ports import Deliveries, StoreRaced, StoreRefused
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.wakeup import Wakeup

PATIENCE_S = 10.0


class OneShardLog:
    """A log of one shard, with the cursor that the projector's transactions move."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self.events = list(events)
        self.cursor = Position(0, 0)

    async def shard_count(self) -> int:
        """One."""
        return 1

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """None."""
        return []

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """Where the last commit has left it."""
        return dict.fromkeys(shards, self.cursor)

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Nobody drops anything here."""

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> list[LogEvent]:
        """What is behind."""
        return [item for item in self.events if item.position > after[0]][:shard_limit]


class CommitsUnheard(BatchProjector):
    """A projector whose first commit stands although its caller is told of a failure."""

    def __init__(self, log: OneShardLog, fault: HeadwaterError) -> None:
        self._log = log
        self._fault: HeadwaterError | None = fault
        self.batches: list[list[LogEvent]] = []
        self.done = anyio.Event()

    async def project(self, leases: Sequence[Lease], events: Sequence[LogEvent]) -> tuple[Effect, ...]:
        """Commit; the first time, fail after it and let one more event come."""
        del leases
        self.batches.append(list(events))
        self._log.cursor = events[-1].position
        if self._fault is None:
            self.done.set()
            return ()
        fault, self._fault = self._fault, None
        self._log.events.append(event(3))
        raise fault


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [Unavailable("gone"), StoreRaced("raced"), StoreRefused("no")])
async def test_a_commit_in_doubt_is_not_projected_again(fault: HeadwaterError) -> None:
    """After a failed transaction the cursor in the database tells how far it got."""
    log = OneShardLog([event(1), event(2)])
    projector = CommitsUnheard(log, fault)
    leases = MemoryLeases(Cluster(), "one")
    membership = Membership(leases)
    policies = LogPolicies(log)
    host = ProjectorHost(log, leases, membership, policies, projector, Wakeup(), ProjectorSettings())
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await projector.done.wait()
            tasks.cancel_scope.cancel()
    assert [[item.event_key.int for item in batch] for batch in projector.batches] == [[1, 2], [3]]


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

    def read(self, reference: str) -> Mapping[str, str]:
        """Refuse."""
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
    membership = Membership(leases)
    parts = account_parts(Crm(), secrets=NoSecrets())
    host = DeliveryHost(open_store, leases, membership, OnePolicy((TENANT, policy())), parts)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(membership.keep)
            tasks.start_soon(host.run)
            await store.again.wait()
            tasks.cancel_scope.cancel()
