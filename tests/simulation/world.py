"""Runs one plan: processes, CRMs, what is recorded and what breaks, under one clock; then asks the checker."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio
from tests.simulation.chance import named_uuid, stream
from tests.simulation.crm import Ailment, Crm, CrmNature, CrmRecord, CrmWrite, Effect
from tests.simulation.identity import Identity
from tests.simulation.journal import Journal
from tests.simulation.loop import Deadlocked, SimulatedLoop, Spinning
from tests.simulation.plan import CHAOS_S, QUIET_S_MAX, Fault, Plan, PlannedAccount
from tests.simulation.policies import BEGIN, SHARDS, event_of, policy_of, told_event
from tests.simulation.process import Parts, Process, SkewedClock
from tests.simulation.remarking import logged_to
from tests.simulation.rolling import BAD, begin_rollout, read_policy, written
from tests.simulation.store.link import LinkOdds
from tests.simulation.store.replays import start_replay
from tests.simulation.store.rollouts import RolloutTables
from tests.simulation.store.tables import Tables
from tests.simulation.swapping import swapped
from tests.simulation.vendor import CallSeen

from headwater.kernel.errors import Unavailable
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import policy_digest
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.domain.replaying import Replay, ReplayState, Scope
from headwater.sync.domain.settling import State
from headwater.sync.wakeup import LOG_CHANNEL

CHECK_EVERY_S: Final = 1.0
REPLAY_RATES: Final = (2.0, 0.5, 20.0)
"""Deliveries a second that operators ask for, one replay after another."""
TELL_S: Final = (0.005, 4.0)
"""How late a CRM tells of a change."""
WALL_S_MAX: Final = 60.0
"""Longest time a run may take in truth."""


@dataclass(slots=True)
class World:
    """Everything of one run that is not the engine."""

    plan: Plan
    parts: Parts
    loop: SimulatedLoop
    journal: Journal
    tables: Tables
    identity: Identity
    crms: dict[str, Crm] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    graveyard: list[Process] = field(default_factory=list)
    calls: list[CallSeen] = field(default_factory=list)
    recorded: list[LogEvent] = field(default_factory=list)
    moments: list[tuple[float, str, str]] = field(default_factory=list)
    """When a process was crashed, paused, handed over: time, process, what."""
    settle_time: float | None = None
    last_fault_time: float = 0.0
    policy_version: int = 1
    forecast: int = 0
    """Records that the dry run of a rollout said it would reach."""
    deleted: list[tuple[str, str]] = field(default_factory=list)
    _steps: dict[str, int] = field(default_factory=dict)

    def now(self) -> dt.datetime:
        """Return the true time."""
        return _true_time(self.loop)

    # What processes ask

    def note_of(self, process: Process, kind: str, *facts: Any) -> None:
        """Write a line of *process*; a crash planned for this step happens here."""
        self.journal.note(process.label, kind, *facts)
        steps = self._steps[process.name] = self._steps.get(process.name, 0) + 1
        for fault in self.plan.faults:
            if fault.kind == "crash_at_step" and fault.target == process.name and fault.size == steps:
                self._crash(process.name, fault.end_s)

    def odds_of(self, process: Process) -> LinkOdds:
        """Return what goes wrong on the way to the database now."""
        if process.dead:
            raise Unavailable("the process is dead")
        lost = raced = 0.0
        for fault in self._active("database"):
            if fault.target in {"", process.name}:
                lost = max(lost, fault.size)
        for fault in self._active("races"):
            raced = max(raced, fault.size)
        return LinkOdds(lost * 0.6, lost * 0.4, raced)

    def identity_absent(self) -> float:
        """Return how likely identity does not answer now."""
        return max((fault.size for fault in self._active("identity")), default=0.0)

    def call_seen(self, call: CallSeen) -> None:
        """Take note of a call's end."""
        self.calls.append(call)

    def _active(self, kind: str) -> Iterator[Fault]:
        now = self.loop.time()
        return (f for f in self.plan.faults if f.kind == kind and f.start_s <= now < f.end_s)

    def ailments_of(self, crm: str) -> frozenset[Ailment]:
        """Return what ails a CRM now."""
        return frozenset(f.what for f in self._active("ail") if f.target == crm)  # type: ignore[misc]

    # What CRMs tell

    def changed_in(self, account: PlannedAccount, crm: Crm, effect: Effect, record: CrmRecord) -> None:
        """Have the CRM tell of a change: at once, later, twice, or as the record looks when it is asked."""
        now = self.loop.time()
        if now > CHAOS_S:
            return
        dice = stream(self.plan.seed, f"told/{crm.name}/{len(crm.effects)}")
        entity_id = uuid.UUID(effect.external_id)
        self.identity.tell(
            RecordKey(account.tenant, effect.crm_object.lower(), account.system, effect.crm_id), entity_id
        )
        if dice.random() < 0.6:
            self.loop.call_later(
                dice.uniform(*TELL_S), self._tell, account, record, now, dict(record.fields),
                context=contextvars.Context(),
            )  # fmt: skip
        if dice.random() < 0.4:
            self.loop.call_later(
                dice.uniform(*TELL_S), self._tell, account, record, None, record.fields,
                context=contextvars.Context(),
            )  # fmt: skip

    def _tell(
        self, account: PlannedAccount, record: CrmRecord, changed: float | None, shown: Mapping[str, Any]
    ) -> None:
        number = len(self.recorded) + 1
        moment = (record.change_time if changed is None else changed, self.loop.time())
        key = named_uuid(self.plan.seed, "told", number)
        self._append(told_event(account, record, shown, moment, number, key))

    # What happens

    async def run(self) -> None:
        """Run the plan to its end."""
        for number in range(self.plan.processes):
            self._start(f"p{number}")
        for planned in self.plan.events:
            self.loop.call_at(planned.time_s, self._record, planned)
        for fault in self.plan.faults:
            if fault.kind != "crash_at_step":
                self.loop.call_at(fault.start_s, self._strike, fault)
        ends = [fault.end_s for fault in self.plan.faults if fault.kind != "crash_at_step"]
        self.last_fault_time = (
            max([CHAOS_S, *ends])
            if self.plan.faults
            else max((event.time_s for event in self.plan.events), default=0.0)
        )
        await anyio.sleep(self.last_fault_time + CHECK_EVERY_S)
        await self._settle()
        if any(
            row.state is State.DEAD for account in self.tables.deliveries.values() for row in account.values()
        ):
            self._replay()
            await self._settle()

    async def _settle(self) -> None:
        end = self.loop.time() + QUIET_S_MAX
        self.settle_time = None
        while self.loop.time() < end:
            if self.settled():
                self.settle_time = self.loop.time()
                return
            await anyio.sleep(CHECK_EVERY_S)

    def settled(self) -> bool:
        """Return whether nothing is left to do."""
        tables = self.tables
        projected = len(tables.projections) == len(self.recorded)
        unmetered = [tables.account(account.place) for account in self.plan.accounts if account.is_unmetered]
        running = bool(tables.rolling.open) or any(
            item.state is ReplayState.RUNNING for item in tables.replays.values()
        )
        return (
            projected
            and not running
            and not any(row.is_due or row.state is State.HELD for rows in unmetered for row in rows.values())
        )

    def _record(self, planned: Any) -> None:
        said = None
        if planned.kind == "merge":
            said = self.identity.merge(planned.tenant, planned.subject, planned.other, ("site", "bulk"))
            if said is None:
                return
        event = event_of(self.plan, planned, len(self.recorded) + 1, said)
        self.journal.note("world", "recorded", planned.number, planned.kind, planned.subject)
        self._append(event)

    def _append(self, event: LogEvent) -> None:
        self.tables.events.setdefault(event.shard, []).append(event)
        self.recorded.append(event)
        self.tables.notify(LOG_CHANNEL)

    def _strike(self, fault: Fault) -> None:
        self.journal.note("world", "strikes", fault.kind, fault.target, fault.what)
        match fault.kind:
            case "crash":
                self._crash(fault.target, fault.end_s - fault.start_s)
            case "pause":
                self._pause(fault)
            case "clock":
                if process := self.processes.get(fault.target):
                    process.clock.offset_s = fault.size
            case "hand_over":
                self._hand_over(fault)
            case "policy":
                self.policy_version += 1
                self._write_policies()
            case "rollout":
                begin_rollout(self, fault)
            case "operator":
                self._order(fault)
            case "delete":
                self._delete(self.crms[fault.target])
            case _:
                return

    def _start(self, name: str) -> None:
        if name in self.processes:
            return
        number = 1 + sum(item.name == name for item in self.graveyard)
        process = Process(self, name, number, SkewedClock(self))
        self.processes[name] = process
        process.start(self.loop)

    def _crash(self, name: str, away_s: float) -> None:
        process = self.processes.pop(name, None)
        if process is None:
            return
        self._mark_moment(process, "crash")
        self.loop.stop_process(process.label)
        self.tables.listeners.pop(process.label, None)
        self.graveyard.append(process)
        self.loop.call_later(away_s, self._start, name, context=contextvars.Context())

    def _pause(self, fault: Fault) -> None:
        process = self.processes.get(fault.target)
        if process is None:
            return
        self._mark_moment(process, "pause")
        self.loop.stop_process(process.label)
        self.loop.call_at(fault.end_s, self._resume, process)

    def _resume(self, process: Process) -> None:
        if process not in self.graveyard:
            self._mark_moment(process, "resume")
            self.loop.continue_process(process.label)

    def _hand_over(self, fault: Fault) -> None:
        process = self.processes.pop(fault.target, None)
        if process is None:
            return
        self._mark_moment(process, "hand_over")
        self.graveyard.append(process)
        process.end_asked.set()
        self.loop.call_at(fault.end_s, self._start, fault.target)

    def _mark_moment(self, process: Process, what: str) -> None:
        self.moments.append((self.loop.time(), process.label, what))
        self.journal.note(process.label, what)

    def _write_policies(self) -> None:
        for tenant in {account.tenant: None for account in self.plan.accounts}:
            said = self.parts.document(policy_of(self.plan, tenant, self.policy_version))
            self.policies[tenant] = PolicyDocument.model_validate(said)
            self.tables.rolling.texts[tenant] = written(said)

    def put_policy(self, tenant: str, text: str) -> None:
        """Put a policy in force that came with a rollout."""
        self.journal.note("world", "policy", tenant, policy_digest(text))
        self.tables.rolling.texts[tenant] = text
        self.policies[tenant] = read_policy(text)

    def _delete(self, crm: Crm) -> None:
        mine = [key for key, record in sorted(crm.records.items()) if record.external_id]
        if mine:
            key = mine[stream(self.plan.seed, f"delete{len(self.deleted)}").randrange(len(mine))]
            self.deleted.append((crm.name, crm.records[key].external_id))
            crm.delete_by_hand(*key)

    def _replay(self) -> None:
        """As an operator: dead deliveries whose cause may be over are due again."""
        self.journal.note("world", "replays")
        for tenant in {account.tenant: None for account in self.plan.accounts}:
            self._begin_replay(Scope(), tenant)

    def _order(self, fault: Fault) -> None:
        """As an operator: in the midst of it all, dead deliveries of an account are replayed or given up."""
        account = next(item for item in self.plan.accounts if item.crm == fault.target)
        rows = self.tables.account(account.place).values()
        stopped = sorted(row.entity_id for row in rows if row.state in {State.DEAD, State.DISCARDED})
        reason = "not wanted any more" if fault.what == "discard" else ""
        if fault.what != "all" and stopped:
            self._begin_replay(Scope(account.name, entity_ids=tuple(stopped)), account.tenant, reason)
        elif fault.what == "all":
            self._begin_replay(Scope(account.name), account.tenant)

    def _begin_replay(self, scope: Scope, tenant: str, reason: str = "") -> None:
        now, number = self.now(), len(self.tables.replays)
        replay = Replay(
            tenant, named_uuid(self.plan.seed, "replay", number), scope, REPLAY_RATES[number % len(REPLAY_RATES)],
            ReplayState.RUNNING, 0, 0, now, "user:operator", "1", discard_reason=reason,
        )  # fmt: skip
        start_replay(self.tables, replay)

    async def bury(self) -> None:
        """End every process, the crashed ones last: their cleaning up reaches nothing any more."""
        for process in [*self.processes.values(), *self.graveyard]:
            process.dead = True
            self.loop.continue_process(process.label)
            if process.task is not None and not process.task.done():
                process.task.cancel()
        tasks = [p.task for p in [*self.processes.values(), *self.graveyard] if p.task is not None]
        with anyio.move_on_after(120.0):
            await asyncio.wait(tasks)


