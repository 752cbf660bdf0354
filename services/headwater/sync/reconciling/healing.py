"""Does something about kept drift: looks at each record once more, repairs it or asks, and notes what has healed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from headwater.connectors.base import Seen
from headwater.connectors.base.polling import Page
from headwater.kernel.clock import Clock
from headwater.policy.document import PolicyDocument
from headwater.policy.reconciling import Reconcile
from headwater.sync.domain.drift_healing import Action, Kept, action_of
from headwater.sync.domain.parity_references import as_known
from headwater.sync.domain.polling import changes_of, poll_plans
from headwater.sync.domain.reconciling import Drift, DriftKind, Verdict
from headwater.sync.domain.sweep_plans import SweepPlan
from headwater.sync.reconciling.comparing import Judge
from headwater.sync.reconciling.ports import Account, DriftRow, ParityBook, Redelivery, Repair, Settled
from headwater.sync.reconciling.reader import Reader
from headwater.sync.scheduling.ports import ChangeLog

CHUNK: Final = 200
"""Drifts that are looked at and repaired at once."""
ACTOR: Final = "reconcile"
"""Who repairs where the policy decides."""
_FIRST: Final = ("", "", "")


@dataclass(slots=True)
class Healed:
    """What one pass over the kept drift did, by state."""

    states: dict[str, int] = field(default_factory=dict)

    def add(self, settled: Sequence[Settled]) -> None:
        """Count *settled*."""
        for item in settled:
            self.states[item.state] = self.states.get(item.state, 0) + 1


@dataclass(frozen=True, slots=True)
class Healer:
    """Works on the kept drift of one account.

    Args:
        too_many_gone: CRM objects of which more records are gone than the policy takes for deletions.
    """

    account: Account
    document: PolicyDocument
    section: Reconcile
    plans: Mapping[str, SweepPlan]
    book: ParityBook
    log: ChangeLog
    clock: Clock
    too_many_gone: frozenset[str] = frozenset()

    async def run(self, reader: Reader, *, asked: bool = False) -> Healed:
        """Look at all that something can be done about, once.

        Args:
            asked: also at what waits for a person: it may have ended by itself.

        Raises: CallFailed, NoShareLeft, FenceLost, Unavailable.
        """
        done, place = Healed(), _FIRST
        while rows := await self.book.open_drift(self.account, place, CHUNK, asked=asked):
            last = rows[-1]
            place = (last.crm_object, last.crm_id, last.kind.value)
            for crm_object, group in groupby(rows, key=lambda row: row.crm_object):
                done.add(await self._settle(reader, crm_object, list(group)))
        return done

    async def _settle(self, reader: Reader, crm_object: str, rows: Sequence[DriftRow]) -> list[Settled]:
        plan = self.plans.get(crm_object)
        if plan is None:  # it is compared no more
            settled = [Settled(row, "accepted", row.repair) for row in rows]
            await self.book.settle(self.account, settled, self.clock.now())
            return settled
        judge = Judge(self.account, self.document, self.section, plan, self.book)
        begin = self.clock.now()
        seen = await reader.read(plan.swept, [row.crm_id for row in rows])
        absent = [row.crm_id for row in rows if row.crm_id not in seen]
        verdicts = await judge.judged(seen, absent, begin)
        homes = await self._homes(plan, rows)
        chosen = [(row, *self._choose(row, verdicts[row.crm_id], homes)) for row in rows]
        settled = await self._act(plan, seen, chosen)
        fresh = [drift for row, action, drift in chosen if action == "healed" and drift is not None]
        now = self.clock.now()
        await self.book.settle(self.account, settled, now)
        if fresh:
            await self.book.note(self.account, crm_object, rows[0].run_id, fresh, now)
        return settled

    async def _homes(self, plan: SweepPlan, rows: Sequence[DriftRow]) -> Mapping[uuid.UUID, str]:
        """Return where the entities are written anew whose records are gone."""
        entities = [row.entity_id for row in rows if row.kind is DriftKind.MISSING and row.entity_id]
        return (await self.book.ours(self.account, plan, [], entities)).holders if entities else {}

    def _choose(
        self, row: DriftRow, verdict: Verdict, homes: Mapping[uuid.UUID, str]
    ) -> tuple[Action, Drift | None]:
        if row.kind is DriftKind.MISSING and row.repair == "recreate" and not _home(homes, row):
            return "wait", None  # given up, and not written anew yet
        ordered = row.repair if row.ordered_by and row.state == "open" else ""
        kept = Kept(row.kind, row.state == "repairing", row.repair_count, row.repair_time, ordered)
        gone = row.crm_object in self.too_many_gone
        action, drift = action_of(self.section, kept, verdict, self.clock.now(), too_many_gone=gone)
        return ("wait" if row.state == "asked" and action != "healed" else action), drift

    async def _act(
        self,
        plan: SweepPlan,
        seen: Mapping[str, Seen],
        chosen: Sequence[tuple[DriftRow, Action, Drift | None]],
    ) -> list[Settled]:
        redone = await self._redeliver(
            plan, seen, [(row, one) for row, act, one in chosen if act == "redeliver" and one]
        )
        anew = await self._recreate([(row, one) for row, act, one in chosen if act == "recreate" and one])
        told = await self._refetch(
            plan, seen, [(row, one) for row, act, one in chosen if act == "refetch" and one]
        )
        done: dict[str, set[tuple[str, DriftKind]]] = {"redeliver": redone, "recreate": anew, "refetch": told}
        settled: list[Settled] = []
        for row, action, _ in chosen:
            if action == "healed":
                settled.append(Settled(row, "healed", row.repair))
            elif action == "ask":
                settled.append(Settled(row, "asked", "ask"))
            elif (row.crm_id, row.kind) in done.get(action, ()):
                settled.append(Settled(row, "repairing", _as_repair(action)))
        return settled

    async def _redeliver(
        self, plan: SweepPlan, seen: Mapping[str, Seen], chosen: Sequence[tuple[DriftRow, Drift]]
    ) -> set[tuple[str, DriftKind]]:
        done: set[tuple[str, DriftKind]] = set()
        for actor, group in _by_actor(chosen):
            items = [
                Redelivery(
                    drift.entity_id, row.crm_id, drift.version,
                    as_known(plan.swept.references, {item.field: item.found for item in drift.fields}),
                )
                for row, drift in group
                if drift.entity_id is not None and row.crm_id in seen
            ]  # fmt: skip
            marked = await self.book.redeliver(self.account, self.document.version, actor, items)
            done |= {(row.crm_id, row.kind) for row, drift in group if drift.entity_id in marked}
        return done

    async def _recreate(self, chosen: Sequence[tuple[DriftRow, Drift]]) -> set[tuple[str, DriftKind]]:
        done: set[tuple[str, DriftKind]] = set()
        for actor, group in _by_actor(chosen):
            items = [(drift.entity_id, row.crm_id) for row, drift in group if drift.entity_id is not None]
            marked = await self.book.recreate(self.account, self.document.version, actor, items)
            done |= {(row.crm_id, row.kind) for row, drift in group if drift.entity_id in marked}
        return done

    async def _refetch(
        self, plan: SweepPlan, seen: Mapping[str, Seen], chosen: Sequence[tuple[DriftRow, Drift]]
    ) -> set[tuple[str, DriftKind]]:
        """Record what the CRM shows as a poll would have; a change without a time of its own is as old as this look."""
        poll = poll_plans(self.document, self.account.name).get(plan.crm_object)
        if poll is None or not chosen:
            return set()
        now = self.clock.now()
        records, deleted = list[Seen](), list[Seen]()
        for row, drift in chosen:
            found = seen.get(row.crm_id)
            if found is None:
                deleted.append(Seen(row.crm_id, now, {}))
                continue
            stamped = drift.kind is DriftKind.UNRECORDED or drift.drift_time is not None
            shown = {name: found.fields.get(name) for name in poll.polled.fields}
            records.append(Seen(row.crm_id, found.modify_time if stamped else now, shown))
        changes = changes_of(poll, Page(tuple(records), tuple(deleted), "", more=False))
        recorded = await self.log.record(self.account.tenant_id, changes)
        refused = {item.external_id for item in recorded.refused}
        return {(row.crm_id, row.kind) for row, _ in chosen if row.crm_id not in refused}


def _by_actor(
    chosen: Sequence[tuple[DriftRow, Drift]],
) -> list[tuple[str, list[tuple[DriftRow, Drift]]]]:
    groups: dict[str, list[tuple[DriftRow, Drift]]] = {}
    for row, drift in chosen:
        groups.setdefault(row.ordered_by or ACTOR, []).append((row, drift))
    return list(groups.items())


def _as_repair(action: Action) -> Repair:
    repairs: dict[str, Repair] = {"redeliver": "redeliver", "refetch": "refetch", "recreate": "recreate"}
    return repairs.get(action, "")


def _home(homes: Mapping[uuid.UUID, str], row: DriftRow) -> str:
    return homes.get(row.entity_id, "") if row.entity_id else ""
