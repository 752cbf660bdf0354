"""Records of deleted entities: removed after the grace, never before, never under way, never of who was restated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import pytest
from tests.integration.sync.queued import CONNECTOR, LEASE, Queue, ended
from tests.unit.sync.tenant import POLICY, TENANT, key

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Found, Target, VendorError
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.approving import ApprovalFilter, Decision
from headwater.sync.domain.removing import fate_of
from headwater.sync.domain.settling import State
from headwater.sync.removing.worker import RemovalWorker
from headwater.sync.store.approvals import PostgresApprovals
from headwater.sync.store.removals import PostgresRemovals

pytestmark = pytest.mark.anyio

REMOVING = POLICY.replace(
    "          end_marks: {Headwater_State__c",
    "          deletes: remove\n          end_marks: {Headwater_State__c",
)
APPROVED = REMOVING + "approval: {deletes: {kinds: [delete]}}\n"
GONE = "003"


@dataclass
class Crm:
    """A CRM's bin. *meanwhile* happens while the call is under way."""

    records: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    fails: bool = False
    meanwhile: Callable[[], Awaitable[None]] | None = None

    @property
    def removing(self) -> Crm:
        """Itself."""
        return self

    async def look_up(self, target: Target, external_ids: Sequence[str]) -> Mapping[str, Found]:
        """Return what is there."""
        assert target.crm_object == "Contact"
        return {one: Found(one, self.records[one], {}) for one in external_ids if one in self.records}

    async def remove(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Remove all but the stubborn."""
        assert crm_object == "Contact"
        self.calls.append(tuple(sorted(crm_ids)))
        if self.meanwhile:
            await self.meanwhile()
        if self.fails:
            raise CallFailed(VendorError(ErrorClass.SERVER, "500", "down"))
        self.records = {k: v for k, v in self.records.items() if v not in crm_ids or v in self.stubborn}
        return {
            item: VendorError(ErrorClass.VALIDATION, "NO", "kept") for item in self.stubborn & set(crm_ids)
        }

    async def aclose(self) -> None:
        """Nothing to close."""


def worker(queue: Queue, crm: Crm, text: str = REMOVING) -> RemovalWorker:
    """Return the worker of a process that holds the account."""
    accounts = RunningAccounts()

    async def opened() -> Connector:
        return cast("Connector", crm)

    async def ask(_: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    account = RunningAccount(TENANT, CONNECTOR, load_policy(text), LEASE, opened, ask)
    accounts._accounts[TENANT, CONNECTOR] = account  # noqa: SLF001 - the host's way in is a block
    return RemovalWorker(PostgresRemovals(queue.pool), accounts, PostgresApprovals(queue.pool))


async def flag(queue: Queue, crm: Crm, *numbers: int, days: float = 31) -> None:
    """Put entities in that were deleted, whose records have been marked for so many days."""
    await queue.add(*numbers)
    turn = await queue.claim()
    await queue.settle(*(ended(item) for item in turn.claimed))
    entities = [key(number) for number in numbers]
    await queue.pool.execute("update sync.entity set state = 'deleted' where entity_id = any($1)", entities)
    await queue.pool.execute(
        "update sync.delivery set settle_time = now() - make_interval(secs => $2) where entity_id = any($1)",
        entities, days * 86_400,
    )  # fmt: skip
    crm.records.update({str(key(number)): f"{GONE}{number}" for number in numbers})


async def ids(queue: Queue) -> dict[int, str]:
    """Return entity to the CRM record that its delivery has."""
    rows = await queue.pool.fetch("select entity_id, crm_id from sync.delivery order by entity_id")
    return {row["entity_id"].int: row["crm_id"] for row in rows}


async def holds(queue: Queue) -> int:
    """Return how many deliveries are held back."""
    return int(await queue.pool.fetchval("select count(*) from sync.held_delivery"))


async def test_what_was_marked_for_longer_than_the_grace_is_removed(queue: Queue) -> None:
    """Noted in the audit; what has days left stays, and nothing is held back afterwards."""
    crm = Crm()
    await flag(queue, crm, 1)
    await flag(queue, crm, 2, days=29)
    subject = worker(queue, crm)
    assert [await subject.step(), await subject.step()] == [1, 0]
    assert (crm.calls, await ids(queue), await holds(queue)) == ([(f"{GONE}1",)], {1: "", 2: f"{GONE}2"}, 0)
    row = await queue.pool.fetchrow(
        "select action, entity_id, changes from sync.audit where action = 'record_removed'"
    )
    assert row is not None
    assert (row["entity_id"], row["changes"][0]["before"], row["changes"][0]["rule"]) == (
        key(1),
        f"{GONE}1",
        "grace_days",
    )


async def test_nothing_is_removed_unless_the_policy_says_so(queue: Queue) -> None:
    """Marks stay marks."""
    crm = Crm()
    await flag(queue, crm, 1)
    assert await worker(queue, crm, POLICY).step() == 0
    assert crm.calls == []


@pytest.mark.parametrize("change", ["restated", "marked", "in flight"])
async def test_what_is_no_longer_settled_as_deleted_stays(queue: Queue, change: str) -> None:
    """Stated anew within the grace, or under way."""
    crm = Crm()
    await flag(queue, crm, 1)
    if change == "restated":
        await queue.pool.execute("update sync.entity set state = 'active'")
    else:
        await queue.mark(1, version=2)
    if change == "in flight":
        assert len((await queue.claim()).claimed) == 1
    assert (await worker(queue, crm).step(), crm.calls) == (0, [])


async def test_what_is_restated_while_it_is_removed_is_made_anew(queue: Queue) -> None:
    """The delivery is not claimed meanwhile; afterwards it goes on without a record."""
    crm = Crm()
    await flag(queue, crm, 1)

    async def restate() -> None:
        await queue.pool.execute("update sync.entity set state = 'active', version = 2")
        await queue.mark(1, version=2)
        assert (await queue.claim()).claimed == ()

    crm.meanwhile = restate
    assert await worker(queue, crm).step() == 1
    (item,) = (await queue.claim()).claimed
    assert (item.crm_id, item.known, item.state) == ("", {}, "active")


async def test_a_record_that_carries_no_id_of_ours_any_more_is_left_alone(queue: Queue) -> None:
    """Somebody took it over: we let go of it, and call nothing."""
    crm = Crm()
    await flag(queue, crm, 1)
    crm.records[str(key(1))] = "another"
    assert (await worker(queue, crm).step(), crm.calls, await ids(queue)) == (1, [], {1: ""})


async def test_what_the_crm_keeps_stays_noted(queue: Queue) -> None:
    """Looked up afterwards: a record that is there still is tried again."""
    crm = Crm(stubborn={f"{GONE}1"})
    await flag(queue, crm, 1, 2)
    subject = worker(queue, crm)
    assert await subject.step() == 1
    crm.stubborn.clear()
    assert await subject.step() == 1
    assert await ids(queue) == {1: "", 2: ""}


async def test_a_call_that_fails_leaves_everything_as_it_was(queue: Queue) -> None:
    """Nothing is noted, nothing stays held back."""
    crm = Crm(fails=True)
    await flag(queue, crm, 1)
    assert await worker(queue, crm).step() == 0
    assert (await ids(queue), await holds(queue)) == ({1: f"{GONE}1"}, 0)


async def test_what_a_dead_process_held_back_goes_on_under_its_successor(queue: Queue) -> None:
    """Taking the account over releases it."""
    crm = Crm()
    await flag(queue, crm, 1)
    book = PostgresRemovals(queue.pool)
    (item,) = await book.due(TENANT, CONNECTOR, 0.0, UUID(int=0), 10)
    assert await book.hold(TENANT, LEASE, CONNECTOR, 0.0, [item]) == {key(1)}
    await queue.pool.execute("update sync.lease set fence = 2")
    await queue.successor().take_over()
    assert await holds(queue) == 0


async def test_a_removal_waits_for_its_approval(queue: Queue) -> None:
    """Asked as a delete; approved it goes."""
    crm, approvals = Crm(), PostgresApprovals(queue.pool)
    await flag(queue, crm, 1)
    subject = worker(queue, crm, APPROVED)
    assert [await subject.step(), await subject.step()] == [0, 0]
    (view,) = await approvals.list_approvals(TENANT, ApprovalFilter(kind="delete"), None, 10)
    assert (view.ask.subject, view.ask.crm_id, crm.calls) == ("removal", f"{GONE}1", [])
    yes = Decision(approves=True, actor="user:ann", reason="", policy_version="7")
    assert await approvals.decide(TENANT, ApprovalFilter(kind="delete"), ["deletes"], yes, 10) == 1
    assert await subject.step() == 1
    assert (await queue.state(1))["state"] == State.DELIVERED


async def test_marked_records_are_listed_with_what_becomes_of_them(queue: Queue) -> None:
    """Page by page; what is removed after the grace says when, what stays says so."""
    crm, book = Crm(), PostgresRemovals(queue.pool)
    await flag(queue, crm, 1, 2, days=1)
    first = await book.list_flagged(TENANT, "", None, 1)
    rest = await book.list_flagged(TENANT, CONNECTOR, (first[0].entity_id, first[0].connector), 10)
    assert [item.entity_id for item in (*first, *rest)] == [key(1), key(2)]
    assert await book.list_flagged(TENANT, "hubspot", None, 10) == []
    item = first[0]

    def fate(document: PolicyDocument, time: dt.datetime | None) -> Any:
        return fate_of(document, item.connector, item.crm_object, item.object, time)

    removing, keeping = load_policy(REMOVING), load_policy(POLICY)
    assert item.flag_time is not None
    assert fate(removing, item.flag_time).due_time == item.flag_time + dt.timedelta(days=30)
    assert [fate(removing, None).action, fate(keeping, item.flag_time).action] == ["wait", "keep"]