def _true_time(loop: SimulatedLoop) -> dt.datetime:
    return BEGIN + dt.timedelta(microseconds=round(loop.time() * 1e6))


def build_world(plan: Plan, parts: Parts, loop: SimulatedLoop, *, keep: bool) -> World:
    """Return the world of *plan*, nothing running yet."""
    journal = Journal(loop.time, keep=keep)
    world = World(
        plan,
        parts,
        loop,
        journal,
        Tables(partial(_true_time, loop), SHARDS, rolling=RolloutTables()),
        Identity(plan.seed),
    )
    world._write_policies()  # noqa: SLF001 - the builder is this module's
    for item in plan.accounts:
        nature = CrmNature(
            item.calls,
            item.window_s,
            item.unique_external_id,
            "Email" if item.unique_email else "",
            item.daily_calls,
        )
        crm = Crm(
            item.crm, nature, loop, stream(plan.seed, item.crm), partial(world.ailments_of, item.crm),
            partial(journal.note, item.crm),
        )  # fmt: skip
        crm.refuses = _rejects
        if item.two_way:
            crm.on_effect = partial(world.changed_in, item)
        world.crms[item.crm] = crm
    return world


def _rejects(write: CrmWrite) -> bool:
    return write.fields.get("Note") == "rejected" or BAD in write.fields


def simulate(plan: Plan, parts: Parts, *, keep: bool = False) -> tuple[World, BaseException | None]:
    """Run *plan* to its end; return the world, and what ended the run before its time."""
    loop = SimulatedLoop(plan.seed, WALL_S_MAX)
    world = build_world(plan, parts, loop, keep=keep)

    async def main() -> BaseException | None:
        failure: BaseException | None = None
        try:
            await world.run()
        except Exception as error:  # noqa: BLE001 - reported as a finding of the run
            failure = error
        await world.bury()
        return failure

    with logged_to(world.journal), swapped(parts.swaps):
        try:
            return world, anyio.run(main, backend_options={"loop_factory": lambda: loop})
        except (Spinning, Deadlocked) as error:
            return world, error
