"""Rollouts on a database of the test's own, against a CRM that is played by a script."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import structs
from tests.unit.sync.tenant import NOON, POLICY, TENANT, key

from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import Unavailable
from headwater.kernel.pg.pool import open_pool
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest
from headwater.policy.staging import load_event
from headwater.sync.domain.delivering import Claimed, Send, known_after, plan_delivery
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.rollout import Rollout, RolloutState
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.turns import Wanted
from headwater.sync.rollouts.worker import RolloutWorker
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.operations import PostgresOperations
from headwater.sync.store.rollouts import PostgresRollouts
from headwater.sync.usecases.rollouts import Rollouts, Wish

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

ACCOUNT: Final = "salesforce"
ROLLOUT_PART: Final = "\nrollout: {records: 3, ramp: [8], soak_s: 10, rate_per_s: 1000, errors_min: 1}\n"
OLD: Final = POLICY + ROLLOUT_PART
NEW: Final = OLD.replace("transform: upper", "transform: lower").replace('version: "7"', 'version: "8"')
"""The same policy, but titles are written in small letters."""
THIRD: Final = NEW.replace('version: "8"', 'version: "9"')


@dataclass(slots=True)
class ScriptedLog:
    """Port `PolicyLog` that puts policies where ingest does; *lose* makes the next answer get lost."""

    pool: Pool
    puts: dict[str, str] = field(default_factory=dict)
    lose: bool = False

    async def put(
        self,
        tenant_id: str,
        text: str,
        *,
        request_id: str,
        actor: str,
        event_time: dt.datetime,
        staged: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a policy once."""
        assert actor
        assert event_time.tzinfo
        if request_id not in self.puts:
            self.puts[request_id] = text
            await self.enforce(text, tenant_id, staged)
        if self.lose:
            self.lose = False
            raise Unavailable("the answer got lost")

    async def enforce(
        self, text: str, tenant_id: str = TENANT, staged: Mapping[str, Any] | None = None
    ) -> None:
        """Put a policy in force, as anybody may; the projector comes by it at once."""
        told = {"document": text, "digest": policy_digest(text)} | ({"staged": staged} if staged else {})
        event_key = uuid.uuid4()
        await self.pool.execute(
            "insert into ingest.policy as held (tenant_id, event_key, xid, seq, payload)"
            " values ($1, $2, '1', 1, $3) on conflict (tenant_id) do update"
            " set event_key = excluded.event_key, payload = excluded.payload",
            tenant_id,
            event_key,
            msgspec.json.encode(told),
        )
        await self.pool.execute(
            "insert into sync.policy_version (tenant_id, event_key, xid, seq, digest, document, actor, record_time,"
            " next_time, staged) select $1, $2, 1, (select count(*) from sync.policy_version), $3, $4, 'ann', $5, $5, $6",
            tenant_id,
            event_key,
            policy_digest(text),
            text,
            NOON,
            staged,
        )

    async def in_force(self) -> PolicyDocument:
        """Return the policy in force, with what is staged."""
        payload = await self.pool.fetchval("select payload from ingest.policy where tenant_id = $1", TENANT)
        return load_event(msgspec.json.decode(payload))


@dataclass(slots=True)
class ScriptedInspections:
    """Port `Inspections`: what the account's people have set up."""

    told: dict[str, Inspection] = field(default_factory=dict)
    asked: list[Mapping[str, Sequence[str]]] = field(default_factory=list)

    async def inspect(self, tenant_id: str, asked: Mapping[str, Sequence[str]]) -> Mapping[str, Inspection]:
        """Return what was set up; nothing where it was not."""
        assert tenant_id == TENANT
        self.asked.append(asked)
        return {name: self.told.get(name, Inspection()) for name in asked}


