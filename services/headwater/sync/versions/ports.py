"""What versions of policies need of the store, in their own words. Methods of `VersionStore` raise Unavailable, StoreRaced."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.foreseeing import EntityPage
from headwater.sync.domain.log import Position
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.renewing import Holding, PolicyVersion


class VersionUnit(Protocol):
    """One version in one transaction, under its row's lock."""

    version: PolicyVersion

    async def in_force(self) -> uuid.UUID | None:
        """Return the newest policy event of the tenant in the log."""
        ...

    async def rebuilding(self) -> bool:
        """Say whether the log is being projected again."""
        ...

    async def before(self) -> tuple[str, str]:
        """Return text and digest of the policy before; empty when there was none."""
        ...

    async def is_first(self) -> bool:
        """Say whether nothing can have been projected by another policy: none was before, and no entity is as old."""
        ...

    async def note_change(self, changes: Sequence[Mapping[str, Any]], policy_version: str) -> None:
        """Put the change of the policy into the audit."""
        ...

    async def former(self) -> tuple[Holding, ...]:
        """Return the versions before, oldest first, from the last one that is done; empty when none is."""
        ...

    async def paused(self, change_id: uuid.UUID) -> bool:
        """Say whether a staged change is held or taken back: nobody else is renewed under it then."""
        ...

    async def load_page(
        self,
        document: PolicyDocument,
        limit: int,
        since: dt.datetime | None,
        after: uuid.UUID,
        concerned: Callable[[uuid.UUID], bool] | None,
    ) -> tuple[Workspace, uuid.UUID, bool]:
        """Lock the next entities behind *after*, and return them with their records.

        Args:
            limit: entities that are loaded at most.
            since: only those that were changed since then.
            concerned: only those of which it says so; None: all.

        Returns: a workspace under *document*; the last entity that was looked at; whether there may be more.
        """
        ...

    async def write(self, workspace: Workspace) -> None:
        """Write what was changed: entities, references, audit, marks with their notification."""
        ...

    async def save(self, version: PolicyVersion) -> None:
        """Store how far the version is."""
        ...


class VersionStore(Protocol):
    """Where versions are kept."""

    def taken(self, now: dt.datetime) -> AbstractAsyncContextManager[VersionUnit | None]:
        """Begin a transaction on the version that is due first; None when none is."""
        ...

    async def now(self) -> dt.datetime:
        """Return the time by which versions go: one clock for all processes."""
        ...

    async def next_time(self) -> dt.datetime | None:
        """Return when a version is due next; None when none is open."""
        ...


class VersionDesk(Protocol):
    """What operators read of versions. Every method raises Unavailable."""

    async def list_versions(self, tenant_id: str, before: Position, limit: int) -> tuple[PolicyVersion, ...]:
        """Return up to *limit* versions that came into force before *before*, the newest first."""
        ...

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        ...

    async def count_entities(self, tenant_id: str) -> int:
        """Count the tenant's projected entities."""
        ...

    async def read_page(
        self, tenant_id: str, after: uuid.UUID, limit: int, stride: int, connectors: Sequence[str]
    ) -> EntityPage:
        """Return the next entities behind *after*, one of *stride* drawn by hash, with records and standings."""
        ...
