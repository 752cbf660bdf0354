"""Renewing entities on Postgres: a page in one transaction, under the version's row, then under each entity's."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.renewing import Holding, PolicyVersion
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import translated
from headwater.sync.store.projection import ProjectionTransaction
from headwater.sync.store.versions import read_holding, read_version

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "policy.sql")
LOOKED_AT: Final = 5_000
"""Entities of a page where only some are concerned."""


class PostgresRenewals:
    """Port `VersionStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def taken(self, now: dt.datetime) -> AsyncIterator[_Unit | None]:
        """Begin a transaction on the version that is due first; None when none is."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_SQL["take_version"].text, now)
            yield None if row is None else _Unit(connection, read_version(row))

    async def now(self) -> dt.datetime:
        """Return the database's time: that of a process may be off."""
        return await read_time(self._pool)

    async def next_time(self) -> dt.datetime | None:
        """Return when a version is due next; None when none is open."""
        async with translated():
            due: dt.datetime | None = await self._pool.fetchval(_SQL["next_version_time"].text)
        return due


class _Unit:
    """Port `VersionUnit`: one version under its row's lock."""

    def __init__(self, connection: Connection, version: PolicyVersion) -> None:
        self.version = version
        self._connection = connection
        self._entities = ProjectionTransaction(connection, ())

    async def in_force(self) -> uuid.UUID | None:
        """Return the newest policy event of the tenant in the log."""
        key: uuid.UUID | None = await self._connection.fetchval(
            _SQL["policy_key_in_force"].text, self.version.tenant_id
        )
        return key

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        held: bool = await self._connection.fetchval(_SQL["rebuilding"].text)
        return held

    async def before(self) -> tuple[str, str]:
        """Return text and digest of the policy before; empty when there was none."""
        held = self.version
        row = await self._connection.fetchrow(_SQL["version_before"].text, held.tenant_id, *held.position)
        return ("", "") if row is None else (row["document"], row["digest"])

    async def is_first(self) -> bool:
        """Say whether nothing can have been projected by another policy: none was before, and no entity is as old."""
        held = self.version
        first: bool = await self._connection.fetchval(
            _SQL["is_first_version"].text, held.tenant_id, *held.position, held.record_time
        )
        return first

    async def note_change(self, changes: Sequence[Mapping[str, Any]], policy_version: str) -> None:
        """Put the change of the policy into the audit."""
        held = self.version
        await self._connection.execute(
            _SQL["note_policy_change"].text,
            held.tenant_id,
            held.actor,
            held.event_key,
            list(changes),
            policy_version,
        )

    async def former(self) -> tuple[Holding, ...]:
        """Return the versions before, oldest first, from the last one that is done; empty when none is."""
        held = self.version
        rows = await self._connection.fetch(_SQL["former_versions"].text, held.tenant_id, *held.position)
        return tuple(read_holding(row) for row in rows)

    async def paused(self, change_id: uuid.UUID) -> bool:
        """Say whether a staged change is held or taken back."""
        found: bool = await self._connection.fetchval(
            _SQL["stage_paused"].text, self.version.tenant_id, change_id
        )
        return found

    async def load_page(
        self,
        document: PolicyDocument,
        limit: int,
        since: dt.datetime | None,
        after: uuid.UUID,
        concerned: Callable[[uuid.UUID], bool] | None,
    ) -> tuple[Workspace, uuid.UUID, bool]:
        """Lock the next entities behind *after*, in key order, and return them with their records."""
        tenant_id = self.version.tenant_id
        looked_at = limit if concerned is None else max(limit, LOOKED_AT)
        if since is None:
            rows = await self._connection.fetch(_SQL["page_entities"].text, tenant_id, after, looked_at)
        else:
            rows = await self._connection.fetch(
                _SQL["page_changed_entities"].text, tenant_id, after, looked_at, since
            )
        workspace = Workspace({tenant_id: document})
        if not rows:
            return workspace, after, False
        chosen = [row for row in rows if concerned is None or concerned(row["entity_id"])]
        more = len(rows) == looked_at or len(chosen) > limit
        place = rows[-1]["entity_id"] if len(chosen) <= limit else chosen[limit - 1]["entity_id"]
        wanted = {(tenant_id, row["entity_id"]): row["object"] for row in chosen[:limit]}
        if wanted:
            entities = await self._entities.lock_entities(wanted)
            members = await self._entities.read_members([item.key for item in entities])
            workspace.load(entities, members)
        return workspace, place, more

    async def write(self, workspace: Workspace) -> None:
        """Write what was changed: entities, references, audit, marks with their notification."""
        if workspace.entities_changed or workspace.enriched:
            await self._entities.write_workspace(workspace, {})
            await self._entities.move_cursors({})

    async def save(self, version: PolicyVersion) -> None:
        """Store how far the version is."""
        await self._connection.execute(
            _SQL["save_version"].text,
            version.tenant_id,
            version.event_key,
            version.version,
            version.state,
            version.place,
            version.next_time,
            version.scanned,
            version.changed,
            version.restated,
            version.late,
            dict(version.fields),
            dict(version.deliveries),
            version.begin_time,
            version.settle_time,
            version.end_time,
            version.reason,
        )
