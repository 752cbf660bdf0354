"""A going over of records, wired as the app wires it, by rules of the test's own, with what it left to compare."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headwater.identity.app import limits_of
from headwater.identity.domain.identifying import SHIPPED, Normaliser
from headwater.identity.domain.normalising import NORMALISATION_VERSION, Normal, normalise
from headwater.identity.domain.records import RecordRef
from headwater.identity.settings import IdentitySettings
from headwater.identity.store import PostgresIdentityStore, PostgresRedoStore, PostgresWeightsStore
from headwater.identity.store.session import Sessions
from headwater.identity.usecases.redoing import Redoer, RedoSettings
from headwater.identity.usecases.relay import Bell
from headwater.identity.usecases.resolve import RecordToResolve, Resolver
from headwater.identity.usecases.telling import Telling
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.kernel.clock import SteppedClock
from headwater.kernel.ids import EventKey, TenantId
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Pool

ACME, FRESH = TenantId("acme"), TenantId("fresh")
FAST = RedoSettings(batch_records=7, records_per_s=100_000.0, lease_s=60.0)
Told = tuple[str, Mapping[str, str]]
"""An external id and what the record says."""


def _later_form(object_name: str, attributes: Mapping[str, str]) -> Normal:
    """Return the normal form by rules that know one firm's old domain, and who married whom."""
    told = dict(attributes)
    if "email" in told:
        told["email"] = told["email"].replace("@acorn-old.test", "@acorn.test")
    if "last_name" in told:
        told["last_name"] = _MARRIED.get(told["last_name"], told["last_name"])
    return normalise(object_name, told)


LATER = Normaliser(NORMALISATION_VERSION + 1, _later_form)
"""Rules of a newer version that unite more."""


def _first_form(object_name: str, attributes: Mapping[str, str]) -> Normal:
    """Return the normal form by the rules of version 1, to which `Na` was no name and any title one."""
    told = {name: value for name, value in attributes.items() if value != "Na"}
    return normalise(object_name, told)


FIRST = Normaliser(1, _first_form)
"""Rules of the first version, as far as `NAMELESS` goes."""
NAMELESS: Final = [
    (
        "a",
        {"first_name": "Na", "last_name": "Wang", "email": "na.wang@acorn.test", "company": "Acorn Freight"},
    ),
    ("b", {"first_name": "Na", "last_name": "Wang", "company": "Acorn Freight", "city": "Lima"}),
    ("c", {"first_name": "N/A", "last_name": "Wang", "phone": "+12125550147"}),
    ("d", {"first_name": "Mirela", "last_name": "Wang", "company": "Acorn Freight"}),
]
"""Records that say another name by the rules of the second version."""


def _stricter_form(object_name: str, attributes: Mapping[str, str]) -> Normal:
    """Return the normal form by rules that tell mailboxes and names apart that were one."""
    told = {**attributes, "email": attributes["email"].replace("+", "-")}
    return normalise(object_name, told)


STRICTER = Normaliser(NORMALISATION_VERSION + 1, _stricter_form)
"""Rules of a newer version that part more."""


def _parting_form(object_name: str, attributes: Mapping[str, str]) -> Normal:
    """Return the normal form by rules that leave the firm out of a record with initials: no key of it is another's."""
    told = dict(attributes)
    if told["last_name"].endswith("."):
        del told["company"]
    return normalise(object_name, told)


