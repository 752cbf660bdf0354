"""Why tries failed, as arguments of the turn that settles them; nothing at all where none did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headwater.sync.domain.grouping import gather, recovered
from headwater.sync.domain.settling import Settlement


def error_arguments(tenant_id: str, settlements: Sequence[Settlement]) -> tuple[Any, ...]:
    """Return what `turn_noting_errors` takes behind the turn's own arguments.

    Empty when no try failed and none that had failed before ended otherwise: the plain turn will do.
    """
    well = recovered(settlements)
    gathered = gather(settlements)
    if not gathered and not well:
        return ()
    ids = [group.cause.group_id(tenant_id) for group in gathered]
    members = [
        (entity_id, group_id, in_doubt)
        for group_id, group in zip(ids, gathered, strict=True)
        for entity_id, in_doubt in group.members
    ]
    return (
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
        well,
    )
