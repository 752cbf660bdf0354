"""Deciding candidates: merge, keep apart, split, keep together, put off; undoing it; giving it to a person.

Each is one transaction that has the tenant alone, and is written down in the same. Asked again with the same
request id, nothing is done twice. Reading the queue is `queueing`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from headwater.identity.domain.merging import Actor, EntityState, Merge, merged_already
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.values import Wanted
from headwater.identity.domain.reviewing import (
    CLOSING,
    Action,
    Kind,
    Review,
    part,
    refuse_unless_fits,
    refuse_unless_open,
    refuse_unless_repeated,
    refuse_unless_undoable,
)
from headwater.identity.ports import ReviewStore, ReviewTransaction
from headwater.identity.usecases.merging import SEEDS_MAX, Merger, entity_in
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.kernel.ids import EntityId, TenantId

ACTIONS_MAX: Final = 50
"""Actions on one candidate that are looked through for the decision that stands."""
APART_RECORDS_MAX: Final = 200
"""Records of an entity that a decision tells apart from another's."""
NOBODY: Final = uuid.UUID(int=0)
"""Id of an action that is only tried."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer that somebody gives.

    Args:
        skip_time: until when it is put off, with SKIP only.
        winner_id: the entity that is to stay, with MERGE; None leaves it to the rule.
        dry: only say what would move.
    """

    candidate_seq: int
    kind: Kind
    actor: Actor
    reason: str
    request_id: uuid.UUID
    skip_time: dt.datetime | None = None
    winner_id: EntityId | None = None
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Undoing:
    """A decision that somebody takes back."""

    action_id: uuid.UUID
    actor: Actor
    reason: str
    request_id: uuid.UUID
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """A candidate that somebody gives to a person; to nobody when empty."""

    candidate_seq: int
    assignee: str
    actor: Actor
    reason: str
    request_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, and the records that moved or would."""

    action: Action
    moved: Sequence[RecordRef] = ()


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Decides, undoes and assigns."""

    store: ReviewStore
    merger: Merger

    async def decide(self, tenant_id: TenantId, decision: Decision, timeout_s: float | None) -> Done:
        """Answer a candidate; idempotent by request id.

        Raises:
            NotFound: the candidate is unknown.
            PreconditionFailed: somebody decided before, it asks nothing any more, or the answer does not fit.
        """
        await self.merger.warm(tenant_id)
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            before = await transaction.find_action_of_request(decision.request_id)
            if before is not None:
                refuse_unless_repeated(before, candidate_seq=decision.candidate_seq, kind=decision.kind)
                return Done(before)
            review = await _review(transaction, decision.candidate_seq)
            refuse_unless_open(review, _standing(await transaction.list_actions(review.seq, ACTIONS_MAX)))
            refuse_unless_fits(review, decision.kind)
            done = await self._carry_out(transaction, review, decision)
            if decision.dry:
                return done
            await transaction.write_action(done.action)
            now = done.action.action_time
            await transaction.settle_review(
                review.seq, now if decision.kind in CLOSING else None, decision.skip_time, review.assignee
            )
        self.merger.wake.notify()
        return done

    async def undo(self, tenant_id: TenantId, undoing: Undoing, timeout_s: float | None) -> Done:
        """Take a decision back exactly and open its candidate again; idempotent by request id.

        Raises:
            NotFound: the action is unknown.
            PreconditionFailed: it is no decision, is undone, or was overtaken by a merge or split since.
        """
        await self.merger.warm(tenant_id)
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            action = await transaction.find_action(undoing.action_id)
            if action is None:
                raise NotFound(
                    f"there is no action {undoing.action_id}", metadata={"action_id": str(undoing.action_id)}
                )
            before = await transaction.find_action_of_request(undoing.request_id)
            if before is not None:
                refuse_unless_repeated(before, candidate_seq=action.candidate_seq, kind=Kind.UNDO)
                return Done(before)
            refuse_unless_undoable(action)
            done = await self._take_back(transaction, action, undoing)
            if undoing.dry:
                return done
            await transaction.restore_before(action.action_id)
            await transaction.write_action(done.action)
            review = await _review(transaction, action.candidate_seq)
            closed = None if action.kind in CLOSING else review.close_time
            await transaction.settle_review(review.seq, closed, None, review.assignee)
        self.merger.wake.notify()
        return done

    async def assign(self, tenant_id: TenantId, given: Assignment, timeout_s: float | None) -> Done:
        """Give a candidate to a person, or to nobody; idempotent by request id.

        Raises:
            NotFound: the candidate is unknown.
            PreconditionFailed: it is decided, or asks nothing any more.
        """
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            before = await transaction.find_action_of_request(given.request_id)
            if before is not None:
                refuse_unless_repeated(before, candidate_seq=given.candidate_seq, kind=Kind.ASSIGN)
                return Done(before)
            review = await _review(transaction, given.candidate_seq)
            refuse_unless_open(review, _standing(await transaction.list_actions(review.seq, ACTIONS_MAX)))
            action = self._action(
                review, Kind.ASSIGN, given.actor, given.reason, given.request_id, assignee=given.assignee
            )
            await transaction.write_action(action)
            await transaction.settle_review(review.seq, None, review.skip_time, given.assignee)
        return Done(action)

    async def _carry_out(self, transaction: ReviewTransaction, review: Review, decision: Decision) -> Done:
        if decision.kind is Kind.MERGE:
            return await self._merge(transaction, review, decision)
        if decision.kind is Kind.SPLIT:
            return await self._split(transaction, review, decision)
        action = self._decided(review, decision)
        if decision.kind is Kind.KEEP_APART and not decision.dry:
            await self._keep(transaction, action)
            await transaction.tell_apart(
                action,
                await _with_first(transaction, review.entity_id, review.record_id),
                await _with_first(transaction, review.other_entity_id, review.other_record_id),
            )
            await self._regroup(transaction, review)
        return Done(action)

    async def _merge(self, transaction: ReviewTransaction, review: Review, decision: Decision) -> Done:
        ours = await entity_in(transaction, review.entity_id)
        theirs = await entity_in(transaction, review.other_entity_id)
        winner, loser = await _which_stays(transaction, ours, theirs, decision.winner_id)
        merged_already(winner, loser)
        action = replace(
            self._decided(review, decision), entity_id=winner.entity_id, other_entity_id=loser.entity_id
        )
        if decision.dry:
            refs = await transaction.list_refs(loser.entity_id)
            return Done(replace(action, moved_count=len(refs)), refs)
        await self._keep(transaction, action)
        merge, moved = await self.merger.merge_in(transaction, winner, loser, decision.actor, decision.reason)
        return Done(replace(action, merge_id=merge.merge_id, moved_count=merge.moved_count), moved)

    async def _split(self, transaction: ReviewTransaction, review: Review, decision: Decision) -> Done:
        merge = await transaction.find_parting_merge(review.record_id, review.other_record_id)
        leaving: Sequence[RecordId] = ()
        if merge is None:
            leaving = await self._leaving(transaction, review)
            loser_id = EntityId(self.merger.telling.new_id())
            merge = self.merger.telling.merge(review.object, review.entity_id, loser_id, len(leaving))
        action = replace(
            self._decided(review, decision), entity_id=review.entity_id, other_entity_id=merge.loser_id
        )
        if decision.dry:
            refs = await _refs(transaction, merge, leaving)
            return Done(replace(action, moved_count=len(refs)), refs)
        await self._keep(transaction, action)
        if leaving:
            merge = await transaction.write_part(
                merge, leaving, decision.actor, decision.reason, action.action_time
            )
        moved = [ref for _, ref in await self.merger.split_in(transaction, merge, decision.actor)]
        await self.merger.regroup(transaction, review.object, (review.entity_id, merge.loser_id))
        return Done(replace(action, merge_id=merge.merge_id, moved_count=len(moved)), moved)

    async def _leaving(self, transaction: ReviewTransaction, review: Review) -> Sequence[RecordId]:
        """Return the records that leave where no merge parts the two: those nearer to the one than to the other."""
        seeds = Wanted(frozenset({review.record_id, review.other_record_id}), frozenset())
        near = await transaction.load_near(seeds, self.merger.limits.near_max, keys=False)
        records = await transaction.list_some_records([review.entity_id], APART_RECORDS_MAX)
        missing = self.merger.limits.rules.missing_bits

        def bits(one: RecordId, other: RecordId) -> float:
            return near.edges.get((min(one, other), max(one, other)), missing)

        return part(records, *_older_first(records, review), bits)

    async def _take_back(self, transaction: ReviewTransaction, action: Action, undoing: Undoing) -> Done:
        undo = self._undone(action, undoing)
        if action.kind is Kind.MERGE:
            return await self._unmerge(transaction, action, undo, dry=undoing.dry)
        if action.kind is Kind.SPLIT:
            return await self._unsplit(transaction, action, undo, dry=undoing.dry)
        if action.kind is Kind.KEEP_APART and not undoing.dry:
            await transaction.untell_apart(action.action_id)
            await self._regroup(transaction, await _review(transaction, action.candidate_seq))
        return Done(undo)

    async def _unmerge(
        self, transaction: ReviewTransaction, action: Action, undo: Action, *, dry: bool
    ) -> Done:
        merge = None if action.merge_id is None else await transaction.find_merge(action.merge_id)
        if merge is None or merge.split_moved_count is not None:
            raise _overtaken(action, "its merge was undone by a split since")
        if dry:
            refs = await _refs(transaction, merge, ())
            return Done(replace(undo, moved_count=len(refs)), refs)
        moved = [ref for _, ref in await self.merger.split_in(transaction, merge, undo.actor)]
        entities = (merge.winner_id, merge.loser_id)
        records = await transaction.list_some_records(entities, 2 * APART_RECORDS_MAX)
        await transaction.forget_split(merge, records)
        await self.merger.regroup(transaction, merge.object, entities)
        return Done(replace(undo, moved_count=len(moved)), moved)

    async def _unsplit(
        self, transaction: ReviewTransaction, action: Action, undo: Action, *, dry: bool
    ) -> Done:
        winner = await entity_in(transaction, action.entity_id)
        loser = await entity_in(transaction, action.other_entity_id)
        if merged_already(winner, loser):
            raise _overtaken(action, "its entities were merged since")
        if dry:
            refs = await transaction.list_refs(loser.entity_id)
            return Done(replace(undo, moved_count=len(refs)), refs)
        merge, moved = await self.merger.merge_in(transaction, winner, loser, undo.actor, undo.reason)
        return Done(replace(undo, merge_id=merge.merge_id, moved_count=len(moved)), moved)

    async def _keep(self, transaction: ReviewTransaction, action: Action) -> None:
        """Write down what making groups anew may change, so that the undoing restores it."""
        entities = (action.entity_id, action.other_entity_id)
        seeds = await transaction.list_some_records(entities, SEEDS_MAX)
        wanted = Wanted(frozenset(seeds), frozenset())
        near = await transaction.load_near(wanted, self.merger.limits.near_max, keys=False)
        await transaction.keep_before(action, list(near.records))

    async def _regroup(self, transaction: ReviewTransaction, review: Review) -> None:
        await self.merger.regroup(transaction, review.object, (review.entity_id, review.other_entity_id))

    def _decided(self, review: Review, decision: Decision) -> Action:
        made = self._action(review, decision.kind, decision.actor, decision.reason, decision.request_id)
        return replace(
            made, skip_time=decision.skip_time, action_id=NOBODY if decision.dry else made.action_id
        )

    def _undone(self, action: Action, undoing: Undoing) -> Action:
        telling = self.merger.telling
        return Action(
            NOBODY if undoing.dry else telling.new_id(),
            undoing.request_id,
            action.candidate_seq,
            Kind.UNDO,
            action.entity_id,
            action.other_entity_id,
            undoing.actor,
            undoing.reason,
            telling.clock.now(),
            merge_id=action.merge_id,
            undoes=action.action_id,
        )

    def _action(
        self,
        review: Review,
        kind: Kind,
        actor: Actor,
        reason: str,
        request_id: uuid.UUID,
        *,
        assignee: str = "",
    ) -> Action:
        telling = self.merger.telling
        return Action(
            telling.new_id(),
            request_id,
            review.seq,
            kind,
            review.entity_id,
            review.other_entity_id,
            actor,
            reason,
            telling.clock.now(),
            assignee=assignee,
        )


