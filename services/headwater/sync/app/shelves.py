"""The stores that more than one part uses, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from headwater.kernel.pg.pool import Pool
from headwater.sync.app.ground import Ground
from headwater.sync.store.approvals import PostgresApprovals
from headwater.sync.store.backfills import PostgresBackfills
from headwater.sync.store.enrichment import PostgresEnrichment
from headwater.sync.store.erasures import PostgresErasures
from headwater.sync.store.inspections import PostgresInspections
from headwater.sync.store.merges import PostgresMergeQuestions, PostgresMerges
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.quality import PostgresQuality
from headwater.sync.store.removals import PostgresRemovals
from headwater.sync.store.replays import PostgresReplays
from headwater.sync.store.rollouts import PostgresRollouts
from headwater.sync.store.schedules import PostgresSchedules
from headwater.sync.store.timeline_desk import PostgresTimelineDesk
from headwater.sync.usecases.quality import Quality
from headwater.sync.usecases.timeline import Timelines


@dataclass(frozen=True, slots=True)
class Shelves:
    """Stores, and the two use cases that jobs and operators share."""

    pool: Pool
    approvals: PostgresApprovals
    backfills: PostgresBackfills
    enrichment: PostgresEnrichment
    erasures: PostgresErasures
    inspections: PostgresInspections
    merges: PostgresMerges
    questions: PostgresMergeQuestions
    book: PostgresOperations
    removals: PostgresRemovals
    replays: PostgresReplays
    rollouts: PostgresRollouts
    schedules: PostgresSchedules
    quality: Quality
    timelines: Timelines

    @classmethod
    def on(cls, ground: Ground) -> Self:
        """Make them."""
        pool = ground.pool
        return cls(
            pool,
            PostgresApprovals(pool),
            PostgresBackfills(pool),
            PostgresEnrichment(pool),
            PostgresErasures(pool, ground.suppression_keys),
            PostgresInspections(pool),
            PostgresMerges(pool),
            PostgresMergeQuestions(pool),
            PostgresOperations(pool),
            PostgresRemovals(pool),
            PostgresReplays(pool),
            PostgresRollouts(pool),
            PostgresSchedules(pool),
            Quality(PostgresQuality(pool), ground.resolver, ground.policies, ground.clock),
            Timelines(PostgresTimelineDesk(pool), ground.policies),
        )
