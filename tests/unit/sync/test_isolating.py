"""Rows that fail unexpectedly: which are parked, and when."""

from __future__ import annotations

from tests.unit.sync.tenant import key

from headwater.sync.domain.isolating import ALONE_TRIES, SUSPECTS_MAX, Suspects, choose_parked


def test_rows_are_parked_where_others_of_their_batch_passed() -> None:
    """What the others got through, the fault of which is not ours, is the rows' own."""
    assert list(choose_parked([1], 99)) == [0]
    assert list(choose_parked([1] * 50, 1)) == list(range(50))


def test_one_row_at_a_time_is_parked_where_nothing_passes() -> None:
    """The one that failed most often, and only after several rounds: a fault of ours must not bury a queue."""
    assert list(choose_parked([ALONE_TRIES - 1] * 10, 0)) == []
    assert list(choose_parked([ALONE_TRIES], 0)) == [0]
    assert list(choose_parked([1, ALONE_TRIES, ALONE_TRIES], 0)) == [1]


def test_failures_are_counted_by_row() -> None:
    """Another row's failure in between takes nothing off a count; being handled does."""
    suspects = Suspects()
    assert suspects.failed([key(1)]) == [1]
    assert suspects.failed([key(2)]) == [1]
    assert suspects.failed([key(1), key(2)]) == [2, 2]
    suspects.clear([key(1)])
    assert suspects.failed([key(1), key(2)]) == [1, 3]


def test_the_number_of_rows_that_are_counted_is_bounded() -> None:
    """The ones that failed longest ago are forgotten first."""
    suspects = Suspects()
    suspects.failed([key(1)])
    suspects.failed([key(number) for number in range(2, SUSPECTS_MAX + 2)])
    assert suspects.failed([key(SUSPECTS_MAX + 1), key(1)]) == [2, 1]
