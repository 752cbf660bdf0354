"""Which entity id a group of records keeps when groups change. Pure, deterministic.

The largest overlap keeps the id; an id that loses its last record becomes an alias of the group that
took most of it, so what others stored stays resolvable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headwater.identity.domain.clustering.linkage import Members


@dataclass(frozen=True, slots=True)
class Naming:
    """What became of entity ids.

    Args:
        entity_of: the id of each record.
        aliases: ids that name no group any more, each with the id to follow.
        created: ids that are new.
    """

    entity_of: Mapping[str, str]
    aliases: Mapping[str, str]
    created: tuple[str, ...]


def name_groups(
    groups: Iterable[Members], before: Mapping[str, str], new_id: Callable[[Members], str]
) -> Naming:
    """Give each group an id: the one that most of its records had, ties to the group with the first record.

    Args:
        before: the entity id of each record that had one.
        new_id: makes the id of a group that keeps none.
    """
    ordered = sorted(groups)
    overlaps = [Counter(before[one] for one in group if one in before) for group in ordered]
    kept = _kept(overlaps)
    entity_of: dict[str, str] = {}
    created: list[str] = []
    for number, group in enumerate(ordered):
        entity = kept.get(number)
        if entity is None:
            entity = new_id(group)
            created.append(entity)
        entity_of.update(dict.fromkeys(group, entity))
    return Naming(entity_of, _aliases(ordered, overlaps, set(kept.values()), entity_of), tuple(created))


def _kept(overlaps: Sequence[Counter[str]]) -> dict[int, str]:
    """Return the old id that each numbered group keeps, largest overlap first."""
    claims = sorted(
        (-n, number, old) for number, overlap in enumerate(overlaps) for old, n in overlap.items()
    )
    kept: dict[int, str] = {}
    taken: set[str] = set()
    for _, number, old in claims:
        if number not in kept and old not in taken:
            kept[number] = old
            taken.add(old)
    return kept


def _aliases(
    groups: Sequence[Members], overlaps: Sequence[Counter[str]], alive: set[str], entity_of: Mapping[str, str]
) -> dict[str, str]:
    best: dict[str, tuple[int, str]] = {}
    for group, overlap in zip(groups, overlaps, strict=True):
        for old, n in overlap.items():
            if old not in alive and (old not in best or n > best[old][0]):
                best[old] = (n, entity_of[group[0]])
    return {old: entity for old, (_, entity) in best.items()}
