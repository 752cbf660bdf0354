"""The port `RolloutStore` over the tables of a simulation: one rollout in one step, as under its row's lock."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from tests.simulation.store.claiming import claimed_of
from tests.simulation.store.link import Link
from tests.simulation.store.tables import DeliveryRow, Tables

from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.operating import Delivery
from headwater.sync.domain.rollout import OPEN_MAX, Fate, Rollout, RolloutState
from headwater.sync.domain.settling import State
from headwater.sync.domain.staging import InForce
from headwater.sync.domain.workbench import Standing
from headwater.sync.rollouts.ports import Member, StagingUnit
from headwater.sync.wakeup import DELIVERY_CHANNEL, ROLLOUT_CHANNEL

_ENDED: Final = frozenset({RolloutState.DONE, RolloutState.ABORTED})
_OPEN: Final = frozenset({Fate.OPEN, Fate.FAILING})
RolloutKey = tuple[str, uuid.UUID]


@dataclass(slots=True)
class MemberRow:
    """`sync.rollout_member`."""

    draw: int
    fate: Fate = Fate.PLANNED
    stage: int | None = None
    returns: int = 0
    admit_time: dt.datetime | None = None


@dataclass(slots=True)
class RolloutTables:
    """Rollouts, their records and the policies that come with them.

    Args:
        steps: how each rollout stood after each step, for the checker.
        put: requests of policies that the log has taken.
    """

    rollouts: dict[RolloutKey, Rollout] = field(default_factory=dict)
    members: dict[RolloutKey, dict[uuid.UUID, MemberRow]] = field(default_factory=dict)
    changes: dict[RolloutKey, PolicyChange] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[dt.datetime, Rollout]] = field(default_factory=list)
    admitted: list[tuple[dt.datetime, uuid.UUID, int]] = field(default_factory=list)
    put: set[tuple[str, str]] = field(default_factory=set)

    @property
    def open(self) -> list[Rollout]:
        """Rollouts that have not ended."""
        return [item for item in self.rollouts.values() if item.state not in _ENDED]


def standings(tables: Tables, place: tuple[str, str], rows: Iterable[DeliveryRow]) -> tuple[Standing, ...]:
    """Return deliveries with all that a plan needs."""
    found = []
    for row in rows:
        claimed = claimed_of(tables, row)
        if claimed is not None:
            told = Delivery(
                place[1], row.object, row.entity_id, int(row.state), row.desired_version, row.delivered_version,
                row.crm_id, row.failure_count, row.due_time, row.last_error_class, row.last_error, row.event_key,
                None,
            )  # fmt: skip
            found.append(Standing(told, claimed))
    return tuple(found)


def start_rollout(tables: Tables, rollout: Rollout, change: PolicyChange | None) -> None:
    """Begin *rollout*, as an operator does."""
    held = tables.rolling
    held.rollouts[(rollout.tenant_id, rollout.rollout_id)] = rollout
    held.members[(rollout.tenant_id, rollout.rollout_id)] = {}
    if change is not None:
        held.changes[(change.tenant_id, change.change_id)] = change
    tables.notify(ROLLOUT_CHANNEL)


class MemoryRollouts:
    """Rollouts, worked off by one process."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self.tables = tables
        self._link = link
        self._held: RolloutTables = tables.rolling

    @asynccontextmanager
    async def taken(self, now: dt.datetime) -> AsyncIterator[MemoryRollout | None]:
        """Begin a transaction on the open rollout that is due first; what the block does is one step."""
        await self._link.call("take_rollout", lambda: None)
        due = [item for item in self._held.open if item.next_time <= now]
        yield self.unit(min(due, key=lambda item: item.next_time)) if due else None
        await self._link.call("save_rollout", lambda: None, may_race=False)

    def unit(self, rollout: Rollout) -> MemoryRollout:
        """Return the transaction on *rollout*."""
        return MemoryRollout(self.tables, rollout)

    async def now(self) -> dt.datetime:
        """Return the database's time."""
        return await self._link.call("read_time", self.tables.now, may_race=False)

    async def next_time(self) -> dt.datetime | None:
        """Return when an open rollout is due next."""
        return await self._link.call(
            "next_rollout_time", lambda: min((item.next_time for item in self._held.open), default=None)
        )

    async def waiting_changes(self) -> tuple[PolicyChange, ...]:
        """Return the policy changes that are to be put into the log, or taken back."""
        return await self._link.call("waiting_changes", self._waiting)

    def _waiting(self) -> tuple[PolicyChange, ...]:
        found: dict[RolloutKey, PolicyChange] = {}
        for item in self._held.open:
            change = self._change_of(item)
            if change is None or change.end_time is not None:
                continue
            begins = item.state is RolloutState.PLANNING and change.apply_time is None
            if begins or item.state is RolloutState.ROLLING_BACK:
                found[(change.tenant_id, change.change_id)] = change
        return tuple(found.values())

    def _change_of(self, item: Rollout) -> PolicyChange | None:
        if item.selection.change_id is None:
            return None
        return self._held.changes.get((item.tenant_id, item.selection.change_id))

    async def begin_change(self, change: PolicyChange, now: dt.datetime) -> bool:
        """Note that the new policy may be in the log from now on; False when it was aborted before."""
        return await self._link.call("begin_change", lambda: self._begin(change, now))

    def _begin(self, change: PolicyChange, now: dt.datetime) -> bool:
        held = self._held.changes[(change.tenant_id, change.change_id)]
        going_back = {RolloutState.ROLLING_BACK, RolloutState.ABORTED}
        aborted = any(
            item.state in going_back
            for item in self._held.rollouts.values()
            if item.selection.change_id == change.change_id
        )
        if held.end_time is not None or (held.begin_time is None and aborted):
            return False
        self._move(change, begin_time=held.begin_time or now)
        return True

    def _move(self, change: PolicyChange, **moved: dt.datetime | bool) -> None:
        key = (change.tenant_id, change.change_id)
        self._held.changes[key] = replace(self._held.changes[key], **moved)  # type: ignore[arg-type]

    async def applied(self, change: PolicyChange, now: dt.datetime) -> None:
        """Note that the new policy is in the log."""
        await self._link.call("end_begin", lambda: self._move(change, apply_time=now))

    async def told(self, change: PolicyChange, now: dt.datetime) -> None:
        """Never asked: values are not staged here."""
        raise AssertionError(change, now)

    async def in_force(self, tenant_id: str) -> InForce:
        """Never asked: values are not staged here."""
        raise AssertionError(tenant_id)

    async def taken_back(self, change: PolicyChange, now: dt.datetime, *, replaced: bool) -> None:
        """Note that an abort is through with the policy."""
        await self._link.call("end_change", lambda: self._move(change, end_time=now, replaced=replaced))

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy."""
        return await self._link.call("policy_in_force", lambda: self._held.texts.get(tenant_id, ""))


class MemoryRollout:
    """Port `RolloutUnit`; never suspends, so that a step is one transaction."""

    def __init__(self, tables: Tables, rollout: Rollout) -> None:
        self.tables = tables
        self.rollout = rollout
        self._held: RolloutTables = tables.rolling
        self._key = (rollout.tenant_id, rollout.rollout_id)
        change_id = rollout.selection.change_id
        self.change = self._held.changes.get((rollout.tenant_id, change_id)) if change_id else None
        self.place = (rollout.tenant_id, rollout.connector)

    @property
    def _members(self) -> dict[uuid.UUID, MemberRow]:
        return self._held.members[self._key]

    def staging(self) -> StagingUnit:
        """Never asked: values are not staged here."""
        raise AssertionError(self.rollout)

    async def policy_in_force(self) -> str:
        """Return the text of the tenant's policy."""
        return self._held.texts.get(self.rollout.tenant_id, "")

    async def finding(self) -> str:
        """Return what keeps the account from being used."""
        found: str = self.tables.findings.get(self.place, "")
        return found

    async def scan(self, objects: Sequence[str], limit: int) -> tuple[Standing, ...]:
        """Return the next entities of *objects* behind the rollout's place."""
        return self.scanned(objects, limit)

    def scanned(self, objects: Sequence[str], limit: int) -> tuple[Standing, ...]:
        """As `scan`; for dry runs too."""
        rows = [
            row
            for row in self.tables.account(self.place).values()
            if row.object in objects and row.entity_id > self.rollout.place
        ]
        return standings(self.tables, self.place, sorted(rows, key=lambda row: row.entity_id)[:limit])

    async def add(self, entities: Mapping[uuid.UUID, int]) -> None:
        """Note records that the rollout is for."""
        for entity_id, drawn in entities.items():
            self._members.setdefault(entity_id, MemberRow(drawn))

    async def turn_back(self) -> int:
        """Put every record that was admitted in line again; return how many."""
        for row in self._members.values():
            row.fate = Fate.LEFT if row.stage is None or row.fate is Fate.LEFT else Fate.PLANNED
            row.returns = 0
        return sum(row.fate is Fate.PLANNED for row in self._members.values())

    async def admit(self, stage: int, count: int, *, back: bool, now: dt.datetime) -> tuple[int, int]:
        """Make the next *count* records due; return how many are under way, and how many are left out."""
        planned = [item for item in self._members.items() if item[1].fate is Fate.PLANNED]
        chosen = sorted(planned, key=lambda item: (item[1].draw, item[0]))[:count]
        for entity_id, row in chosen:
            row.fate = Fate.OPEN if self._admit(entity_id, back=back) else Fate.LEFT
            row.stage, row.admit_time = stage, now
            self._held.admitted.append((self.tables.now(), entity_id, stage))
        self._wake()
        under_way = sum(row.fate is Fate.OPEN for _, row in chosen)
        return under_way, len(chosen) - under_way

    def _admit(self, entity_id: uuid.UUID, *, back: bool) -> bool:
        row = self.tables.account(self.place).get(entity_id)
        if row is None:
            return False
        if row.state is State.DELIVERED or (row.state is State.DEAD and back):
            doubtful = row.doubt if row.state is State.DEAD else self.rollout.selection.look_up
            self._make_due(row, doubtful=doubtful)
            row.wait_since, row.trace, row.dirty_time = None, None, self.tables.now()
            return True
        return row.state in {State.PENDING, State.IN_DOUBT} or (row.state is State.RETRYING and back)

    def _make_due(self, row: DeliveryRow, *, doubtful: bool) -> None:
        row.state = State.IN_DOUBT if doubtful else State.PENDING
        row.failure_count, row.mark_time = 0, self.tables.now()
        row.lane, row.due_time = Lane.RECONCILE, self.tables.now()

    async def open_members(self) -> tuple[Member, ...]:
        """Return the records that are under way."""
        found = sorted((key, row) for key, row in self._members.items() if row.fate in _OPEN)
        return tuple(Member(key, row.fate, row.returns) for key, row in found[:OPEN_MAX])

    async def standing(self, entities: Sequence[uuid.UUID]) -> tuple[Standing, ...]:
        """Return deliveries as they stand."""
        account = self.tables.account(self.place)
        return standings(
            self.tables, self.place, [account[key] for key in sorted(entities) if key in account]
        )

    async def judge(self, fates: Mapping[uuid.UUID, Fate]) -> None:
        """Note where records stand."""
        for entity_id, fate in fates.items():
            self._members[entity_id].fate = fate

    async def send_again(self, entities: Sequence[uuid.UUID]) -> None:
        """Make settled records due again."""
        for entity_id in entities:
            row = self.tables.account(self.place)[entity_id]
            if row.state in {State.DELIVERED, State.DEAD}:
                self._make_due(row, doubtful=row.state is State.DEAD and row.doubt)
            self._members[entity_id].returns += 1
        self._wake()

    async def relapsed(self, stage: int) -> int:
        """Note which delivered records of *stage* are dead since; return how many."""
        account = self.tables.account(self.place)
        fallen = [
            row
            for key, row in self._members.items()
            if row.stage == stage and row.fate is Fate.DELIVERED and account[key].state is State.DEAD
        ]
        for row in fallen:
            row.fate = Fate.FAILED
        return len(fallen)

    async def save(self, rollout: Rollout) -> None:
        """Store how the rollout stands."""
        before, self.rollout = self.rollout, rollout
        self._held.rollouts[self._key] = rollout
        if (before.state, before.stage.number) != (rollout.state, rollout.stage.number):
            self._held.steps.append((self.tables.now(), rollout))

    def _wake(self) -> None:
        self.tables.notify(DELIVERY_CHANNEL)
