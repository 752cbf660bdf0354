"""Making timelines on Postgres: a page in one transaction, under one lock for all processes."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.kernel.pg import queries
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.associating import Activity, Association, domains_of
from headwater.sync.domain.gathering import Homes, Key
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.rows import unpack_values
from headwater.sync.domain.states import EntityState
from headwater.sync.store.faults import translated
from headwater.sync.store.projection import ProjectionTransaction
from headwater.sync.timeline.ports import NOWHERE, Change, Due, Spread, Written

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "timeline.sql")
_REBUILDING: Final = queries.load("headwater.sync", "policy.sql")["rebuilding"]
_SPREADS: Final = {
    "mailbox": "spread_mailbox",
    "domain": "spread_domain",
    "concerns": "spread_concerns",
}
_encode: Final = msgspec.json.Encoder().encode


class PostgresTimelines:
    """Port `TimelineStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[_Unit | None]:
        """Begin a transaction; None when another process has one."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            held: bool = await connection.fetchval(_SQL["hold_timeline"].text)
            yield _Unit(connection) if held else None


class _Unit:
    """Port `TimelineUnit`: one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._entities = ProjectionTransaction(connection, ())

    async def _fetch(self, name: str, *given: Any) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(_SQL[name].text, *given)
        return rows

    async def _execute(self, name: str, *given: Any) -> None:
        await self._connection.execute(_SQL[name].text, *given)

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        held: bool = await self._connection.fetchval(_REBUILDING.text)
        return held

    async def renew_policies(self, digests: Mapping[str, str]) -> None:
        """Have every entity of tenants looked at whose words have changed; *digests* by tenant."""
        held = {row["tenant_id"]: row["digest"] for row in await self._fetch("timeline_policies")}
        for tenant_id, digest in digests.items():
            if held.get(tenant_id) != digest:
                await self.begin_spreads(tenant_id, NOWHERE, [("all", "")])
                await self._execute("save_timeline_policy", tenant_id, digest)

    async def take_due(self, limit: int) -> Due | None:
        """Take the next changed entities; None when there are none."""
        tenant_id = await self._connection.fetchval(_SQL["first_due_tenant"].text)
        if tenant_id is None:
            return None
        rows = await self._fetch("take_due", tenant_id, limit)
        if not rows:
            return None
        entities = tuple(dict.fromkeys(row["entity_id"] for row in rows))
        return Due(tenant_id, entities, rows[0]["event_key"])

    async def first_change(self) -> Change | None:
        """Return the merge or split that is to be followed next."""
        row = await self._connection.fetchrow(_SQL["first_reassociation"].text)
        if row is None:
            return None
        sides = (row["change"], row["winner_id"], row["loser_id"], row["place"])
        return Change(row["tenant_id"], row["event_key"], *sides)

    async def first_spread(self) -> Spread | None:
        """Return what activities are to be looked at again for."""
        row = await self._connection.fetchrow(_SQL["first_spread"].text)
        return None if row is None else Spread(*row)

    async def begin_change(self, change: Change) -> None:
        """Leave what refers to the entities of *change*, save activities, to be looked at first."""
        sides = [change.winner_id, change.loser_id]
        await self._execute("due_referring", change.tenant_id, sides, change.event_key)

    async def page_change(self, change: Change, limit: int) -> list[uuid.UUID]:
        """Return the next activities that concern an entity of *change*."""
        sides = [change.winner_id, change.loser_id]
        rows = await self._fetch("page_concerned", change.tenant_id, sides, change.place, limit)
        return [row["activity_id"] for row in rows]

    async def page_spread(self, spread: Spread, limit: int) -> list[uuid.UUID]:
        """Return the next activities of *spread*; of kind all, the next entities become due instead."""
        if spread.kind == "all":
            rows = await self._fetch("due_all", spread.tenant_id, spread.place, limit, spread.event_key)
        else:
            rows = await self._fetch(
                _SPREADS[spread.kind], spread.tenant_id, spread.value, spread.place, limit
            )
        return [row["activity_id"] for row in rows]

    async def save_change(
        self, change: Change, place: uuid.UUID, examined: int, moved: int, *, done: bool
    ) -> None:
        """Store how far a merge or split is followed."""
        await self._execute(
            "save_reassociation", change.tenant_id, change.event_key, place, examined, moved, done
        )

    async def note_change(
        self, change: Change, changes: Sequence[Mapping[str, Any]], policy_version: str
    ) -> None:
        """Put a page of a merge or split into the audit."""
        await self._execute(
            "note_reassociation",
            change.tenant_id,
            change.winner_id,
            change.event_key,
            list(changes),
            policy_version,
        )

    async def save_spread(self, spread: Spread, place: uuid.UUID, *, done: bool) -> None:
        """Store how far a spread is."""
        named = (spread.tenant_id, spread.kind, spread.value)
        if done:
            await self._execute("end_spread", *named)
        else:
            await self._execute("move_spread", *named, place)

    async def begin_spreads(self, tenant_id: str, event_key: uuid.UUID, wanted: Collection[Key]) -> None:
        """Have activities looked at again, all from the first on."""
        kinds, values = [kind for kind, _ in wanted], [value for _, value in wanted]
        await self._execute("begin_spread", tenant_id, kinds, values, [event_key] * len(kinds))

    async def read_entities(self, tenant_id: str, entities: Collection[uuid.UUID]) -> list[EntityState]:
        """Return entities as they stand."""
        rows = await self._fetch("read_entities", tenant_id, list(entities)) if entities else []
        return [
            EntityState(
                tenant_id,
                row["entity_id"],
                row["object"],
                row["state"],
                version=row["version"],
                fields=unpack_values(row["fields"]),
            )
            for row in rows
        ]

    async def homes_of(self, tenant_id: str, addresses: Collection[tuple[str, str]]) -> Homes:
        """Return the contacts that records of addresses are in, by source and address."""
        sources, ids = [item[0] for item in addresses], [item[1] for item in addresses]
        rows = await self._fetch("homes_of", tenant_id, sources, ids) if sources else []
        return {(row["source"], row["external_id"]): row["entity_id"] for row in rows}

    async def standing_of(
        self, tenant_id: str, entities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, uuid.UUID]:
        """Return who stands for entities now."""
        rows = await self._fetch("standing_of", tenant_id, list(entities)) if entities else []
        return {row["entity_id"]: row["standing_id"] for row in rows}

    async def having(self, tenant_id: str, keys: Iterable[Key]) -> Mapping[Key, Collection[uuid.UUID]]:
        """Return the entities that have keys."""
        wanted = list(dict.fromkeys(keys))
        kinds, values = [kind for kind, _ in wanted], [value for _, value in wanted]
        found: defaultdict[Key, list[uuid.UUID]] = defaultdict(list)
        for row in await self._fetch("entities_by_key", tenant_id, kinds, values) if wanted else []:
            found[row["kind"], row["value"]].append(row["entity_id"])
        return {key: sorted(entities) for key, entities in found.items()}

    async def keys_of(
        self, tenant_id: str, entities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, frozenset[Key]]:
        """Return the keys of entities."""
        found: defaultdict[uuid.UUID, set[Key]] = defaultdict(set)
        for row in await self._fetch("keys_of", tenant_id, list(entities)) if entities else []:
            found[row["entity_id"]].add((row["kind"], row["value"]))
        return {entity_id: frozenset(keys) for entity_id, keys in found.items()}

    async def write_keys(self, tenant_id: str, keys: Mapping[uuid.UUID, Collection[Key]]) -> None:
        """Give entities keys, in place of those they had."""
        await self._execute("clear_keys", tenant_id, list(keys))
        rows = [(kind, value, entity_id) for entity_id, held in keys.items() for kind, value in held]
        await self._execute("write_keys", tenant_id, *_columns(rows, 3))

    async def unplaced(self, tenant_id: str, mailboxes: Collection[str]) -> set[str]:
        """Return those of *mailboxes* that activities have without a contact."""
        rows = await self._fetch("unplaced_mailboxes", tenant_id, list(mailboxes)) if mailboxes else []
        return {row["mailbox"] for row in rows}

    async def threads_of(self, tenant_id: str, messages: Collection[str]) -> Mapping[str, str]:
        """Return the threads that messages are in."""
        rows = await self._fetch("threads_of", tenant_id, list(messages)) if messages else []
        return {row["message_id"]: row["thread_id"] for row in rows}

    async def associations_of(
        self, tenant_id: str, activities: Collection[uuid.UUID]
    ) -> Mapping[uuid.UUID, Sequence[Association]]:
        """Return whom activities concern, as it was written last."""
        found: defaultdict[uuid.UUID, list[Association]] = defaultdict(list)
        for row in await self._fetch("associations_of", tenant_id, list(activities)) if activities else []:
            found[row["activity_id"]].append(
                Association(row["entity_id"], row["object"], row["reason"], row["confidence"])
            )
        return found

    async def write(self, tenant_id: str, page: Written) -> None:
        """Write a page, in place of what was known of its activities."""
        activities = page.activities
        every = [*(item.activity_id for item in activities), *page.gone]
        await self._execute("clear_activities", tenant_id, every)
        await self._execute("write_activities", tenant_id, *_columns(map(_row, activities), 9))
        people = {
            (person.mailbox, item.activity_id): person.home is not None
            for item in activities
            for person in sorted(item.people, key=lambda person: person.home is not None)
        }
        rows = [(*place, placed) for place, placed in people.items()]
        await self._execute("write_people", tenant_id, *_columns(rows, 3))
        domains = {
            (domain, item.activity_id): None
            for item in activities
            for person in item.people
            for domain in domains_of(person.domain)
        }
        await self._execute("write_domains", tenant_id, *_columns(domains, 2))
        told = [
            (item.activity_id, one.entity_id, one.object, one.reason, one.confidence, item.time)
            for item in activities
            for one in page.associations[item.activity_id]
        ]
        await self._execute("write_associations", tenant_id, *_columns(told, 6))
        if page.former:
            await self._execute("rename_threads", tenant_id, *_columns(page.former.items(), 2))
        if page.threads:
            await self._execute("write_threads", tenant_id, *_columns(page.threads.items(), 2))

    async def load_activities(
        self, policy: PolicyDocument, tenant_id: str, activities: Collection[uuid.UUID]
    ) -> Workspace:
        """Lock activities and return them with their records."""
        workspace = Workspace({tenant_id: policy})
        entities = await self._entities.lock_entities({(tenant_id, item): "activity" for item in activities})
        workspace.load(entities, await self._entities.read_members([item.key for item in entities]))
        return workspace

    async def write_workspace(self, workspace: Workspace) -> None:
        """Write what was changed: records, entities, references, audit, marks with their notification."""
        await self._entities.write_workspace(workspace, {})
        await self._entities.move_cursors({})


def _row(item: Activity) -> tuple[Any, ...]:
    people = [
        [person.role, person.address, person.name, str(person.home) if person.home else ""]
        for person in item.people
    ]
    words = (item.subject, item.message_id, item.actor, item.status)
    return (item.activity_id, item.kind, item.source, item.time, *words, _encode(people).decode())


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    listed = list(rows)
    return [list(column) for column in zip(*listed, strict=True)] if listed else [[] for _ in range(width)]
