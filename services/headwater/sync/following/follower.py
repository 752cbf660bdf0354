"""Follows one merge of entities in one account, step by step, and undoes it there.

What is about to be sent is noted before it is sent, what was sent after it. A crash or a lost answer between the two
leaves the step begun: it is looked at in the CRM before it is sent again. Deliveries of both entities are held back
from the first look to the end, so that nothing is written to a record that is on its way.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec.structs import replace

from headwater.connectors.base import (
    CallFailed,
    Connector,
    ErrorClass,
    Mergeable,
    Merging,
    Present,
    Snapshot,
    Step,
    StepKind,
)
from headwater.sync.delivery.accounts import READ, Asks, RunningAccount
from headwater.sync.domain.delivering import to_read, to_target
from headwater.sync.domain.following import (
    BUSY_S,
    SURVIVOR_PAUSE_S,
    SURVIVOR_S,
    Both,
    Course,
    FollowState,
    Lineage,
    RecordMerge,
    judge,
    outbound_of,
    told,
)
from headwater.sync.following.ports import MergeBook, Places, Taken

WRITE: Final = "write"
"""Class of endpoints that merges belong to: their breaker is the deliveries'."""


class NotNeeded(Exception):
    """There is nothing to merge in this account, and never will be."""


class NotYet(Exception):
    """It cannot begin now."""

    def __init__(self, pause_s: float) -> None:
        super().__init__()
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Follower:
    """Follows merges of one account."""

    account: RunningAccount
    connector: Connector
    book: MergeBook
    chance: random.Random

    async def follow(self, merge: RecordMerge) -> None:
        """Bring *merge* to its end, or as far as it goes now.

        Cancellation: the step under way is noted as begun.

        Raises:
            FenceLost, Unavailable, StoreRaced: from the store.
        """
        if merge.state is FollowState.PLANNED and merge.wanted == "split":
            await self._end(merge, FollowState.NOT_NEEDED, "split before its records were merged")
            return
        try:
            begun = await self._begin(merge)
            await self._go_on(begun)
        except NotNeeded as error:
            await self._end(merge, FollowState.NOT_NEEDED, str(error))
        except NotYet as error:
            await self.book.write(merge, self.account.lease, error.pause_s)
        except CallFailed as failed:  # a look before the first step, or after the last one
            await self._postpone(merge, failed)

    async def _begin(self, merge: RecordMerge) -> RecordMerge:
        """Return *merge* with its steps planned; where they are already, as it is."""
        if merge.state in {FollowState.MERGING, FollowState.UNDOING} and merge.course.steps:
            return merge
        places = await self.book.hold(merge, self.account.lease)
        if places.busy:
            raise NotYet(BUSY_S)
        if merge.state is FollowState.PLANNED:
            begun = await self._plan_merge(merge, places)
        else:
            begun = await self._plan_undo(merge, places)
        await self.book.write(begun, self.account.lease)
        return begun

    async def _plan_merge(self, merge: RecordMerge, places: Places) -> RecordMerge:
        merging = self._merging()
        crm_object, key, ids = await self._records(merge, places)
        found = await self._ask(READ, partial(merging.snapshots, crm_object, ids))
        survivor, loser = (found.get(crm_id) for crm_id in ids)
        if survivor is None or loser is None or survivor.deleted or loser.deleted:
            raise NotNeeded("one of the two records is gone from the CRM")
        if survivor.crm_id == loser.crm_id:
            raise NotNeeded("the CRM has merged the two records already")
        steps = tuple(merging.plan_merge(survivor, loser))
        return replace(
            merge, state=FollowState.MERGING, crm_object=crm_object, key=key, both=Both(survivor, loser),
            course=Course(steps, holder_id=places.holder_id), try_count=0, finding="",
        )  # fmt: skip

    async def _records(self, merge: RecordMerge, places: Places) -> tuple[str, str, tuple[str, str]]:
        """Return CRM object, external id field and both ids; what the CRM says counts, not what was noted."""
        if places.holder_id == merge.loser_id:
            raise NotNeeded("the entity was taken apart again")
        loser, survivor = places.loser, places.survivor
        if loser is None or (not loser.crm_id and not loser.coming):
            raise NotNeeded("the entity that was merged has no record here")
        crm_object = loser.crm_object or (survivor.crm_object if survivor else "")
        outbound = outbound_of(self.account.policy, merge.object, crm_object)
        if outbound is None:
            raise NotNeeded(f"records of {crm_object or merge.object} are not merged by the policy")
        if self._merging().merge_terms(crm_object) is None:
            raise NotNeeded(f"the vendor cannot merge records of {crm_object}")
        target = to_read(to_target(merge.object, outbound), outbound)
        wanted = [str(places.holder_id), str(merge.loser_id)]
        found = await self._ask(READ, partial(self.connector.look_up, target, wanted))
        if wanted[1] not in found:
            raise NotNeeded("the entity that was merged has no record here")
        if wanted[0] not in found:
            if survivor is not None and survivor.coming and merge.waited_s < SURVIVOR_S:
                await self.book.let_go(merge, places.holder_id)
                raise NotYet(SURVIVOR_PAUSE_S)
            raise NotNeeded("the entity that stays has no record of this kind here")
        return crm_object, outbound.external_id, (found[wanted[0]].crm_id, found[wanted[1]].crm_id)

    async def _plan_undo(self, merge: RecordMerge, places: Places) -> RecordMerge:
        steps, survivor_id = await undo_steps(self._merging(), self._ask, self.book, merge, places)
        course = Course(steps, left=survivor_id, vanished=merge.course.vanished, holder_id=places.holder_id)
        return replace(merge, state=FollowState.UNDOING, course=course, try_count=0, finding="")

    async def _go_on(self, merge: RecordMerge) -> None:
        while (step := merge.course.next_step) is not None:
            try:
                crm_id = await self._performed(merge, step)
                if not crm_id:
                    merge = replace(merge, course=merge.course.begin())
                    await self.book.write(merge, self.account.lease)
                    crm_id = await self._ask(WRITE, partial(self._merging().perform, step))
            except CallFailed as failed:
                await self._postpone(merge, failed)
                return
            merge = replace(merge, course=merge.course.after(crm_id), try_count=0)
            await self.book.write(merge, self.account.lease, notes=told(step, crm_id))
        await (self._merged(merge) if merge.state is FollowState.MERGING else self._undone(merge))

    async def _performed(self, merge: RecordMerge, step: Step) -> str:
        """Return what a step that may have been sent has left; empty when it has to be sent (again)."""
        if not merge.course.begun or step.repeatable:
            return ""
        return await self._ask(READ, partial(self._merging().performed, step))

    async def _merged(self, merge: RecordMerge) -> None:
        """Note what the merge has made; without it, when the CRM does not tell, what the survivor was counts."""
        survivor_id, after = merge.course.left, None
        try:
            read = partial(self._merging().snapshots, merge.crm_object, [survivor_id])
            after = (await self._ask(READ, read)).get(survivor_id)
        except CallFailed as failed:
            verdict = judge(failed.error, merge.try_count, self.chance)
            if verdict.pause_s is not None:
                again = replace(merge, try_count=verdict.try_count, finding=failed.error.message)
                await self.book.write(again, self.account.lease, verdict.pause_s)
                return
        both = replace(_both(merge), after=after)
        done = replace(merge, state=FollowState.MERGED, both=both, course=Course(), finding="")
        taken = Taken(merge.course.holder_id or merge.winner_id, merge.crm_object, survivor_id)
        await self.book.finish(done, self.account.lease, [taken], [merge.loser_id])

    async def _undone(self, merge: RecordMerge) -> None:
        restored = merge.course.restored or _both(merge).loser.crm_id
        done = replace(merge, state=FollowState.UNDONE, finding="")
        taken = [Taken(merge.loser_id, merge.crm_object, restored)]
        if merge.course.left and merge.course.holder_id is not None:
            taken.append(Taken(merge.course.holder_id, merge.crm_object, merge.course.left))
        await self.book.finish(done, self.account.lease, taken)

    async def _postpone(self, merge: RecordMerge, failed: CallFailed) -> None:
        error, course = failed.error, merge.course
        step = course.next_step
        if (
            step is not None
            and step.kind is StepKind.UNDELETE
            and error.error_class is ErrorClass.NOT_FOUND
            and not course.vanished
        ):  # the bin has let go of it: planned anew, without the bin
            await self.book.write(replace(merge, course=Course(vanished=True)), self.account.lease)
            return
        verdict = judge(error, merge.try_count, self.chance)
        merge = replace(
            merge, try_count=verdict.try_count, finding=f"{error.error_class}: {error.code}: {error.message}",
            course=course if verdict.in_doubt else course.refused(),
        )  # fmt: skip
        if verdict.pause_s is None:
            await self._end(merge, FollowState.FAILED, merge.finding)
            return
        await self.book.write(merge, self.account.lease, verdict.pause_s)

    async def _end(self, merge: RecordMerge, state: FollowState, finding: str) -> None:
        await self.book.finish(replace(merge, state=state, finding=finding), self.account.lease)

    def _merging(self) -> Merging:
        if not isinstance(self.connector, Mergeable):
            raise NotNeeded(f"vendor {self.account.policy.vendor} cannot merge records")
        return self.connector.merging

    @property
    def _ask(self) -> Asks:
        return self.account.ask


