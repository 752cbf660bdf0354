"""The review queue: what is worth a person's time, side by side, and the audit. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.explaining import Explanation, Side, explain, strong_hashes
from headwater.identity.domain.reviewing import Action, Review, Thresholds, by_worth
from headwater.identity.ports import ReviewStore
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import TenantId

RANKED_MAX: Final = 2_000
"""Open candidates that are ranked, those closest to their threshold."""
ACTIONS_SHOWN_MAX: Final = 50
"""Actions beside one candidate, newest first."""
SEQ_MAX: Final = 2**63 - 1

Place = tuple[float, int]
"""Where a page begins: after this worth and candidate."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which open candidates; empty names are any."""

    object: str = ""
    assignee: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class ReviewView:
    """A candidate side by side."""

    worth: float
    review: Review
    left: Side
    right: Side
    explanation: Explanation
    actions: Sequence[Action]


@dataclass(frozen=True, slots=True)
class Queue:
    """Answers questions about candidates."""

    store: ReviewStore
    weights: WeightsSource
    thresholds: Thresholds
    clock: Clock

    async def list_reviews(
        self, tenant_id: TenantId, wish: Wish, after: Place | None, page_size: int
    ) -> tuple[Sequence[tuple[float, Review]], Place | None]:
        """Return one page of open candidates, worth most first, and where the next one begins; None on the last."""
        now = None if wish.skipped else self.clock.now()
        found = await self.store.list_reviews(
            tenant_id, wish.object, wish.assignee, now, self.thresholds, RANKED_MAX
        )
        ranked = by_worth(found, self.thresholds)
        if after is not None:
            ranked = [one for one in ranked if (-one[0], one[1].seq) > (-after[0], after[1])]
        page = ranked[:page_size]
        if len(ranked) <= page_size:
            return page, None
        return page, (page[-1][0], page[-1][1].seq)

    async def get_review(self, tenant_id: TenantId, seq: int) -> ReviewView:
        """Return a candidate with both sides, why they are one or two, and what was done about it.

        Its bits are by the weights that found it, while those are kept.

        Raises:
            NotFound: the candidate is unknown.
        """
        weights = await self.weights.of(tenant_id)
        async with self.store.snapshot() as store:
            review = await store.find_review(tenant_id, seq)
            sides = None if review is None else await _sides(store, tenant_id, review)
            if review is None or sides is None:
                raise NotFound(f"there is no candidate {seq}", metadata={"candidate_id": str(seq)})
            left, right = sides
            parts = [one.parts for side in sides for one in side.records]
            uses = await store.entities.list_uses(tenant_id, strong_hashes(left.object, parts))
            actions = await store.list_actions(tenant_id, seq, SEQ_MAX, ACTIONS_SHOWN_MAX)
        ((worth, _),) = by_worth([review], self.thresholds)
        then = await self.weights.find(tenant_id, left.object, review.weights)
        if then is not None:
            weights = {**weights, left.object: then}
        return ReviewView(worth, review, left, right, explain(left, right, uses, weights), actions)

    async def list_actions(
        self, tenant_id: TenantId, seq: int, before_seq: int, page_size: int
    ) -> tuple[Sequence[Action], int | None]:
        """Return one page of the audit, newest first, and where the next one begins; of all candidates when 0."""
        found = await self.store.list_actions(tenant_id, seq, before_seq or SEQ_MAX, page_size + 1)
        page = found[:page_size]
        return page, page[-1].seq if len(found) > page_size else None


async def _sides(store: ReviewStore, tenant_id: TenantId, review: Review) -> tuple[Side, Side] | None:
    """Return the two entities, or the two records where they are of one."""
    entities = store.entities
    if review.entity_id == review.other_entity_id:
        left = await entities.find_side_of_record(tenant_id, review.record_id)
        right = await entities.find_side_of_record(tenant_id, review.other_record_id)
    else:
        left = await entities.find_side_of_entity(tenant_id, review.entity_id)
        right = await entities.find_side_of_entity(tenant_id, review.other_entity_id)
    return None if left is None or right is None else (left, right)
