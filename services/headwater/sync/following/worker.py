"""Follows merges in the accounts of this process, and answers what a merge or a split would do there.

Only the process that holds an account may call its CRM: limits, quota, breaker and fence hold for merges as for
deliveries. One merge of an account is under way at a time, in the order in which they are due.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final

import anyio
import anyio.abc
from msgspec.structs import replace

from headwater.connectors.base import CallFailed
from headwater.kernel.errors import HeadwaterError, Unavailable
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.approving import ApprovalState, refusal_of
from headwater.sync.domain.following import FollowState, RecordMerge
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.following.follower import Follower
from headwater.sync.following.forecaster import foreseen
from headwater.sync.following.ports import MergeBook, Question, QuestionBook
from headwater.sync.ports import StoreRaced
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

POLL_S: Final = 5.0
"""Longest wait for a wake-up that may have been missed."""
LOOK_S: Final = 0.05
"""Shortest pause between two looks."""
AGAIN_S: Final = 1.0
"""Pause before a merge is taken up again whose account or store failed."""
UNDECIDED_S: Final = 60.0
"""Pause before it is looked again whether somebody has approved a merge, unless that is told."""
ACCOUNTS_MAX: Final = 8
"""Accounts in which a process follows merges at once."""


class FollowWorker:
    """Works on the accounts of this process.

    Args:
        approvals: where is asked about merges that a person has to approve; None: those wait for good.
    """

    def __init__(
        self,
        book: MergeBook,
        questions: QuestionBook,
        accounts: RunningAccounts,
        chance: Callable[[], random.Random] = random.Random,
        approvals: ApprovalBook | None = None,
    ) -> None:
        self._approvals = approvals
        self._book = book
        self._questions = questions
        self._accounts = accounts
        self._chance = chance()
        self._slots = anyio.CapacityLimiter(ACCOUNTS_MAX)
        self._in_hand: set[Hashable] = set()

    async def run(self, bell: Wakeup) -> None:
        """Follow for ever; ends by cancellation, which leaves what is under way to be looked at by a successor.

        Args:
            bell: rung when a merge was ordered or a question posted.
        """
        async with anyio.create_task_group() as tasks:
            while True:
                pause_s = POLL_S
                try:
                    pause_s = await self._look(tasks, bell)
                except (Unavailable, StoreRaced) as error:
                    _log.warning("merges: %s", error)
                await bell.wait(max(LOOK_S, pause_s))

    async def _look(self, tasks: anyio.abc.TaskGroup, bell: Wakeup) -> float:
        """Begin what is due; return the seconds until something else is."""
        accounts = dict(self._accounts.current())
        if not accounts:
            return POLL_S
        for question in await self._questions.questions(list(accounts)):
            account = accounts[question.tenant_id, question.connector]
            self._begin(tasks, bell, question.question_id, partial(self._answer, account, question))
        pause_s = POLL_S
        for item in await self._book.waiting(list(accounts)):
            key = (item.merge.tenant_id, item.merge.connector)
            if item.due_s <= 0:
                self._begin(tasks, bell, key, partial(self._follow, accounts[key], item.merge))
            elif key not in self._in_hand:
                pause_s = min(pause_s, item.due_s)
        return pause_s

    def _begin(
        self, tasks: anyio.abc.TaskGroup, bell: Wakeup, key: Hashable, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Start *work* unless what *key* names is in hand; its end rings the bell: something else may be due."""
        if key in self._in_hand:
            return
        self._in_hand.add(key)

        async def run() -> None:
            try:
                async with self._slots:
                    await work()
            finally:
                self._in_hand.discard(key)
                bell.set()

        tasks.start_soon(run)

    async def _follow(self, account: RunningAccount, merge: RecordMerge) -> None:
        try:
            with account.working():
                if not await self._approved(account, merge):
                    return
                async with account.connected() as connector:
                    await Follower(account, connector, self._book, self._chance).follow(merge)
        except FenceLost:
            _log.warning("merge %s: account %s was taken over", merge.merge_id, account.name)
        except (Unavailable, StoreRaced, HeadwaterError, CallFailed) as error:
            _log.warning("merge %s in %s: %s", merge.merge_id, account.name, error)
            await anyio.sleep(AGAIN_S)

    async def _approved(self, account: RunningAccount, merge: RecordMerge) -> bool:
        """Return whether *merge* may go on; else it waits, while its winner is delivered, or has ended."""
        if merge.state is not FollowState.PLANNED or merge.wanted != "merged":
            return True
        door = ApprovalDoor(account.document, account.name, self._approvals)
        verdict = await door.may_merge(merge)
        if verdict is None or verdict.state is ApprovalState.APPROVED:
            return True
        if verdict.state is ApprovalState.ASKED:
            await self._book.let_go(merge, merge.winner_id)
            waiting = replace(merge, finding="approval: waits for a decision")
            await self._book.write(waiting, account.lease, UNDECIDED_S)
            return False
        refused = replace(merge, state=FollowState.NOT_NEEDED, finding=refusal_of(verdict))
        await self._book.finish(refused, account.lease)
        return False

    async def _answer(self, account: RunningAccount, question: Question) -> None:
        try:
            with account.working():
                await self._questions.answer(question, await foreseen(account, self._book, question))
        except (Unavailable, StoreRaced) as error:
            _log.warning("a preview of %s is not stored: %s", account.name, error)