def _standing(actions: Sequence[Action]) -> Action | None:
    """Return the decision that stands."""
    return next((one for one in actions if one.kind in CLOSING and one.undone_by is None), None)


async def _review(transaction: ReviewTransaction, seq: int) -> Review:
    found = await transaction.find_review(seq)
    if found is None:
        raise NotFound(f"there is no candidate {seq}", metadata={"candidate_id": str(seq)})
    return found


async def _which_stays(
    transaction: ReviewTransaction, ours: EntityState, theirs: EntityState, named: EntityId | None
) -> tuple[EntityState, EntityState]:
    """Return winner and loser: the one named stays, else that with more records, then the older one."""
    if named is not None and named not in {ours.entity_id, theirs.entity_id}:
        raise PreconditionFailed(
            f"entity {named} is none of the two: {ours.entity_id} and {theirs.entity_id} are",
            reason="WINNER_NOT_IN_CANDIDATE",
        )
    if named is not None:
        return (ours, theirs) if named == ours.entity_id else (theirs, ours)
    sizes = {one.entity_id: len(await transaction.list_refs(one.entity_id)) for one in (ours, theirs)}
    winner, loser = sorted(
        (ours, theirs), key=lambda one: (-sizes[one.entity_id], one.create_time, one.entity_id)
    )
    return winner, loser


async def _with_first(
    transaction: ReviewTransaction, entity_id: EntityId, first: RecordId
) -> Sequence[RecordId]:
    """Return the records of an entity, one of them first."""
    records = await transaction.list_some_records([entity_id], APART_RECORDS_MAX)
    return [first, *(one for one in records if one != first)]


async def _refs(
    transaction: ReviewTransaction, merge: Merge, leaving: Sequence[RecordId]
) -> Sequence[RecordRef]:
    """Return the names of the records that undoing a merge, or parting an entity, moves."""
    if leaving:
        return await transaction.list_refs_of(leaving)
    return [ref for _, ref in await transaction.list_moved_back(merge.merge_id)]


def _older_first(records: Sequence[RecordId], review: Review) -> tuple[RecordId, RecordId]:
    two = (review.record_id, review.other_record_id)
    first = next((one for one in records if one in two), two[0])
    return (first, two[1] if first == two[0] else two[0])


def _overtaken(action: Action, why: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"action {action.action_id} cannot be taken back: {why}",
        reason="DECISION_OVERTAKEN",
        metadata={"action_id": str(action.action_id)},
    )
