"""Who should hold how much: fair shares that cover everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.sync.domain.leasing import fair_share, plan_leases


@given(st.integers(0, 5000), st.integers(1, 50))
def test_fair_shares_cover_everything_and_no_more_than_needed(count: int, processes: int) -> None:
    """All processes together can hold all; one with a lease less each could not."""
    share = fair_share(count, processes)
    assert share * processes >= count
    assert count == 0 or (share - 1) * processes < count


@given(st.integers(1, 60), st.integers(1, 6), st.lists(st.integers(0, 5), max_size=60))
def test_processes_that_follow_their_plans_spread_everything_evenly(
    count: int, processes: int, first_owners: list[int]
) -> None:
    """From any distribution, releases then takes end with every lease held once and no process above its share."""
    names = [f"lease/{number}" for number in range(count)]
    held: dict[int, list[str]] = {process: [] for process in range(processes)}
    for name, owner in zip(names, first_owners, strict=False):
        held[owner % processes].append(name)
    for _ in range(3):
        for process in range(processes):
            plan = plan_leases(names, held[process], processes)
            held[process] = [name for name in held[process] if name not in plan.release]
        for process in range(processes):
            plan = plan_leases(names, held[process], processes)
            taken = {name for others in held.values() for name in others}
            held[process] += [name for name in plan.candidates if name not in taken][: plan.take]
    assert sorted(name for mine in held.values() for name in mine) == sorted(names)
    assert max(len(mine) for mine in held.values()) <= fair_share(count, processes)


def test_what_nobody_wants_any_more_is_released_and_the_busy_ones_are_kept() -> None:
    """Surplus is taken from the end of what the holder would rather keep."""
    plan = plan_leases(["a", "b", "c", "d"], ["d", "gone", "a", "b"], 2)
    assert plan.release == ("gone", "b")
    assert plan.take == 0
