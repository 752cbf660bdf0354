"""The figures of identity follow from the outcomes; what is missing fails by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import pytest
from tests.load.figures import Figure
from tests.load.identity import goals
from tests.load.identity.groups import Answer
from tests.load.identity.metrics import Rates
from tests.load.identity.outcome import Outcome, from_facts, outcome_of
from tests.load.identity.sets_of_run import SetOfRun, fresh, labelled
from tests.load.identity.speed import Speed
from tests.load.identity.systems import PEERS, STREAM, Run
from tests.load.identity.tables import row_of

DEV, ACCOUNTS = (
    labelled(("crm_synth_dev",))[0],
    SetOfRun("world_accounts_15k_1", "accounts", "accounts", "15k", 1),
)
GOOD = Outcome(
    STREAM,
    DEV.name,
    1_000,
    Rates(0.96, 0.96),
    Rates(0.97, 0.97),
    Rates(0.9999, 0.5),
    11,
    10,
    wrong_per_1000=2.0,
)
FAST = Speed(
    contacts=1_000_000, fill_per_s=4_000, batched_per_s=4_500, single_p50_ms=1.0, single_p99_ms=4.0, check_p50_ms=1.0,
    check_p99_ms=2.0, hot_per_s=2_500, hot_p50_ms=3.0, hot_p99_ms=9.0, hot_things=400, hot_groups=400,
    service_bytes=200_000_000, service_cpu_s=1.0, postgres_cpu_s=1.0,
)  # fmt: skip


def peers_of(name: str, cubed: float = 0.9) -> list[Outcome]:
    """Return an outcome of every peer."""
    return [Outcome(peer, name, 1_000, Rates(0.8, 0.8), Rates(cubed, cubed), None, 20, 10) for peer in PEERS]


def failing(figures: Iterable[Figure]) -> list[str]:
    """Return the names of the figures that fail."""
    return [figure.name for figure in figures if not figure.passed]


def test_good_outcome_meets_every_goal() -> None:
    """F1, largest group, both of the merge tier, and each set against the best peer."""
    asked = goals.quality_figures([DEV], [GOOD]) + goals.peer_figures([DEV], [GOOD, *peers_of(DEV.name)])
    assert len(asked) == 5
    assert failing(asked) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pairs": Rates(0.9, 0.9)}, "F1 crm_synth_dev, ours, stream"),
        ({"largest": 16}, "largest / largest true crm_synth_dev, ours, stream"),
        ({"merge": Rates(0.999, 0.5)}, "merge tier precision crm_synth_dev, ours, stream"),
        ({"merge": Rates(1.0, 0.3)}, "merge tier recall crm_synth_dev, ours, stream"),
    ],
)
def test_a_goal_that_is_missed_fails_alone(change: dict[str, Any], expected: str) -> None:
    """Each figure reads its own number."""
    assert failing(goals.quality_figures([DEV], [replace(GOOD, **change)])) == [expected]


def test_an_outcome_that_failed_fails_all_its_figures() -> None:
    """Nothing is passed over in silence."""
    figures = goals.quality_figures([DEV], [Outcome(STREAM, DEV.name, 1_000, failure="no room")])
    assert failing(figures) == [figure.name for figure in figures]
    assert len(figures) == 4


def test_the_best_peer_is_the_one_to_beat() -> None:
    """One better peer is enough to fail; it is named."""
    others = peers_of(DEV.name)
    others[1] = replace(others[1], cubed=Rates(0.99, 0.99))
    (figure,) = goals.peer_figures([DEV], [GOOD, *others])
    assert (figure.passed, figure.name) == (False, "B-cubed crm_synth_dev, ours, stream less splink, damped")
    assert figure.value == pytest.approx(-0.02)


def test_a_peer_that_failed_or_was_not_run_fails_the_comparison() -> None:
    """It could have been the best; the others are still compared."""
    others = peers_of(DEV.name)[:-1]
    others[0] = replace(others[0], failure="not installed")
    (figure,) = goals.peer_figures([DEV], [GOOD, *others])
    assert not figure.passed
    assert figure.missing == "splink: not installed; dedupe not run"
    assert figure.value == pytest.approx(0.07)


def test_a_peer_that_was_too_slow_is_named_and_left_out() -> None:
    """It had its chance; were all of them too slow, nothing would be compared."""
    slow = [replace(peer, failure="not done within 9 s") for peer in peers_of(DEV.name)]
    (figure,) = goals.peer_figures([DEV], [GOOD, *peers_of(DEV.name)[:-1], slow[-1]])
    assert figure.passed
    assert figure.name.endswith("(dedupe too slow)")
    (figure,) = goals.peer_figures([DEV], [GOOD, *slow])
    assert (figure.passed, figure.missing) == (False, "no peer answered")


def test_made_up_accounts_are_not_asked_for_f1() -> None:
    """How hard they are is the maker's choice; the largest group still counts."""
    ours = replace(GOOD, set_name=ACCOUNTS.name, pairs=Rates(0.5, 0.5))
    assert [figure.name for figure in goals.quality_figures([ACCOUNTS], [ours])] == [
        "largest / largest true world_accounts_15k_1, ours, stream"
    ]


