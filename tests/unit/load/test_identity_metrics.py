"""What the identity bench counts: pairs, B-cubed, sizes, wrong unions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.load.identity import metrics

TRUTH = {"a": "1", "b": "1", "c": "1", "d": "2", "e": "2", "f": "3"}
ONE_EACH = {record: record for record in TRUTH}
PARTITIONS = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), min_size=1)


def test_the_truth_itself_is_perfect() -> None:
    """Nothing missed, nothing wrong."""
    assert metrics.pairwise(TRUTH, TRUTH) == metrics.Rates(1.0, 1.0)
    assert metrics.b_cubed(TRUTH, TRUTH).f1 == pytest.approx(1.0)
    assert metrics.wrong_merges(TRUTH, TRUTH) == 0


def test_records_left_alone_have_precision_and_no_recall() -> None:
    """No pair is said, none is found; each record is still right about itself."""
    assert metrics.pairwise(ONE_EACH, TRUTH) == metrics.Rates(1.0, 0.0)
    assert metrics.b_cubed(ONE_EACH, TRUTH).recall == pytest.approx(0.5)


def test_one_group_of_all_counts_each_other_thing_as_a_wrong_union() -> None:
    """Three things in one group were united twice."""
    together = dict.fromkeys(TRUTH, "x")
    assert metrics.wrong_merges(together, TRUTH) == 2
    assert metrics.largest(together) == 6
    assert metrics.pairwise(together, TRUTH).precision == pytest.approx(4 / 15)


def test_one_record_in_the_wrong_group_by_hand() -> None:
    """Groups {a, b}, {c, d, e}, {f}: 2 of 4 pairs said are true, 2 of 4 true ones said."""
    predicted = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "y", "f": "z"}
    assert metrics.pairwise(predicted, TRUTH) == metrics.Rates(0.5, 0.5)
    assert metrics.b_cubed(predicted, TRUTH).precision == pytest.approx(
        (1 + 1 + 1 / 3 + 2 / 3 + 2 / 3 + 1) / 6
    )
    assert metrics.wrong_merges(predicted, TRUTH) == 1


@given(PARTITIONS)
def test_names_of_groups_do_not_count(truth: dict[str, str]) -> None:
    """Only who is together matters."""
    renamed = {record: f"group-{group}" for record, group in truth.items()}
    assert metrics.pairwise(renamed, truth) == metrics.Rates(1.0, 1.0)
    assert metrics.wrong_merges(renamed, truth) == 0


def test_identical_counts_groups_of_both_sides() -> None:
    """One of two groups on each side is the same."""
    assert metrics.identical([("a", "b"), ("c",)], [("b", "a"), ("c", "d")]) == 0.5
