"""Making one entity again from its own history: what a rebuild of everything gives, beside live traffic, and nothing lost."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import asyncpg
import grpc
import pytest
from tests.integration.sync.test_corrections import correction, merge, split
from tests.integration.sync.test_rebuild import through
from tests.integration.sync.test_rebuild_tenant import state_of
from tests.integration.sync.whole import POLICY, TENANT, Doors, doors, event, looking, syncing, until
from tests.integration.sync.world import ACTOR, refusal

from headwater.event.v1 import event_pb2
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.rpc import open_channel
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.domain.reading import Answers
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.rebuilding.rebuilder import EntityRebuilder
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.rebuilding import PostgresRebuilding
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.v1 import rebuild_pb2 as pb
from headwater.sync.v1 import rebuild_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

UNTOLD: Final = (
    POLICY[: POLICY.index("connectors:")]
    .replace("last_name: last_name, title: title", "last_name: last_name, title: title, locked: locked")
    .replace(
        "title: {type: text, owners: [erp], rule: most_recent}",
        "title: {type: text, owners: [erp], rule: most_recent, locked_by: locked},"
        " locked: {type: boolean, owners: [erp], rule: most_recent}",
    )
)
"""A tenant without a CRM, whose ERP can lock titles."""
assert UNTOLD.count("locked: locked") == 1
assert "locked_by: locked" in UNTOLD
STATE: Final = {
    "records": "select object, source, external_id, entity_id, fields::text, deleted, delete_time, home_seq from sync.record"
    " where tenant_id = $1",
    "entities": "select entity_id, object, state, merged_into, fields::text from sync.entity where tenant_id = $1",
    "references": "select * from sync.entity_reference where tenant_id = $1",
}
"""What is made of the log, byte for byte; versions count how often something was computed."""
PEOPLE: Final = 8
Call = Callable[[], Awaitable[None]]
WRONG: Final = '{"title": ["Nobody", "most_recent", "erp", "00000000-0000-0000-0000-000000000000", 1]}'
DAMAGE: Final = (
    "update sync.entity set fields = '{}' where entity_id = $1",
    f"update sync.entity set fields = '{WRONG}' where entity_id = $1",  # noqa: S608
    "update sync.entity set state = 'deleted' where entity_id = $1",
    "update sync.record set fields = '{}' where entity_id = $1 and source <> 'mail'",
    "update sync.record set fields = jsonb_set(fields, '{title}', fields -> 'email') where entity_id = $1 and fields ? 'email'",
    "update sync.record set deleted = not deleted where entity_id = $1",
    "delete from sync.entity_reference where from_entity_id = $1",
)
"""Ways in which what is stored of an entity may come to differ from its history."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant in the middle of things."""

    world: Doors
    connection: Any
    rebuilds: rebuild_pb2_grpc.RebuildServiceAsyncStub
    connection_url: str = ""

    async def rebuild(self, entity_id: uuid.UUID, **asked: Any) -> pb.RebuildEntityResponse:
        """Ask for a rebuild."""
        request = pb.RebuildEntityRequest(tenant_id=TENANT, entity_id=str(entity_id), actor=ACTOR, **asked)
        return await self.rebuilds.RebuildEntity(request, timeout=15)

    async def refused(self, entity_id: uuid.UUID, **asked: Any) -> Any:
        """Ask for a rebuild that is refused; return why."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.rebuild(entity_id, **asked)
        return (*refusal(caught.value), caught.value.details())

    async def say(self, time_s: float, **fields: Any) -> None:
        """Let the ERP say something of one person."""
        said = {"email": "ada@one.example", **fields}
        await self.world.record([event("erp", "contact", "e-1", time_s, **said)])

    async def person(self, **fields: Any) -> uuid.UUID:
        """Let there be that person; return the entity."""
        await self.say(0, **fields)
        await self.settle()
        return await self.home("erp", "contact", "e-1")

    async def home(self, source: str, object_name: str, external_id: str) -> uuid.UUID:
        """Return the entity of a record."""
        found: uuid.UUID = await self.connection.fetchval(
            "select entity_id from sync.record where (source, object, external_id) = ($1, $2, $3)",
            source, object_name, external_id,
        )  # fmt: skip
        return found

    async def standing(self) -> list[uuid.UUID]:
        """Return the entities that stand for themselves and have records."""
        rows = await self.connection.fetch(
            "select entity_id from sync.entity as one where state <> 'merged' and exists"
            " (select from sync.record as held where held.entity_id = one.entity_id) order by entity_id"
        )
        return [row["entity_id"] for row in rows]

    async def settle(self) -> None:
        """Wait until all is projected, identity's merges and splits among it."""
        await until(partial(at_rest, self.connection), 20)


