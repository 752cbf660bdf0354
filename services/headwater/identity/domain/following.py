"""What became of a group whose id somebody holds. Pure.

Ids of groups are stable: the group that most of the records are in keeps the id. Where it is gone, its records tell
where: each remembers the groups that it was in, so one step leads to the present, however often they changed since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from headwater.identity.domain.records import GroupId, RecordId


@dataclass(frozen=True, slots=True)
class Followed:
    """Where an id leads.

    Args:
        group_id: the group to follow.
        split_into: all groups that its records are in now, that one first, where they are more than one.
    """

    group_id: GroupId
    split_into: tuple[GroupId, ...] = ()


def follow(asked: GroupId, present: Mapping[RecordId, GroupId]) -> Followed | None:
    """Return where an id leads: to itself while a group has it, else to where most of its records are.

    Args:
        present: of every record that is or was in the group, the group that it is in now.

    Returns:
        None when no group ever had it. Of groups with as many, the one with the record of the lowest id.
    """
    sizes = Counter(present.values())
    if not sizes:
        return None
    first: dict[GroupId, RecordId] = {}
    for record in sorted(present):
        first.setdefault(present[record], record)
    groups = sorted(sizes, key=lambda group: (group != asked, -sizes[group], first[group]))
    return Followed(groups[0], tuple(groups) if groups[1:] else ())
