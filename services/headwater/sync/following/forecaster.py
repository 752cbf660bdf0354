"""What a merge or a split would do in an account: the records are read, the plan is made, nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import anyio

from headwater.connectors.base import CallFailed, Connector, Mergeable, Merging, Snapshot
from headwater.kernel.errors import HeadwaterError, NotFound, Unavailable
from headwater.kernel.ids import ObjectName
from headwater.sync.delivery.accounts import READ, RunningAccount
from headwater.sync.desk_ports import OperationsStore
from headwater.sync.domain.following import FollowState, RecordMerge, outbound_of
from headwater.sync.domain.forecasting import Forecast, forecast_merge, forecast_undo
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.following.follower import NotNeeded, undo_steps
from headwater.sync.following.ports import MergeBook, Question, QuestionBook
from headwater.sync.ports import Policies

WAIT_S: Final = 8.0
"""How long an operator waits for an account's answer."""
ANSWER_S: Final = 6.0
"""How long a CRM may take to answer: less than an operator waits, so that the reason arrives."""
LOOK_S: Final = 0.1
"""Pause between two looks for the answer."""
NOBODY: Final = f"no process answered for the account within {WAIT_S:g} s"


async def foreseen(account: RunningAccount, book: MergeBook, question: Question) -> Forecast:
    """Return what would be done in *account*, in at most `ANSWER_S`; why nothing can be said, when it cannot."""
    try:
        with anyio.fail_after(ANSWER_S):
            async with account.connected() as connector:
                return await _foreseen(account, connector, book, question)
    except NotNeeded as error:
        return Forecast(account.name, "nothing", hindrance=str(error))
    except TimeoutError:
        hindrance = f"{account.policy.vendor} did not answer within {ANSWER_S:g} s"
    except CallFailed as failed:
        hindrance = f"{failed.error.error_class}: {failed.error.message}"
    except FenceLost:
        hindrance = "the account was taken over by another process"
    except Unavailable:
        raise
    except HeadwaterError as error:
        hindrance = error.message
    return Forecast(account.name, "nothing", hindrance=hindrance)


async def _foreseen(
    account: RunningAccount, connector: Connector, book: MergeBook, question: Question
) -> Forecast:
    if not isinstance(connector, Mergeable):
        raise NotNeeded(f"vendor {account.policy.vendor} cannot merge records")
    merging = connector.merging
    if question.merge_id is not None:
        return await _foreseen_undo(account, merging, book, question.merge_id)
    places = await book.places(question.tenant_id, account.name, question.winner_id, question.loser_id)
    survivor, loser = places.survivor, places.loser
    if not (survivor and loser and survivor.crm_id and loser.crm_id):
        raise NotNeeded("not both entities have a record here: nothing to merge")
    terms = merging.merge_terms(loser.crm_object)
    outbound = outbound_of(account.policy, cast("ObjectName", question.object), loser.crm_object)
    if outbound is None or terms is None or survivor.crm_object != loser.crm_object:
        note = f"{loser.crm_object} {loser.crm_id} gets its end marks and stays; nothing is merged"
        return Forecast(
            account.name, "link_only", loser.crm_object, survivor.crm_id, loser.crm_id, notes=(note,)
        )

    async def read() -> dict[str, Snapshot]:
        return dict(await merging.snapshots(loser.crm_object, [survivor.crm_id, loser.crm_id]))

    found = await account.ask(READ, read)
    stays, goes = found.get(survivor.crm_id), found.get(loser.crm_id)
    if stays is None or goes is None:
        raise NotNeeded("one of the two records is gone from the CRM")
    steps = merging.plan_merge(stays, goes)
    return forecast_merge(account.name, stays, goes, merging.foreseen(stays, goes), steps, terms)


async def _foreseen_undo(
    account: RunningAccount, merging: Merging, book: MergeBook, merge_id: uuid.UUID
) -> Forecast:
    merge = next(
        (one for one in await book.read(account.tenant_id, merge_id) if one.connector == account.name), None
    )
    if merge is None or merge.both is None or merge.state is not FollowState.MERGED:
        raise NotNeeded("no records were merged here" if merge is None else _why_not(merge))
    places = await book.places(account.tenant_id, account.name, merge.winner_id, merge.loser_id)
    steps, _ = await undo_steps(merging, account.ask, book, merge, places)
    terms = merging.merge_terms(merge.crm_object)
    if terms is None:
        raise NotNeeded(f"the vendor cannot merge records of {merge.crm_object}")
    now = merge.both.whole().after
    crm_id = places.survivor.crm_id if places.survivor and places.survivor.crm_id else now.crm_id
    survivor = Snapshot(now.crm_object, crm_id, now.fields)
    return forecast_undo(account.name, survivor, merge.both.loser, steps, terms)


def _why_not(merge: RecordMerge) -> str:
    return f"the merge of the records is {merge.state.value.replace('_', ' ')}" + (
        f": {merge.finding}" if merge.finding else ""
    )


@dataclass(frozen=True, slots=True)
class Foresight:
    """What operators ask before they merge or split, and see after."""

    book: MergeBook
    questions: QuestionBook
    entities: OperationsStore
    policies: Policies
    new_id: Callable[[], uuid.UUID] = uuid.uuid4

    async def of_merge(self, tenant_id: str, winner_id: uuid.UUID, loser_id: uuid.UUID) -> Sequence[Forecast]:
        """Return what every account that writes such entities would do about a merge. Raises: NotFound, Unavailable."""
        found = [await self.entities.read_entity(tenant_id, one) for one in (winner_id, loser_id)]
        if None in found:
            raise NotFound(
                "not both entities are projected", metadata={"winner": str(winner_id), "loser": str(loser_id)}
            )
        object_name = found[1].object if found[1] else ""
        return await self._asked(tenant_id, object_name, winner_id, loser_id, None)

    async def of_split(self, tenant_id: str, merge_id: uuid.UUID) -> Sequence[Forecast]:
        """Return what every account that followed a merge would do about its split. Raises: NotFound, Unavailable."""
        followed = await self.book.read(tenant_id, merge_id)
        if not followed:
            return ()
        first = followed[0]
        return await self._asked(
            tenant_id,
            first.object,
            first.winner_id,
            first.loser_id,
            merge_id,
            {one.connector for one in followed},
        )

    async def _asked(
        self,
        tenant_id: str,
        object_name: str,
        winner_id: uuid.UUID,
        loser_id: uuid.UUID,
        merge_id: uuid.UUID | None,
        only: set[str] | None = None,
    ) -> Sequence[Forecast]:
        policy = self.policies.current().get(tenant_id)
        connectors = policy.connectors if policy else {}
        asked = [
            Question(tenant_id, name, self.new_id(), object_name, winner_id, loser_id, merge_id)
            for name, item in connectors.items()
            if item.enabled
            and item.written.get(cast("ObjectName", object_name))
            and (only is None or name in only)
        ]
        told: dict[str, Forecast] = {}

        async def one(question: Question) -> None:
            await self.questions.ask(question)
            told[question.connector] = await self._answer(question)

        async with anyio.create_task_group() as tasks:
            for question in asked:
                tasks.start_soon(one, question)
        return [told[question.connector] for question in asked]

    async def _answer(self, question: Question) -> Forecast:
        with anyio.move_on_after(WAIT_S):
            while True:
                found = await self.questions.answer_of(question)
                if found is not None:
                    return found
                await anyio.sleep(LOOK_S)
        return Forecast(question.connector, "nothing", hindrance=NOBODY)