PARTING = Normaliser(NORMALISATION_VERSION + 1, _parting_form)
"""Rules of a newer version by which records that look alike have no key in common."""
LINKED: Final = [
    (
        f"l{number:02d}",
        {
            "first_name": ("Kaya", "Mirela")[number % 2],
            "last_name": ("Santanov", "S.")[number // 2 % 2],
            "company": "Acorn Freight",
            "city": "Lima",
            "department": "Purchasing",
        },
    )
    for number in range(12)
]
"""Records of a few people without an identifier: linked, never merged."""


@dataclass(slots=True)
class Desk:
    """Use cases on one pool, under rules that a test picks."""

    pool: Pool
    clock: SteppedClock = field(default_factory=SteppedClock)
    bell: Bell = field(default_factory=Bell)

    def redoer(
        self,
        rules: Normaliser = SHIPPED,
        holder: str = "one",
        settings: RedoSettings = FAST,
        store: type[PostgresRedoStore] = PostgresRedoStore,
    ) -> Redoer:
        """Return the job with its resolver."""
        own = IdentitySettings.model_construct(database_url="")
        limits = limits_of(own)
        sessions = Sessions(self.pool, Spans.off(), own.pool_acquire_timeout_s)
        entities = PostgresIdentityStore(sessions, limits, own.statement_timeout_s)
        weights = ActiveWeights(PostgresWeightsStore(sessions), own.weights_tenants_max)
        telling = Telling(self.clock, uuid.uuid4, lambda: None)
        resolver = Resolver(entities, telling, self.bell, weights, limits, rules)
        return Redoer(store(entities), resolver, holder, self.bell, settings)

    async def tell(self, tenant: TenantId, records: Sequence[Told], rules: Normaliser = SHIPPED) -> None:
        """Resolve records one by one."""
        resolver = self.redoer(rules).resolver
        for name, attributes in records:
            await resolver.resolve(tenant, [described(name, attributes)], None)

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Look at the tables."""
        async with self.pool.acquire(timeout=10) as connection:
            return list(await connection.fetch(query, *arguments))

    async def state(self, tenant: TenantId) -> Mapping[str, Any]:
        """Return what a tenant's records come to, named by what does not depend on the tenant or on chance."""
        members = await self.rows(
            """SELECT record_id, external_id, group_id, parts, keys, strong, exclusive, normalisation_version, digest
            FROM identity.member WHERE tenant_id = $1""",
            tenant,
        )
        name = {row["record_id"]: row["external_id"] for row in members}
        groups: dict[Any, set[str]] = defaultdict(set)
        for row in members:
            groups[row["group_id"]].add(row["external_id"])
        edges = await self.rows(
            "SELECT low_id, high_id, bits FROM identity.edge WHERE tenant_id = $1", tenant
        )
        keys = await self.rows("SELECT hash, record_id FROM identity.record_key WHERE tenant_id = $1", tenant)
        uses = await self.rows(
            "SELECT hash, value, generic, crowded FROM identity.key_use WHERE tenant_id = $1", tenant
        )
        held = await self.rows("SELECT hash FROM identity.exclusive_key WHERE tenant_id = $1", tenant)
        said = await self.rows(
            "SELECT record_id, statements FROM identity.evidence WHERE tenant_id = $1", tenant
        )
        return {
            "records": {row["external_id"]: tuple(row)[3:] for row in members},
            "groups": {frozenset(group) for group in groups.values()},
            "edges": {
                (frozenset((name[row["low_id"]], name[row["high_id"]])), round(row["bits"], 4))
                for row in edges
            },
            "keys": {(row["hash"], name[row["record_id"]]) for row in keys},
            "uses": {tuple(row) for row in uses},
            "exclusive": {row["hash"] for row in held},
            "said": {name[row["record_id"]]: tuple(row["statements"]) for row in said},
        }


@asynccontextmanager
async def desk_on(database_url: str) -> AsyncIterator[Desk]:
    """Open the use cases on a migrated database."""
    async with await open_pool(
        database_url, application_name="identity", size_max=6, session_reset=False
    ) as pool:
        desk = Desk(pool)
        yield desk
        desk.bell.close()


def described(name: str, attributes: Mapping[str, str]) -> RecordToResolve:
    """Describe a record to resolve."""
    key = EventKey(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {sorted(attributes.items())}"))
    return RecordToResolve(RecordRef("crm", "contact", name), key, attributes)


def people(count: int, seed: int) -> list[Told]:
    """Make up records of which some are one person only by the later rules."""
    chance = random.Random(seed)
    found: list[Told] = []
    for number in range(count):
        who = chance.randrange(count // 3)
        given, family = _GIVEN[who % len(_GIVEN)], _FAMILY[who % len(_FAMILY)]
        told = {
            "first_name": given,
            "last_name": chance.choice((family, _BORN[family])),
        }
        if chance.random() < 0.7:
            domain = chance.choice(("acorn.test", "acorn-old.test"))
            told["email"] = f"{given.lower()[0]}{who}@{domain}"
        if chance.random() < 0.4:
            told["phone"] = f"+1212555{chance.choice((who, who, 7)):04d}"
        found.append((f"r{number:03d}", told))
    return found


_GIVEN = ("Kaya", "Mirela", "Tovik", "Henrike", "Oluchi")
_FAMILY = ("Santanov", "Brunnel", "Dzhanov", "Chekwube", "Ekman", "Orbeli", "Vandermeer")
_BORN = dict(
    zip(_FAMILY, ("Ito", "Kowalczyk", "Lindqvist", "Moreau", "Nakamura", "Oyelaran", "Petrov"), strict=True)
)
_MARRIED = {born: family for family, born in _BORN.items()}