async def undo_steps(
    merging: Merging, ask: Asks, book: MergeBook, merge: RecordMerge, places: Places
) -> tuple[tuple[Step, ...], str]:
    """Return the plan that undoes *merge* as things stand now, and the id of the record that keeps the rest."""
    if merge.both is None:
        raise NotNeeded("what it would be undone by was erased")
    both = merge.both
    survivor_id = places.survivor.crm_id if places.survivor and places.survivor.crm_id else merge.course.left
    survivor_id = survivor_id or both.whole().after.crm_id
    wanted = [survivor_id, both.loser.crm_id]
    found: Mapping[str, Snapshot] = await ask(READ, partial(merging.snapshots, merge.crm_object, wanted))
    survivor = found.get(survivor_id)
    if survivor is None or survivor.deleted:
        raise NotNeeded("the record that the other was merged into is gone from the CRM")
    own = found.get(both.loser.crm_id)
    loser = own if own is not None and own.crm_id == both.loser.crm_id and not merge.course.vanished else None
    related = await book.related(merge, places.holder_id)
    lineage = Lineage(merge, places.holder_id, related)
    moved_on = places.holder_id != merge.winner_id
    present = Present(survivor, loser, lineage.staying(), moved_on)
    return tuple(merging.plan_undo(lineage.merged(), present, merge.key)), survivor.crm_id


def _both(merge: RecordMerge) -> Both:
    if merge.both is None:
        raise ValueError(f"merge {merge.merge_id} has no snapshots")
    return merge.both
