"""When a process that died is started again, and when it is given up."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.replicas.addresses import process_count
from headwater.kernel.replicas.restarting import Deaths, RestartSettings, pause_s

SETTINGS = RestartSettings(pause_first_s=0.2, pause_cap_s=5.0, deaths_max=3, window_s=60.0)


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_the_pause_is_under_the_curve_and_the_cap(failures: int, seed: int) -> None:
    """Full jitter: anything from nothing to the capped curve."""
    found = pause_s(SETTINGS, failures, random.Random(seed))
    assert 0 <= found <= min(5.0, 0.2 * 2.0 ** min(failures - 1, 30))


def test_pauses_at_the_cap_do_not_march_in_step() -> None:
    """Two processes at the cap start again at different moments."""
    chance = random.Random(1)
    assert pause_s(SETTINGS, 30, chance) != pause_s(SETTINGS, 30, chance)


def test_deaths_within_the_window_make_a_loop() -> None:
    """The third death within a minute is one too many."""
    deaths = Deaths().noted(SETTINGS, 0.0).noted(SETTINGS, 10.0)
    assert not deaths.is_loop(SETTINGS)
    assert deaths.noted(SETTINGS, 20.0).is_loop(SETTINGS)


def test_old_deaths_are_forgotten() -> None:
    """A death a day never adds up."""
    deaths = Deaths()
    for day in range(100):
        deaths = deaths.noted(SETTINGS, day * 86_400.0)
    assert len(deaths.times_s) == 1


def test_processes_by_cores_are_at_most_eight_and_one_where_ports_are_not_shared() -> None:
    """By default one a core on Linux, one elsewhere; what was asked for is given anywhere."""
    assert process_count(0, cores=3, platform="linux") == 3
    assert process_count(0, cores=64, platform="linux") == 8
    assert process_count(0, cores=64, platform="darwin") == 1
    assert process_count(12, cores=2, platform="darwin") == 12