@asynccontextmanager
async def tenant_of(url: str, world: Doors, connection: Any) -> AsyncIterator[Tenant]:
    """Run sync for the tenant."""
    async with (
        syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Tenant(world, connection, rebuild_pb2_grpc.RebuildServiceStub(channel), url)


@asynccontextmanager
async def begun(url: str) -> AsyncIterator[Tenant]:
    """Run a tenant that has a policy."""
    async with doors(url) as world, looking(url) as connection:
        await world.record([event("headwater", "policy", TENANT, document=UNTOLD)])
        async with tenant_of(url, world, connection) as tenant:
            yield tenant


def history(chance: random.Random) -> list[event_pb2.Event]:
    """Return what two systems and a mailbox say of some people, their accounts and deals, in no order of time."""
    said = []
    for _ in range(PEOPLE * 8):
        number, moment = chance.randrange(PEOPLE), chance.uniform(0, 9_000)
        name = {"email": f"p{number}@one.example", "last_name": chance.choice(["King", "Byron", "Lovelace"])}
        match chance.randrange(7):
            case 0 | 1:
                locked = {"locked": chance.random() < 0.5} if chance.random() < 0.3 else {}
                title = chance.choice(["CEO", "CTO", None])
                said.append(event("erp", "contact", f"e-{number}", moment, **name, title=title, **locked))
            case 2 | 3:
                phone = f"+49 30 {chance.randrange(10**6):06}"
                said.append(event("shop", "contact", f"s-{number}", moment, **name, phone=phone))
            case 4:
                said.append(event("erp", "account", f"a-{number}", moment, name=f"Company {moment:.0f}"))
            case 5:
                account = f"a-{chance.randrange(PEOPLE)}"
                deal = {"name": f"Deal {number}", "stage": chance.choice(["won", "lost"]), "account": account}
                said.append(event("erp", "deal", f"d-{number}", moment, **deal))
            case _:
                people = [
                    {"address": f"p{one}@one.example", "name": chance.choice(["", "Ada King", "Byron, Ada"]), "role": "to"}
                    for one in chance.sample(range(PEOPLE), 2)
                ]  # fmt: skip
                mail = {"kind": "email", "subject": f"m {moment:.0f}", "participants": people}
                said.append(event("mail", "activity", f"m-{number}", moment, **mail))
    if chance.random() < 0.8:
        gone = event("shop", "contact", f"s-{chance.randrange(PEOPLE)}", chance.uniform(0, 9_000))
        gone.payload, gone.operation = b"", event_pb2.OPERATION_DELETE
        said.append(gone)
    return said


async def live(tenant: Tenant, chance: random.Random) -> None:
    """Let the tenant's systems speak, people correct, merge and split."""
    await tenant.world.record(history(chance))
    await tenant.settle()
    rows = await tenant.connection.fetch(
        "select entity_id from sync.entity where object = 'contact' and state = 'active' order by entity_id"
    )
    contacts = [row["entity_id"] for row in rows]
    one, two, three, four, *_ = chance.sample(contacts, len(contacts))
    await tenant.world.record(
        [correction(one, 9_100, title="Chair"), correction(two, 9_100, last_name="Noel")]
    )
    first = await merge(tenant.world, one, two)
    await merge(tenant.world, three, four)
    await tenant.settle()
    await tenant.world.record(history(chance))
    await split(tenant.world, first)
    await tenant.settle()


async def at_rest(connection: Any) -> bool:
    """Say whether identity has told all its merges and splits, and everything is projected."""
    untold = await connection.fetchval("select count(*) from identity.change where sent_time is null")
    return bool(untold == 0 and await through(connection))


async def differing(tenant: Tenant, entities: Sequence[uuid.UUID], **asked: Any) -> list[uuid.UUID]:
    """Rebuild entities one by one; return those that came out otherwise."""
    found = [(one, await tenant.rebuild(one, **asked)) for one in entities]
    return [one for one, told in found if told.changed or told.changed_records]


@pytest.mark.parametrize("seed", range(1))
async def test_one_entity_is_made_again_as_a_rebuild_of_everything_makes_it(
    migrated_database_url: str, seed: int
) -> None:
    """Whatever became of what is stored, records, entities and references are byte for byte those of the whole rebuild."""
    url, chance = migrated_database_url, random.Random(seed)
    async with doors(url) as world, looking(url) as connection:
        await world.record([event("headwater", "policy", TENANT, document=UNTOLD)])
        async with tenant_of(url, world, connection) as tenant:
            await live(tenant, chance)
        assert await connection.fetchval("select sync.begin_rebuild('user:me', $1)", TENANT) > PEOPLE
        async with tenant_of(url, world, connection) as tenant:
            await tenant.settle()
            whole = await state_of(connection, TENANT, STATE)
            entities = await tenant.standing()
            assert await differing(tenant, entities, validate_only=True) == []
            assert await differing(tenant, entities) == []
            for entity_id in entities:
                for sql in chance.sample(DAMAGE, 2):
                    await connection.execute(sql, entity_id)
            damaged = await state_of(connection, TENANT, STATE)
            assert damaged != whole
            foreseen = await differing(tenant, entities, validate_only=True)
            assert await state_of(connection, TENANT, STATE) == damaged
            healed = await differing(tenant, entities, drop_missing=True)
            assert healed == foreseen
            assert len(healed) > PEOPLE
            after = await state_of(connection, TENANT, STATE)
            for name, rows in whole.items():
                assert after[name] == rows, name
            assert await differing(tenant, entities) == []


class Watched(PostgresRebuilding):
    """The store, with something done right after looking, and once the entity is held."""

    def __init__(self, pool: Any, looked: Call, held: Call) -> None:
        super().__init__(pool)
        self._looked, self._held = looked, held

    @asynccontextmanager
    async def looking(self, tenant_id: str, entity_id: uuid.UUID) -> AsyncIterator[Any]:
        """Look, then do it."""
        async with super().looking(tenant_id, entity_id) as unit:
            yield unit
        await self._looked()

    @asynccontextmanager
    async def taken(self, entity: Any, object_name: str) -> AsyncIterator[Any]:
        """Hold the entity, then do it."""
        async with super().taken(entity, object_name) as unit:
            await self._held()
            yield unit


class NobodyAsked:
    """Identity is not asked: nothing refers to what is not known."""

    async def resolve(self, tenant_id: str, subjects: Sequence[Any]) -> Answers:
        """Fail."""
        raise AssertionError((tenant_id, subjects))


class InForce:
    """The tenant's policy."""

    def current(self) -> dict[str, PolicyDocument]:
        """Return it."""
        return {TENANT: load_policy(UNTOLD)}


async def test_what_comes_in_meanwhile_is_neither_lost_nor_counted_twice(migrated_database_url: str) -> None:
    """One title between looking and holding, one while it is held: the first is read with the rest, the second waits."""
    async with begun(migrated_database_url) as tenant, looking(migrated_database_url) as other:
        ada = await tenant.person(title="first")
        await tenant.connection.execute(DAMAGE[3], ada)

        async def after_looking() -> None:
            await tenant.say(10, title="second")
            await tenant.settle()
            await tenant.connection.execute(DAMAGE[3], ada)

        holds = iter((False, True))

        async def while_held() -> None:
            if next(holds):  # the first time there is something that it has not looked at
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await other.execute("select from sync.entity where entity_id = $1 for update nowait", ada)
                await tenant.say(20, title="third")

        async with await open_pool(migrated_database_url, application_name="test") as pool:
            rebuilder = EntityRebuilder(
                Watched(pool, after_looking, while_held),
                Echoes(PostgresHeldRecords(pool)),
                Suppressions(PostgresSuppressions(pool)),
                NobodyAsked(),
                InForce(),
            )
            found = await rebuilder.rebuild(TENANT, ada, "user:me")
        assert (found.events, found.entity.fields["title"].value) == (2, "second")
        await tenant.settle()
        fields = await tenant.connection.fetchval("select fields from sync.entity where entity_id = $1", ada)
        assert fields["title"][0] == "third"
        assert (await tenant.rebuild(ada)).changed_records == []


async def test_an_event_that_waits_for_the_entity_is_projected_after_it(migrated_database_url: str) -> None:
    """One that is in the log and not projected yet changes nothing of what is made again, and comes through behind it."""
    async with begun(migrated_database_url) as tenant:
        ada = await tenant.person(title="CTO")
        async with looking(tenant.connection_url) as other:
            transaction = other.transaction()
            await transaction.start()
            await other.execute("select from sync.entity where entity_id = $1 for update", ada)
            await tenant.say(9, title="CEO")
            found = await tenant.rebuild(ada, validate_only=True)
            assert (found.event_count, found.changed, list(found.changed_records)) == (1, False, [])
            await transaction.rollback()
        await tenant.settle()
        assert (await tenant.rebuild(ada)).event_count == 2


async def test_who_cannot_be_made_again_is_told_why(migrated_database_url: str) -> None:
    """Unknown, merged, erased, of an incomplete log: each in its own words, and nothing is written."""
    async with begun(migrated_database_url) as tenant:
        for name in ("ada", "bob", "eve"):
            said = {"email": f"{name}@{name}.example", "last_name": name.title(), "title": "CTO"}
            await tenant.world.record([event("erp", "contact", name, 0, **said)])
        await tenant.settle()
        ada, bob, eve = [await tenant.home("erp", "contact", name) for name in ("ada", "bob", "eve")]
        nobody = uuid.UUID("0198c0de-0000-7000-8000-000000000000")
        assert (await tenant.refused(nobody))[1] == "UNKNOWN_ENTITY"
        await merge(tenant.world, ada, bob)
        await tenant.settle()
        merged = await tenant.refused(bob)
        assert (merged[1], f"into {ada}" in merged[3]) == ("ENTITY_MERGED", True)
        await tenant.connection.execute(
            "insert into sync.erasure (tenant_id, erasure_id, actor, reason, entity_ids, deadline_time)"
            " values ($1, $2, 'me', 'asked', array[$2::uuid], clock_timestamp())",
            TENANT, eve,
        )  # fmt: skip
        assert (await tenant.refused(eve))[1] == "ENTITY_ERASED"
        await tenant.connection.execute("delete from sync.erasure")
        lost = "update sync.record set fields = jsonb_set(fields, '{title,2}', to_jsonb($2::text)) where entity_id = $1"
        await tenant.connection.execute(lost, eve, str(nobody))
        before = await state_of(tenant.connection, TENANT, STATE)
        missing = await tenant.refused(eve)
        assert missing[1] == "EVENTS_MISSING"
        assert list((await tenant.rebuild(eve, validate_only=True)).missing) == ["erp/contact/eve: title"]
        assert await state_of(tenant.connection, TENANT, STATE) == before
        assert (await tenant.rebuild(eve, drop_missing=True)).written
        assert (await tenant.rebuild(eve)).changed_records == []
        await tenant.connection.execute("insert into sync.rebuild (shard, xid, seq) values (0, 1, 1)")
        assert (await tenant.refused(ada))[1] == "REBUILD_RUNS"
        await tenant.connection.execute("delete from sync.rebuild")


async def test_the_audit_tells_who_had_it_made_again(migrated_database_url: str) -> None:
    """One entry a rebuild: on whose behalf, how many records differed, and each value that did."""
    async with begun(migrated_database_url) as tenant:
        ada = await tenant.person(title="CTO")
        await tenant.connection.execute(DAMAGE[1], ada)
        told = await tenant.rebuild(ada)
        assert {item.field: (item.before_json, item.after_json) for item in told.changed_fields} == {
            "email": ("null", '"ada@one.example"'),
            "title": ('"Nobody"', '"CTO"'),
        }
        row = await tenant.connection.fetchrow(
            "select actor, changes from sync.audit where action = 'entity_rebuilt' and entity_id = $1", ada
        )
        assert row["actor"] == ACTOR.id
        assert [item["field"] for item in row["changes"]] == ["#records", "email", "title"]
        assert row["changes"][0]["after"] == 0


async def test_a_reference_made_while_two_were_one_is_put_right(migrated_database_url: str) -> None:
    """A deal recorded while its account was merged still names the winner after the split; made again it does not."""
    async with begun(migrated_database_url) as tenant:
        await tenant.world.record([event("erp", "account", name, 0, name=name) for name in ("a-1", "a-2")])
        await tenant.settle()
        one, two = [await tenant.home("erp", "account", name) for name in ("a-1", "a-2")]
        merged = await merge(tenant.world, one, two)
        await tenant.settle()
        await tenant.world.record([event("erp", "deal", "d-1", 5, name="D", account="a-2")])
        await tenant.settle()
        await split(tenant.world, merged)
        await tenant.settle()
        told = await tenant.rebuild(await tenant.home("erp", "deal", "d-1"))
        (change,) = told.changed_fields
        assert (change.before_json, change.after_json) == (f'"{one}"', f'"{two}"')
        assert await tenant.connection.fetchval("select to_entity_id from sync.entity_reference") == two