def test_a_large_set_is_compared_with_the_small_one_of_its_seed() -> None:
    """F1 may fall by 0.03 at most."""
    small, large = (next(s for s in fresh(size, [5]) if s.family == "crm") for size in ("15k", "200k"))
    outcomes = [
        replace(GOOD, set_name=small.name),
        replace(GOOD, set_name=large.name, pairs=Rates(0.92, 0.92)),
    ]
    assert failing(goals.quality_figures([small, large], outcomes)) == [
        "F1 lost from 15k to crm_200k_5, ours, stream"
    ]
    assert failing(goals.quality_figures([large], outcomes[1:])) == [
        "F1 lost from 15k to crm_200k_5, ours, stream"
    ]


def test_orders_are_judged_by_the_least() -> None:
    """The worst of the orders counts; one with itself cannot be judged."""
    first, bulk = goals.order_figures("s", 3, {"among_orders": [1.0, 0.9985], "with_bulk": [1.0, 1.0, 1.0]})
    assert (first.passed, bulk.passed) == (False, True)
    alone, _ = goals.order_figures("s", 1, {"among_orders": [], "with_bulk": [1.0]})
    assert not alone.passed


def test_speed_has_other_goals_at_ten_million() -> None:
    """Fewer a second and more milliseconds do there."""
    assert failing(goals.speed_figures(FAST)) == []
    slower = replace(FAST, batched_per_s=3_500, single_p99_ms=7.0)
    assert len(failing(goals.speed_figures(slower))) == 2
    assert failing(goals.speed_figures(replace(slower, contacts=10_000_000))) == []


def test_an_answer_about_other_records_is_a_failure() -> None:
    """A system that drops records is not scored on the rest."""
    run = Run("splink", "s", answer=Answer({"a": "1"}))
    assert outcome_of(run, {"a": "1", "b": "2"}).failure == "its answer does not name the set's records"


def test_an_outcome_counts_both_tiers() -> None:
    """Links and merges are scored apart; unions of strangers per 1,000 records."""
    answer = Answer({"a": "x", "b": "x", "c": "x", "d": "y"}, {"a": "x", "b": "x", "c": "c", "d": "d"})
    found = outcome_of(Run(STREAM, "s", answer=answer), {"a": "1", "b": "1", "c": "2", "d": "2"})
    assert found.merge == Rates(1.0, 0.5)
    assert (found.pairs.recall, found.wrong_per_1000, found.largest, found.largest_true) == (0.5, 250.0, 3, 2)


def test_an_outcome_survives_being_kept() -> None:
    """A run in slices reads what an earlier slice wrote."""
    assert from_facts(asdict(GOOD)) == GOOD
    assert from_facts(asdict(peers_of("s")[0])) == peers_of("s")[0]


def test_a_row_has_a_cell_a_column() -> None:
    """Also where there is nothing but a reason."""
    failed = Outcome("dedupe", "s", 10, failure="not done within 45 s", told={"labels": 60})
    assert len(row_of(GOOD)) == len(row_of(failed)) == 15
    assert row_of(failed)[-1] == "not done within 45 s"
