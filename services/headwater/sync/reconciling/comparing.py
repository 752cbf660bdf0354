"""Compares one object of an account: ranges that may differ are read, the others proven, what differs looked at twice."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.connectors.base import Seen
from headwater.connectors.base.sweeping import Span, place_of
from headwater.kernel.clock import Clock
from headwater.policy.document import PolicyDocument
from headwater.policy.reconciling import Reconcile
from headwater.sync.domain.parity_ranges import (
    RANGE_RECORDS,
    SPLIT_AT,
    Range,
    content_hash,
    is_unchanged,
    parts_of,
    sort_ranges,
    span_of,
    tail_of,
)
from headwater.sync.domain.parity_report import ObjectParity
from headwater.sync.domain.reconciling import (
    Drift,
    DriftKind,
    Excluded,
    Look,
    Verdict,
    judge_absent,
    judge_present,
)
from headwater.sync.domain.sweep_plans import SweepPlan, marks_of
from headwater.sync.reconciling.ports import Account, ParityBook
from headwater.sync.reconciling.reader import Reader, Told

CHUNK: Final = 500
"""Records that are loaded and compared at once."""
_UNSETTLED: Final = frozenset({Excluded.UNDER_WAY, Excluded.YOUNG})


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares records of one object with what we hold of them."""

    account: Account
    document: PolicyDocument
    section: Reconcile
    plan: SweepPlan
    book: ParityBook

    async def judged(
        self, records: Mapping[str, Seen], absent: Sequence[str], look_time: dt.datetime
    ) -> dict[str, Verdict]:
        """Return what comparing came to, by CRM id: of records that are there, and of ids that are not."""
        look = Look(look_time, self.section.lag_s)
        ids = [*records, *absent]
        verdicts: dict[str, Verdict] = {}
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            marks = [marks_of(self.plan, records[one]) for one in chunk if one in records]
            ours = await self.book.ours(
                self.account, self.plan, chunk, [mark for mark in marks if mark is not None]
            )
            for one in chunk:
                verdicts[one] = (
                    judge_present(self.document, self.plan, records[one], ours, look)
                    if one in records
                    else judge_absent(self.document, self.plan, one, ours, look)
                )
        return verdicts


