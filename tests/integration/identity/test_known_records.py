"""Records that say what they said last: answered by one look, beside new ones as alone, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from tests.integration.identity.redoing import Desk, described, desk_on

from headwater.identity.domain.identifying import Normaliser
from headwater.identity.domain.normalising import Normal, normalise
from headwater.identity.domain.records import RecordId
from headwater.identity.domain.resolving.values import KnownRecord
from headwater.identity.store import PostgresIdentityStore
from headwater.identity.usecases.resolve import Resolver
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio

TENANT = TenantId("known")
ANN = {"first_name": "Ann", "last_name": "Santanov", "email": "ann@firm.io"}
BEN = {"first_name": "Ben", "last_name": "Brunnel", "email": "ben@other.io"}
MOVED = {**ANN, "email": "ann@later.io"}


@dataclass(slots=True)
class Reading:
    """Rules that count what they read."""

    read: list[str] = field(default_factory=list)

    def normal_form(self, object_name: str, attributes: Mapping[str, str]) -> Normal:
        """Return the shipped normal form."""
        self.read.append(attributes.get("email", ""))
        return normalise(object_name, attributes)


@dataclass(frozen=True, slots=True)
class Overtaken(PostgresIdentityStore):
    """Something happens between the look at what is known and the lock."""

    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    async def list_known(
        self, tenant_id: TenantId, told: Mapping[RecordId, int | None]
    ) -> Mapping[RecordId, KnownRecord]:
        """Look, and let it happen."""
        found = await PostgresIdentityStore.list_known(self, tenant_id, told)
        while self.meanwhile:
            await self.meanwhile.pop()()
        return found


@pytest.fixture
async def desk(migrated_database_url: str) -> AsyncIterator[Desk]:
    """Use cases on a database of their own."""
    async with desk_on(migrated_database_url) as found:
        yield found


def _overtaken(desk: Desk, rules: Normaliser) -> tuple[Resolver, list[Callable[[], Awaitable[object]]]]:
    resolver = desk.redoer(rules).resolver
    store = resolver.store
    assert isinstance(store, PostgresIdentityStore)
    kept = Overtaken(store.sessions, store.limits, store.statement_timeout_s)
    return replace(resolver, store=kept), kept.meanwhile


async def test_beside_a_new_record_a_known_one_is_not_read(desk: Desk) -> None:
    """Only what is new is normalised and looked up; the answers are those of one batch."""
    rules = Reading()
    resolver = desk.redoer(Normaliser(normal_form=rules.normal_form)).resolver
    (first,) = await resolver.resolve(TENANT, [described("1", ANN)], None)
    rules.read.clear()
    known, new, same = await resolver.resolve(
        TENANT, [described("1", ANN), described("2", BEN), described("3", ANN)], None
    )
    assert (known.entity_id, known.kind) == (first.entity_id, "known")
    assert (new.kind, same.kind, same.entity_id) == ("created", "matched", first.entity_id)
    assert rules.read == [BEN["email"], ANN["email"]]


async def test_a_process_that_finds_most_records_known_asks_first(desk: Desk) -> None:
    """It never resolved them itself; once the first twenty or so were known, none is read any more."""
    await desk.redoer().resolver.resolve(TENANT, [described(str(n), ANN) for n in range(40)], None)
    rules = Reading()
    resolver = desk.redoer(Normaliser(normal_form=rules.normal_form)).resolver
    for number in range(40):
        (one,) = await resolver.resolve(TENANT, [described(str(number), ANN)], None)
        assert one.kind == "known"
    assert 0 < len(rules.read) <= 20


async def test_what_a_record_says_meanwhile_is_under_what_it_says_now(desk: Desk) -> None:
    """It seemed to say nothing new; by the time of the lock it said something else: what it says now is put on top."""
    rules = Reading()
    resolver, meanwhile = _overtaken(desk, Normaliser(normal_form=rules.normal_form))
    await resolver.resolve(TENANT, [described("1", ANN)], None)
    other = desk.redoer().resolver
    meanwhile.append(lambda: other.resolve(TENANT, [described("1", MOVED)], None))
    rules.read.clear()
    await resolver.resolve(TENANT, [described("1", ANN), described("2", BEN)], None)
    assert sorted(rules.read) == sorted([ANN["email"], BEN["email"]])
    (row,) = await desk.rows(
        "SELECT e.statements, cardinality(m.keys) AS keys FROM identity.evidence AS e"
        " INNER JOIN identity.member AS m USING (tenant_id, record_id)"
        " WHERE e.tenant_id = $1 AND m.external_id = '1'",
        TENANT,
    )
    assert ["ann@later.io" in one for one in row["statements"]] == [False, True, False]


async def test_a_record_that_comes_twice_is_read_when_it_says_something_else(desk: Desk) -> None:
    """First something new, then what it said before: that is the last word."""
    rules = Reading()
    resolver = desk.redoer(Normaliser(normal_form=rules.normal_form)).resolver
    await resolver.resolve(TENANT, [described("1", ANN)], None)
    rules.read.clear()
    await resolver.resolve(TENANT, [described("1", MOVED), described("1", ANN)], None)
    assert sorted(rules.read) == sorted([MOVED["email"], ANN["email"]])
    (row,) = await desk.rows("SELECT digest FROM identity.member WHERE tenant_id = $1", TENANT)
    assert row["digest"] == Normaliser().digest_of("contact", ANN)


async def test_a_record_of_which_nothing_is_said_is_only_looked_up(desk: Desk) -> None:
    """It stays as it was told last, also beside others; one that nobody knows is not made up."""
    rules = Reading()
    resolver = desk.redoer(Normaliser(normal_form=rules.normal_form)).resolver
    stated = (
        "SELECT m.parts, m.digest, e.statements FROM identity.member AS m INNER JOIN identity.evidence AS e"
    )
    stated += " USING (tenant_id, record_id) WHERE m.tenant_id = $1 AND m.external_id = '1'"
    (first,) = await resolver.resolve(TENANT, [described("1", ANN)], None)
    before = await desk.rows(stated, TENANT)
    rules.read.clear()
    nothing = [replace(described(name, {}), match_only=True) for name in ("1", "1", "2")]
    (again, _) = await resolver.resolve(TENANT, nothing[:2], None)
    assert (again.entity_id, again.kind, rules.read) == (first.entity_id, "known", [])
    known, _, unknown, new = await resolver.resolve(TENANT, [*nothing, described("3", BEN)], None)
    assert (known.entity_id, unknown.entity_id, new.kind) == (first.entity_id, None, "created")
    assert await desk.rows(stated, TENANT) == before
