"""Questions to accounts in Postgres: posted by one process, answered once by the one that holds the account."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import anyio
import pytest
from tests.unit.sync.tenant import TENANT

from headwater.connectors.base import Automation, AutomationKind, WriteConditions
from headwater.kernel.pg.pool import open_pool
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.rollouts.ports import Inquiry
from headwater.sync.store.inspections import PostgresInspections
from headwater.sync.wakeup import INSPECTION_CHANNEL

pytestmark = pytest.mark.anyio

INQUIRY = Inquiry(TENANT, "salesforce", uuid.UUID(int=7), ("Contact", "Lead"))
TOLD = Inspection({"Contact": WriteConditions((Automation(AutomationKind.FLOW, "Welcome"),), ("Region__c",))})


@pytest.fixture
async def book(migrated_database_url: str) -> AsyncIterator[PostgresInspections]:
    """The book of a tenant without questions."""
    async with await open_pool(migrated_database_url, application_name="test", size_max=2) as pool:
        yield PostgresInspections(pool)


async def test_an_answer_is_taken_out_once_as_it_was_given(book: PostgresInspections) -> None:
    """Every part of it, and nothing before it is there."""
    await book.ask(INQUIRY)
    assert await book.answer_of(INQUIRY) is None
    await book.answer(INQUIRY, TOLD)
    assert await book.answer_of(INQUIRY) == TOLD
    assert await book.answer_of(INQUIRY) is None


async def test_only_the_accounts_of_a_process_are_asked_of_it(book: PostgresInspections) -> None:
    """What was answered does not wait any more."""
    other = Inquiry(TENANT, "hubspot", uuid.UUID(int=8), ("contacts",))
    for inquiry in (INQUIRY, other):
        await book.ask(inquiry)
    assert await book.waiting([(TENANT, "salesforce"), ("another", "hubspot")]) == (INQUIRY,)
    assert await book.waiting([]) == ()
    await book.answer(INQUIRY, TOLD)
    assert await book.waiting([(TENANT, "salesforce")]) == ()


async def test_the_first_answer_stands(book: PostgresInspections) -> None:
    """Two processes may hold an account for a moment."""
    await book.ask(INQUIRY)
    await book.answer(INQUIRY, TOLD)
    await book.answer(INQUIRY, Inspection(hindrance="taken over"))
    assert await book.answer_of(INQUIRY) == TOLD


async def test_a_question_that_was_given_up_is_neither_answered_nor_kept(
    book: PostgresInspections, migrated_database_url: str
) -> None:
    """After a minute nobody waits for it; the next question clears it away within the hour."""
    await book.ask(INQUIRY)
    async with await open_pool(migrated_database_url, application_name="test", size_max=1) as pool:
        await pool.execute("update sync.inspection set ask_time = ask_time - interval '2 minutes'")
        assert await book.waiting([(TENANT, "salesforce")]) == ()
        await pool.execute("update sync.inspection set ask_time = ask_time - interval '1 hour'")
        await book.ask(Inquiry(TENANT, "hubspot", uuid.UUID(int=8), ("contacts",)))
        assert await pool.fetchval("select count(*) from sync.inspection") == 1


async def test_a_question_wakes_who_answers(book: PostgresInspections, migrated_database_url: str) -> None:
    """As it commits."""
    rung = anyio.Event()
    async with (
        await open_pool(migrated_database_url, application_name="test", size_max=1) as pool,
        pool.acquire() as connection,
    ):
        await connection.add_listener(INSPECTION_CHANNEL, lambda *_: rung.set())
        await book.ask(INQUIRY)
        with anyio.fail_after(5):
            await rung.wait()
        await connection.reset()