class Comparing:
    """One object in one run.

    Args:
        whole: everything is read.
        dry: nothing is kept.
    """

    def __init__(
        self,
        judge: Judge,
        reader: Reader,
        clock: Clock,
        chance: random.Random,
        run_id: uuid.UUID,
        parity: ObjectParity,
        *,
        dry: bool,
        whole: bool,
    ) -> None:
        self._judge = judge
        self._reader = reader
        self._clock = clock
        self._chance = chance
        self._run_id = run_id
        self._dry = dry
        self._whole = whole
        self._plan_hash = judge.plan.fingerprint()
        self.parity = parity

    async def run(self) -> ObjectParity:
        """Compare what this run has not compared yet. Raises: CallFailed, NoShareLeft, FenceLost, Unavailable."""
        judge = self._judge
        ranges = await judge.book.ranges(judge.account, judge.plan.crm_object)
        left = [item for item in ranges if item.run_id != self._run_id]
        ours = await judge.book.ours_hashes(judge.account, judge.plan, [item.span for item in left])
        full_days = 0.0 if self._whole else judge.section.full_days
        order = sort_ranges(
            left,
            ours,
            self._plan_hash,
            self._clock.now(),
            full_days,
            judge.section.sample_records,
            self._chance,
        )
        read = [*(order.read if left or not ranges else ()), *tail_of(ranges)]
        counts = {item.span.after: item.crm_count for item in left}
        deceived = False
        for span in sorted(read, key=lambda item: item.after not in order.sampled):
            drifts = await self._read(span, counts.get(span.after, 0))
            deceived |= span.after in order.sampled and any(_unstamped(item) for item in drifts)
        for node in order.probed:
            if deceived:  # what is chosen by chance had changed unseen: then nothing else is believed either
                for item in node:
                    await self._read(item.span, item.crm_count)
            else:
                await self._prove(node)
        return self.parity

    async def _prove(self, node: Sequence[Range]) -> None:
        """Prove that the ranges of *node* are as they were, or read those that are not."""
        judge = self._judge
        if is_unchanged(node, await self._reader.probe(judge.plan.swept, span_of(node))):
            self.parity.ranges += len(node)
            proven = sum(item.crm_count for item in node)
            self.parity.records += proven
            self.parity.proven += proven
            self._hash([item.crm_hash for item in node])
            if not self._dry:
                lows = [item.span.after for item in node]
                await judge.book.prove_ranges(judge.account, judge.plan.crm_object, lows, self._run_id)
        elif len(node) == 1:
            await self._read(node[0].span, node[0].crm_count)
        else:
            for part in parts_of(node):
                await self._prove(part)

    async def _read(self, span: Span, count: int) -> list[Drift]:
        """Read and compare *span*; a new one, or one that has grown, is cut into ranges as it is read."""
        cuts = not count or count > SPLIT_AT * RANGE_RECORDS or not span.upto
        found: list[Drift] = []
        rest, is_first = span, True
        while True:
            told = await self._reader.read_span(
                self._judge.plan.swept, rest, RANGE_RECORDS if cuts else count * SPLIT_AT + 1
            )
            found += await self._compare(told, replaced=[span.after] if is_first else [])
            if told.span.upto == span.upto:
                return found
            rest, is_first = Span(told.span.upto, span.upto), False

    async def _compare(self, told: Told, replaced: Sequence[str]) -> list[Drift]:
        judge, plan = self._judge, self._judge.plan
        hashes = await judge.book.ours_hashes(judge.account, plan, [told.span])
        held = await judge.book.our_ids(judge.account, plan, told.span)
        absent = [one for one in held if one not in told.records]
        verdicts = await judge.judged(told.records, absent, told.begin_time)
        drifts = await self._confirmed(
            [crm_id for crm_id, verdict in verdicts.items() if verdict.drift is not None]
        )
        unsettled = any(verdict.excluded in _UNSETTLED for verdict in verdicts.values())
        self._count(told, verdicts, drifts)
        if self._dry:
            return drifts
        crm_hash = content_hash(list(told.records.values()))
        self._hash([crm_hash])
        newest = max((item.modify_time for item in told.records.values()), default=None)
        kept = Range(
            told.span, len(told.records), newest, hashes.get(told.span.after, ""), crm_hash, self._plan_hash,
            told.complete and not drifts and not unsettled, told.begin_time, self._run_id,
        )  # fmt: skip
        await judge.book.note(judge.account, plan.crm_object, self._run_id, drifts, self._clock.now())
        await judge.book.keep_ranges(judge.account, plan.crm_object, replaced, [kept])
        return drifts

    async def _confirmed(self, crm_ids: Sequence[str]) -> list[Drift]:
        """Look at records once more, by id: a page may lie, and what was on its way may have come."""
        if not crm_ids:
            return []
        ids = sorted(crm_ids, key=place_of)
        begin = self._clock.now()
        records = await self._reader.read(self._judge.plan.swept, ids)
        absent = [one for one in ids if one not in records]
        verdicts = await self._judge.judged(records, absent, begin)
        return [verdict.drift for verdict in verdicts.values() if verdict.drift is not None]

    def _count(self, told: Told, verdicts: Mapping[str, Verdict], drifts: Sequence[Drift]) -> None:
        self.parity.ranges += 1
        self.parity.ranges_read += 1
        self.parity.records += len(told.records)
        self.parity.read += len(told.records)
        self.parity.incomplete += not told.complete
        self.parity.count(verdicts.values())
        self.parity.add(drifts)

    def _hash(self, hashes: Sequence[str]) -> None:
        total = int(self.parity.crm_hash or "0", 16)
        for item in hashes:
            total ^= int(item, 16)
        self.parity.crm_hash = f"{total:032x}"


def _unstamped(drift: Drift) -> bool:
    return drift.drift_time is None and drift.kind in {DriftKind.FIELD, DriftKind.STALE, DriftKind.CONTESTED}
