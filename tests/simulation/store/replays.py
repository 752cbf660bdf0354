"""The port `Replays` over the tables of a simulation, as far as the engine works them off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.simulation.store.link import Link
from tests.simulation.store.tables import AuditRow, DeliveryRow, Tables

from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.replaying import Replay, ReplayState, after_portion, portion
from headwater.sync.domain.settling import State
from headwater.sync.store.replays import LAST_CONNECTOR
from headwater.sync.wakeup import DELIVERY_CHANNEL, REPLAY_CHANNEL

_STOPPED = frozenset({State.DEAD, State.DISCARDED})
_AHEAD = 1.1
"""A replay that is due later than so many shares of its rate has its time from a clock that went wrong."""


def start_replay(tables: Tables, replay: Replay) -> None:
    """Begin *replay*, as an operator does."""
    tables.replays.setdefault((replay.tenant_id, replay.replay_id), replace(replay, create_time=tables.now()))
    tables.notify(REPLAY_CHANNEL)


class MemoryReplays:
    """Replays, worked off by one process."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self.tables = tables
        self._link = link

    async def now(self) -> dt.datetime:
        """Return the database's time."""
        return await self._link.call("read_time", self.tables.now, may_race=False)

    async def next_time(self) -> dt.datetime | None:
        """Return when a running replay is due next; None when none runs."""
        return await self._link.call(
            "next_replay_time", lambda: min((item.next_time for item in self._running()), default=None)
        )

    def _running(self) -> list[Replay]:
        return [item for item in self.tables.replays.values() if item.state is ReplayState.RUNNING]

    async def work_off(self, now: dt.datetime) -> bool:
        """Make the next portion of the replay due that waits longest, or end it; return whether there was one."""
        return await self._link.call("work_off", lambda: self._work_off(now))

    def _work_off(self, now: dt.datetime) -> bool:
        due = [item for item in self._running() if item.next_time <= now or _is_wrong(item, now)]
        if not due:
            return False
        taken = min(due, key=lambda item: item.next_time)
        allowed = portion(taken.rate_per_s, taken.next_time, now)
        found = self._next(taken, allowed.count)
        count = sum(self.end_or_make_due(taken, row) for row in found)
        place = (found[-1].connector, found[-1].entity_id) if found else taken.place
        self.tables.replays[(taken.tenant_id, taken.replay_id)] = replace(
            taken,
            place=place,
            replayed_count=taken.replayed_count + count,
            next_time=allowed.next_time,
            state=after_portion(allowed.count, len(found)),
        )
        if count and not taken.discard_reason:
            self.tables.notify(DELIVERY_CHANNEL)
        return True

    def _next(self, taken: Replay, count: int) -> Sequence[DeliveryRow]:
        scope, named = taken.scope, set(taken.scope.entity_ids)
        wanted = {State.DEAD} if taken.discard_reason or not named else _STOPPED
        first, last = scope.connector, scope.connector or LAST_CONNECTOR
        rows = [
            row
            for (tenant_id, connector), account in self.tables.deliveries.items()
            if tenant_id == taken.tenant_id and first <= connector <= last
            for row in account.values()
            if row.state in wanted
            and (row.connector, row.entity_id) > taken.place
            and (row.entity_id in named if named else not _failed_since(row, taken.create_time))
        ]
        return sorted(rows, key=lambda row: (row.connector, row.entity_id))[:count]

    def end_or_make_due(self, taken: Replay, row: DeliveryRow) -> bool:
        """Make a stopped delivery due, or end a dead one, with audit."""
        tables, before = self.tables, row.state
        rule = f"replay {taken.replay_id}"
        if taken.discard_reason:
            row.state = State.DISCARDED
            ended = {"field": "state", "before": "dead", "after": "discarded", "rule": "operator"}
            unknown = {"field": "", "before": None, "after": "in_doubt", "rule": "operator"}
            changes = (ended, unknown) if row.doubt else (ended,)
            self._note(row, taken, "deliveries_discarded", changes)
            return True
        self.make_due(row)
        row.lane, row.due_time, row.wait_since = Lane.RETRY, tables.now(), None
        failures, row.failure_count = row.failure_count, 0
        self._note(
            row, taken, "deliveries_replayed",
            (
                {"field": "state", "before": before.name.lower(), "after": row.state.name.lower(), "rule": "operator"},
                {"field": "failure_count", "before": failures, "after": 0, "rule": rule},
            ),
        )  # fmt: skip
        return True

    def make_due(self, row: DeliveryRow) -> None:
        """A write that nobody knows the end of is looked up first."""
        row.state = State.IN_DOUBT if row.doubt else State.PENDING

    def _note(
        self, row: DeliveryRow, taken: Replay, action: str, changes: tuple[Mapping[str, object], ...]
    ) -> None:
        self.tables.audit.append(
            AuditRow(
                row.tenant_id, action, taken.actor, row.entity_id, row.event_key, row.connector, changes,
                self.tables.now(),
            )
        )  # fmt: skip


def _is_wrong(item: Replay, now: dt.datetime) -> bool:
    return item.next_time > now + dt.timedelta(seconds=_AHEAD / item.rate_per_s)


def _failed_since(row: DeliveryRow, began: dt.datetime | None) -> bool:
    return row.fail_time is not None and began is not None and row.fail_time > began
