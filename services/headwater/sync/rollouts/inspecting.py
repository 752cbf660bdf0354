"""Asks accounts what meets records that are written, before a rollout writes many.

Only the process that holds an account may call its CRM, so a question is a row that any process writes and that one
answers: limits, quota and breaker hold for questions as for deliveries. A question nobody answers in time is no
permission; it comes back as a hindrance.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.abc

from headwater.connectors.base import CallFailed, Inspectable, WriteConditions
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.delivery.accounts import READ, RunningAccount, RunningAccounts
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.ports import StoreRaced
from headwater.sync.rollouts.ports import Inquiry, InspectionBook
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

WAIT_S: Final = 8.0
"""How long an operator waits for an account's answer."""
ANSWER_S: Final = 6.0
"""How long a CRM may take to answer: less than an operator waits, so that the reason arrives."""
LOOK_S: Final = 0.1
"""Pause between two looks for the answer."""
POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
ANSWERS_MAX: Final = 8
"""Questions that a process answers at once."""
NOBODY: Final = f"no process answered for the account within {WAIT_S:g} s"


@dataclass(frozen=True, slots=True)
class PostedInspections:
    """Port `Inspections`: posts a question for each account, and waits for the answers side by side."""

    book: InspectionBook
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def inspect(self, tenant_id: str, asked: Mapping[str, Sequence[str]]) -> Mapping[str, Inspection]:
        """Return what each account told of its objects, in at most `WAIT_S`. Raises: Unavailable.

        Cancellation: a question may stay behind; it is forgotten with later ones.
        """
        told: dict[str, Inspection] = {}

        async def one(connector: str) -> None:
            inquiry = Inquiry(tenant_id, connector, self.new_id(), tuple(asked[connector]))
            await self.book.ask(inquiry)
            told[connector] = await self._answer(inquiry)

        async with anyio.create_task_group() as tasks:
            for connector in asked:
                tasks.start_soon(one, connector)
        return told

    async def _answer(self, inquiry: Inquiry) -> Inspection:
        with anyio.move_on_after(WAIT_S):
            while True:
                found = await self.book.answer_of(inquiry)
                if found is not None:
                    return found
                await anyio.sleep(LOOK_S)
        return Inspection(hindrance=NOBODY)


class InspectionWorker:
    """Answers the questions to the accounts of this process."""

    def __init__(self, book: InspectionBook, accounts: RunningAccounts) -> None:
        self._book = book
        self._accounts = accounts
        self._slots = anyio.CapacityLimiter(ANSWERS_MAX)
        self._in_hand: set[uuid.UUID] = set()

    async def run(self, bell: Wakeup) -> None:
        """Answer for ever; ends by cancellation, which leaves what is in hand unanswered.

        Args:
            bell: rung when a question was posted.
        """
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    await self._look(tasks)
                except (Unavailable, StoreRaced) as error:
                    _log.warning("inspections: %s", error)
                await bell.wait(POLL_S)

    async def _look(self, tasks: anyio.abc.TaskGroup) -> None:
        accounts = dict(self._accounts.current())
        for inquiry in await self._book.waiting(list(accounts)):
            if inquiry.inspection_id not in self._in_hand:
                self._in_hand.add(inquiry.inspection_id)
                account = accounts[inquiry.tenant_id, inquiry.connector]
                tasks.start_soon(self._answer, account, inquiry)

    async def _answer(self, account: RunningAccount, inquiry: Inquiry) -> None:
        try:
            async with self._slots:
                with account.working():
                    await self._book.answer(inquiry, await inspected(account, inquiry.crm_objects))
        except (Unavailable, StoreRaced) as error:
            _log.warning("an inspection of %s is not stored: %s", account.name, error)
        finally:
            self._in_hand.discard(inquiry.inspection_id)


async def inspected(account: RunningAccount, crm_objects: Sequence[str]) -> Inspection:
    """Return what *account* tells of its objects, in at most `ANSWER_S`; why not, when it cannot be asked."""
    try:
        with anyio.fail_after(ANSWER_S):
            async with account.connected() as connector:
                if not isinstance(connector, Inspectable):
                    return Inspection(hindrance=f"vendor {account.policy.vendor} cannot be asked")
                return Inspection(await _conditions(account, connector, crm_objects))
    except TimeoutError:
        return Inspection(hindrance=f"{account.policy.vendor} did not answer within {ANSWER_S:g} s")
    except CallFailed as failed:
        return Inspection(hindrance=f"{failed.error.error_class}: {failed.error.message}")
    except FenceLost:
        return Inspection(hindrance="the account was taken over by another process")
    except Unavailable:
        raise
    except HeadwaterError as error:
        return Inspection(hindrance=error.message)


async def _conditions(
    account: RunningAccount, connector: Inspectable, crm_objects: Sequence[str]
) -> Mapping[str, WriteConditions]:
    """Ask for every object side by side; one that fails makes the whole answer fail."""
    told: dict[str, WriteConditions] = {}
    failed: list[CallFailed | HeadwaterError | FenceLost] = []

    async def one(crm_object: str) -> None:
        try:
            told[crm_object] = await account.ask(READ, partial(connector.conditions, crm_object))
        except (CallFailed, HeadwaterError, FenceLost) as error:
            failed.append(error)

    async with anyio.create_task_group() as tasks:
        for crm_object in crm_objects:
            tasks.start_soon(one, crm_object)
    if failed:
        raise failed[0]
    return told
