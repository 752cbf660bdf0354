# ruff: noqa: ARG002 - doubles take what their ports take
"""What webhooks point at is read once it can be, settled only as it was read, and deleted only on the CRM's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT
from tests.unit.sync.test_backfilling import LEASE, Log, failed, reads

from headwater.connectors.base import Connector, ErrorClass, Fetched, Polled, Seen
from headwater.kernel.clock import SteppedClock
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.leasing import Lease
from headwater.sync.fetching.ports import Wanted
from headwater.sync.fetching.worker import FetchWorker


@dataclass
class Crm:
    """A CRM with record 1; 2 is deleted, others never were."""

    down: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def fetch(self, polled: Polled, crm_ids: Sequence[str]) -> Fetched:
        """Answer."""
        self.asked.append(tuple(crm_ids))
        if self.down:
            raise failed(ErrorClass.SERVER)
        alive = tuple(Seen(item, NOON, {"email": "a@x.org"}) for item in crm_ids if item == "1")
        gone = tuple(Seen(item, NOON, {}) for item in crm_ids if item == "2")
        return Fetched(alive, gone, tuple(item for item in crm_ids if item not in {"1", "2"}))


@dataclass
class Book:
    """Records that are wanted."""

    wanted: list[Wanted]
    settled: list[Wanted] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    held: frozenset[str] = frozenset({"3"})

    async def due(self, accounts: Sequence[tuple[str, str]], limit: int) -> list[Wanted]:
        """Return them once."""
        due, self.wanted = self.wanted, []
        return due

    async def settle(self, lease: Lease, done: Sequence[Wanted]) -> None:
        """Keep what is settled."""
        self.settled += done

    async def put_off(self, lease: Lease, failed: Sequence[Wanted], wait_s: float, finding: str) -> None:
        """Keep why."""
        self.findings.append(f"{wait_s:g} {finding}")

    async def known(
        self, tenant_id: str, object_name: str, source: str, ids: Sequence[str]
    ) -> frozenset[str]:
        """Return those that are held."""
        return self.held & set(ids)


def wanted(*ids: str, crm_object: str = "contacts", tries: int = 0) -> list[Wanted]:
    """Return records that are wanted."""
    return [Wanted(TENANT, "hubspot", crm_object, item, 7, tries) for item in ids]


async def stepped(crm: Any, book: Book) -> Log:
    """Let the worker look once."""

    async def connect() -> Connector:
        return cast("Connector", crm)

    log, accounts = Log(), RunningAccounts()
    account = RunningAccount(TENANT, "hubspot", reads(), LEASE, connect, unguarded)
    with accounts.running(account):
        await FetchWorker(book, log, accounts, SteppedClock(NOON)).step()
    return log


@pytest.mark.anyio
async def test_records_are_read_in_one_call_and_what_is_absent_is_deleted_only_if_it_is_held() -> None:
    """1 is there, 2 deleted, 3 gone without a trace and held by us, 4 was never heard of."""
    crm, book = Crm(), Book(wanted("1", "2", "3", "4"))
    log = await stepped(crm, book)
    assert crm.asked == [("1", "2", "3", "4")]
    assert set(log.recorded) == {"1", "2", "3"}
    assert [item.crm_id for item in book.settled] == ["1", "2", "3", "4"]


@pytest.mark.anyio
async def test_what_cannot_be_read_stays_and_is_tried_ever_later() -> None:
    """Nothing is recorded or settled, and above all nothing is deleted, when the CRM does not answer."""
    book = Book(wanted("3", tries=2))
    log = await stepped(Crm(down=True), book)
    assert (log.recorded, book.settled) == ({}, [])
    assert book.findings[0].startswith("4 server")


@pytest.mark.anyio
async def test_an_object_that_is_not_read_any_more_is_let_go() -> None:
    """The policy took it out: nobody asks the CRM."""
    crm, book = Crm(), Book(wanted("1", crm_object="deals"))
    await stepped(crm, book)
    assert (crm.asked, [item.crm_id for item in book.settled]) == ([], ["1"])