@dataclass(slots=True)
class Stage:
    """The tables, the script that is the CRM, and the worker."""

    pool: Pool
    clock: SteppedClock
    log: ScriptedLog
    store: PostgresRollouts
    desk: Rollouts
    inspections: ScriptedInspections
    worker: RolloutWorker = field(init=False)
    refuses: Callable[[int, Mapping[str, Any]], bool] = lambda _number, _fields: False
    crm: dict[int, dict[str, Any]] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)

    async def add(self, *numbers: int, state: int = 2, **columns: Any) -> None:
        """Put contacts in that the CRM holds as the old policy writes them."""
        for number in numbers:
            known = {"Email": f"a{number}@x.io", "LastName": "unknown", "Title": "CTO"}
            await self.pool.execute(
                "insert into sync.entity (tenant_id, entity_id, object, state, version, fields)"
                " values ($1, $2, 'contact', 'active', 1, $3)",
                TENANT,
                key(number),
                {name: [value, "rule", "site", str(key(9)), 1]
                 for name, value in {"email": f"a{number}@x.io", "title": "Cto"}.items()},
            )  # fmt: skip
            row: dict[str, Any] = {
                "tenant_id": TENANT, "connector": ACCOUNT, "entity_id": key(number), "object": "contact",
                "state": state, "desired_version": 1, "delivered_version": 1, "crm_object": "Contact",
                "crm_id": f"003{number}", "known": known, "event_key": key(number), "dirty_time": NOON,
            } | columns  # fmt: skip
            places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
            await self.pool.execute(
                f"insert into sync.delivery ({', '.join(row)}) values ({places})",  # noqa: S608 - the tests' own
                *row.values(),
            )
            self.crm[number] = dict(known)
            if state in {1, 3, 4}:
                await self.pool.execute(
                    "insert into sync.due values ($1, $2, 1, $3, $4)", TENANT, ACCOUNT, NOON, key(number)
                )

    async def begin(self, wish: Wish | None = None) -> uuid.UUID:
        """Begin a rollout of the new policy, unless something else is wished; return its id."""
        begun = await self.desk.start(TENANT, uuid.uuid4(), wish or Wish(document=NEW), "ann")
        return begun[0].rollout_id

    async def read(self, rollout_id: uuid.UUID) -> Rollout:
        """Return the rollout as it stands."""
        found = await self.store.read(TENANT, rollout_id)
        assert found is not None
        return found

    async def time(self) -> dt.datetime:
        """Return the clock's time, as workers ask for it."""
        return self.clock.now()

    async def step(self, seconds: float = 1.0) -> None:
        """Let time pass and the worker work once."""
        self.clock.advance(seconds)
        await self.worker.step()

    async def deliver(self, text: str | None = None, account: str = ACCOUNT) -> None:
        """Let an actor write all that is due, under the policy in force or another one."""
        document = load_policy(text) if text else await self.log.in_force()
        policy = document.connectors[account]
        store = PostgresDeliveries(self.pool, TENANT, account, Lease(f"connector/{TENANT}/{account}", 1))
        turn = await store.turn((), wanted := Wanted(0, dict.fromkeys(Lane, 100)))
        while turn.claimed:
            turn = await store.turn([self._write(policy, item) for item in turn.claimed], wanted)

    def _write(self, policy: Any, item: Claimed) -> Settlement:
        number = item.entity_id.int
        if item.in_doubt:  # looked up first
            shown = {name: value for name, value in self.crm[number].items() if value}
            item = structs.replace(item, known=shown)
        plan = plan_delivery(policy, item, 0.0)
        fields: dict[str, Any] = {
            "claimed": item, "version": item.version, "crm_object": policy.written[item.object][0].target, "crm_id": item.crm_id or f"003{number}",
            "start_time": NOON, "lane": Lane.RETRY, "failure_count": 0, "try_count": 0,
        }  # fmt: skip
        if not isinstance(plan, Send):
            return Settlement(**fields, state=State.DELIVERED, outcome="unchanged", known=item.known)
        self.calls.append(number)
        if self.refuses(number, plan.write.fields):
            told: dict[str, Any] = {
                "error_class": "validation",
                "error_code": "BAD",
                "error_message": "no such title",
            }
            fields |= {"failure_count": 1, "try_count": 1}
            return Settlement(
                **fields,
                **told,
                state=State.DEAD,
                outcome="failed",
                known=item.known,
                endpoint="upsert Contact",
            )
        self.crm.setdefault(number, {}).update(plan.write.fields)
        return Settlement(
            **fields, state=State.DELIVERED, outcome="updated", known=known_after(item, plan.write)
        )

    def titles(self) -> dict[str, int]:
        """Return each title that the CRM holds, and in how many records."""
        found: dict[str, int] = {}
        for record in self.crm.values():
            found[record["Title"]] = found.get(record["Title"], 0) + 1
        return found

    async def run(self, rollout_id: uuid.UUID, steps_max: int = 40) -> Rollout:
        """Let worker and actor take turns until the rollout ends."""
        for _ in range(steps_max):
            await self.step(5.0)
            await self.deliver()
            if (found := await self.read(rollout_id)).ended:
                return found
        raise AssertionError(f"still {found.state.name} after {steps_max} steps: {found}")

    async def until(self, rollout_id: uuid.UUID, state: RolloutState, steps_max: int = 40) -> Rollout:
        """Let worker and actor take turns until the rollout stands so."""
        for _ in range(steps_max):
            if (found := await self.read(rollout_id)).state is state:
                return found
            await self.step(1.0)
            await self.deliver()
        raise AssertionError(f"still {found.state.name} after {steps_max} steps: {found}")


@asynccontextmanager
async def rolling(url: str) -> AsyncIterator[Stage]:
    """Open a stage with the old policy in force."""
    async with await open_pool(url, application_name="test", size_max=3) as pool:
        await pool.execute(
            "insert into sync.lease (name, holder, fence, expire_time)"
            " select name, 'test', 1, 'infinity' from unnest($1::text []) as item (name)",
            [f"connector/{TENANT}/{account}" for account in (ACCOUNT, "hubspot")],
        )
        clock, log, store = SteppedClock(NOON), ScriptedLog(pool), PostgresRollouts(pool)
        await log.enforce(OLD)
        inspections = ScriptedInspections()
        desk = Rollouts(store, PostgresOperations(pool), clock, inspections)
        stage = Stage(pool, clock, log, store, desk, inspections)
        stage.worker = RolloutWorker(store, log, stage.time)
        yield stage
