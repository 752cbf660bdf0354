"""Threads are connected sets of ids, whatever the order and the portions in which messages come."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from headwater.sync.domain.threads import join_threads

messages = st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=3), min_size=1, max_size=12)


def joined(portions: list[list[list[str]]]) -> dict[str, str]:
    """Return id to thread after *portions*, each written as a store would."""
    held: dict[str, str] = {}
    for portion in portions:
        wanted = {name for names in portion for name in names}
        fresh, former = join_threads(portion, {name: held[name] for name in wanted if name in held})
        held = {name: former.get(thread, thread) for name, thread in held.items()} | fresh
    return held


@given(messages, st.randoms(), st.integers(1, 12))
def test_any_order_and_portions_give_the_same_threads(
    named: list[list[str]], chance: random.Random, size: int
) -> None:
    """And each bears the smallest id of those in it."""
    whole = joined([named])
    shuffled = list(named)
    chance.shuffle(shuffled)
    assert joined([shuffled[place : place + size] for place in range(0, len(shuffled), size)]) == whole
    for names in named:
        assert len({whole[name] for name in names}) == 1
    assert all(
        thread == min(name for name, one in whole.items() if one == thread) for thread in whole.values()
    )


def test_messages_that_name_nothing_in_common_stay_apart() -> None:
    """A message that names both joins them."""
    assert joined([[["b", "c"], ["d"]]]) == {"b": "b", "c": "b", "d": "d"}
    assert joined([[["b", "c"], ["d"]], [["a", "c", "d"]]]) == dict.fromkeys("abcd", "a")
