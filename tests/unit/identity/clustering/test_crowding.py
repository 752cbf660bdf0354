"""Keys that crowd: what only they held together comes apart, in whatever order records arrive."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.unit.identity.people import parts

from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.scoring.priors import shipped

CROWDED, OTHER = 7, 8
ONE = parts(first_name="Kaya", last_name="Orbeli", email="kaya.orbeli@acorn.test", phone="+12125550147")


def memory() -> Memory:
    return Memory(shipped("contact", 500), Rules(), key_rows_max=2)


def streamed(records: list[Keyed]) -> tuple[tuple[str, ...], ...]:
    stream = Stream(memory())
    for record in records:
        stream.resolve(record)
    return stream.groups()


def test_edges_that_only_a_crowded_key_supports_are_forgotten() -> None:
    """Two records that met by a key come apart when a third crowds it, as if they had never met."""
    records = [Keyed(name, ONE, (CROWDED,)) for name in "abc"]
    assert streamed(records[:2]) == (("a", "b"),)
    assert streamed(records) == (("a",), ("b",), ("c",))
    assert resolve_all(records, memory()).groups == (("a",), ("b",), ("c",))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_edges_that_another_key_supports_stay(order: tuple[int, ...]) -> None:
    """A crowded key takes nothing from a pair that meets by another one."""
    keys = {"a": (CROWDED, OTHER), "b": (CROWDED, OTHER), "c": (CROWDED,)}
    records = [Keyed(name, ONE, own) for name, own in keys.items()]
    assert streamed([records[n] for n in order]) == (("a", "b"), ("c",))
