"""Tasks hold every pair once, and components whole where they fit."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.bulk.packing import Components, pack

RECORDS = 30
PAIRS = st.lists(
    st.tuples(st.integers(0, RECORDS - 2), st.integers(1, RECORDS - 1)).filter(
        lambda pair: pair[0] < pair[1]
    ),
    unique=True,
    max_size=60,
).map(sorted)


@given(pairs=PAIRS, pairs_max=st.integers(1, 20), known=st.booleans())
def test_pack_keeps_every_pair_once_and_components_whole(
    pairs: list[tuple[int, int]], pairs_max: int, *, known: bool
) -> None:
    """Whatever the pairs: none is lost, a whole task shares no record with another task, a cut one is bounded."""
    low, high = [one for one, _ in pairs], [other for _, other in pairs]
    bits = [float(at) for at in range(len(pairs))] if known else []
    tasks = pack(low, high, bits, RECORDS, pairs_max, cut=not known)
    assert sorted(pair for task in tasks for pair in zip(task.low, task.high, strict=True)) == pairs
    for at, task in enumerate(tasks):
        others = {n for other in (*tasks[:at], *tasks[at + 1 :]) for n in (*other.low, *other.high)}
        assert not task.whole or others.isdisjoint({*task.low, *task.high})
        assert task.whole or len(task) <= pairs_max
    assert not known or all(task.whole for task in tasks)


def test_pack_hands_known_bits_on_with_their_pairs() -> None:
    """A pair that was scored before keeps its bits."""
    tasks = pack([0, 1, 4], [1, 2, 5], [3.0, 4.0, 5.0], 6, 2, cut=False)
    assert [(list(task.low), list(task.bits)) for task in tasks] == [([0, 1], [3.0, 4.0]), ([4], [5.0])]


def test_components_are_called_by_their_smallest_record() -> None:
    """Whatever the order of joining."""
    components = Components(5)
    components.join(4, 3)
    components.join(1, 4)
    assert [components.of(record) for record in range(5)] == [0, 1, 2, 1, 1]


def test_task_counts_its_pairs() -> None:
    """An empty pack has no task."""
    assert pack(array("q"), array("q"), [], 3, 10, cut=True) == []
