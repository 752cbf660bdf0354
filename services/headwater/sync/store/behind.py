"""What a projection leaves for the timeline, in its transaction: touches, changed entities, merges and splits.

Asks the database nothing for tenants whose policy has no such sections.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.attributing import TouchFact
from headwater.sync.domain.projecting import Workspace

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection

_SQL = queries.load("headwater.sync", "timeline.sql")
_FETCHING = queries.load("headwater.sync", "fetch.sql")
OBJECTS: Final = frozenset({"activity", "contact", "account", "deal"})
"""Objects that a timeline is made of."""


async def write_behind(connection: Connection, workspace: Workspace) -> None:
    """Write what *workspace* leaves behind, and wake who works on it once this commits."""
    if workspace.fetches:
        marks = sorted(
            workspace.fetches, key=lambda item: (item.tenant_id, item.connector, item.crm_object, item.crm_id)
        )
        rows = [(item.tenant_id, item.connector, item.crm_object, item.crm_id) for item in marks]
        await connection.execute(_FETCHING["want_fetches"].text, *_columns(rows))
        await connection.execute(_FETCHING["notify_fetches"].text)
    if workspace.touches:
        await write_touches(connection, workspace.touches)
    if due := list(_due(workspace)):
        await connection.execute(_SQL["note_due"].text, *_columns(due))
    if changes := workspace.identity_changes:
        found = [
            (
                item.event.tenant_id, item.event.event_key, item.seq, item.change, item.object, item.winner,
                item.loser, item.merge_id,
            )
            for item in changes
        ]  # fmt: skip
        await connection.execute(_SQL["note_identity_changes"].text, *_columns(found))
    if due or changes:
        await connection.execute(_SQL["notify_timeline"].text)


async def write_touches(connection: Connection, touches: Sequence[TouchFact]) -> None:
    """Keep touches; those of events that have one already stay as they are."""
    rows = [
        (
            item.tenant_id, item.event_key, item.object, item.source, item.external_id, item.touch_time,
            item.channel, item.detail, item.policy_version,
        )
        for item in touches
    ]  # fmt: skip
    await connection.execute(_SQL["write_touches"].text, *_columns(rows))


def _due(workspace: Workspace) -> Iterator[tuple[str, uuid.UUID, str, uuid.UUID]]:
    for entity in workspace.entities_changed.values():
        policy = workspace.policies.get(entity.tenant_id)
        if policy is not None and policy.timeline is not None and entity.object in OBJECTS:
            latest = max((chosen.event_key for chosen in entity.fields.values()), default=entity.entity_id)
            yield entity.tenant_id, entity.entity_id, entity.object, latest


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
