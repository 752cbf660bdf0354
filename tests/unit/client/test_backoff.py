"""The pauses between tries."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from headwater.client.backoff import Backoff


@given(failures=st.integers(1, 10_000), seed=st.integers(), least_s=st.floats(0, 60))
def test_a_pause_lies_between_the_services_wish_and_that_plus_the_cap(
    failures: int, seed: int, least_s: float
) -> None:
    """However many failures, the pause is bounded, and never shorter than the service asked for."""
    pause_s = Backoff(first_s=0.1, cap_s=5.0).pause_s(failures, random.Random(seed), least_s=least_s)
    assert least_s <= pause_s <= least_s + 5.0


def test_pauses_of_clients_at_the_cap_differ() -> None:
    """Jitter goes on after the cap, so that clients do not march in step."""
    pauses = {Backoff().pause_s(20, random.Random(seed)) for seed in range(20)}
    assert len(pauses) == 20
