"""Noting why tries fail, inside the transaction that settles them; costs nothing where none failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.grouping import gather, recovered
from headwater.sync.domain.settling import Settlement

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection

_SQL = queries.load("headwater.sync", "errors.sql")


async def note_errors(
    connection: Connection, tenant_id: str, connector: str, settlements: Sequence[Settlement]
) -> None:
    """Put failed deliveries into the groups of their causes, and take those out that recovered.

    Call it last in the transaction: the rows of groups are shared by all slots of an account.
    """
    if well := recovered(settlements):
        await connection.execute(_SQL["forget_errors"].text, tenant_id, connector, well)
    gathered = gather(settlements)
    if not gathered:
        return
    ids = [group.cause.group_id(tenant_id) for group in gathered]
    members = [
        (entity_id, group_id, in_doubt)
        for group_id, group in zip(ids, gathered, strict=True)
        for entity_id, in_doubt in group.members
    ]
    await connection.execute(
        _SQL["note_errors"].text,
        tenant_id,
        connector,
        ids,
        [group.cause.endpoint for group in gathered],
        [group.cause.error_class for group in gathered],
        [group.cause.error_code for group in gathered],
        [group.cause.message for group in gathered],
        [group.last_message for group in gathered],
        [len(group.members) for group in gathered],
        [member[0] for member in members],
        [member[1] for member in members],
        [member[2] for member in members],
    )
