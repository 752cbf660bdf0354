"""What the event log is told of a merge or a split: one change, written with it. Owns ids, time and trace of changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from headwater.identity.domain.merging import Actor, Change, Merge, change_payload
from headwater.identity.domain.records import RecordRef
from headwater.kernel.clock import Clock
from headwater.kernel.ids import EntityId
from headwater.kernel.telemetry import TraceContext


@dataclass(frozen=True, slots=True)
class Telling:
    """Makes merges and the changes that tell of them."""

    clock: Clock
    new_id: Callable[[], uuid.UUID]
    trace: Callable[[], TraceContext | None]

    def merge(
        self,
        object_name: str,
        winner_id: EntityId,
        loser_id: EntityId,
        moved_count: int,
        merge_id: uuid.UUID | None = None,
    ) -> Merge:
        """Return a merge that is about to be written, under a new id unless it has one."""
        return Merge(
            merge_id or self.new_id(),
            0,
            object_name,
            winner_id,
            loser_id,
            moved_count,
            split_moved_count=None,
        )

    def change(
        self, kind: Literal["merged", "split"], merge: Merge, moved: Sequence[RecordRef], actor: Actor
    ) -> Change:
        """Return the change that tells of a merge or a split.

        Raises:
            PreconditionFailed: more records move than one event can name.
        """
        payload = change_payload(
            kind,
            merge_id=merge.merge_id,
            object_name=merge.object,
            winner_id=merge.winner_id,
            loser_id=merge.loser_id,
            moved=moved,
        )
        trace = self.trace()
        return Change(
            change_id=self.new_id(),
            merge_id=merge.merge_id,
            payload=payload,
            change_time=self.clock.now(),
            actor=actor,
            traceparent=trace.traceparent if trace else "",
            tracestate=trace.tracestate if trace else "",
        )
