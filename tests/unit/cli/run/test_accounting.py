"""The account of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headwater.cli.run.accounting import Crm, Ledger, unexplained

_GOOD = Ledger(
    sent={"accepted": 8, "quarantined": 2, "duplicate": 1},
    logged={"accepted": 8, "quarantined": 2},
    own_logged=1,
    projected=7,
    superseded={"stale": 1},
    poisoned=1,
    entities={"contact": 3},
    deliveries={("hubspot", "contact", "delivered"): 2, ("hubspot", "contact", "dead"): 1},
    mapped={"hubspot": ("contact",)},
)
_CRM = Crm({"a": "1", "b": "2"}, {"a": ("1",), "b": ("2",)})


def test_nothing_is_unexplained_when_rules_and_errors_name_the_rest() -> None:
    """Superseded, poisoned and dead are explained; so is a duplicate of an interrupted try."""
    assert unexplained(_GOOD, {"hubspot": _CRM}) == ()
    assert _GOOD.settled


@pytest.mark.parametrize(
    ("ledger", "crm", "what"),
    [
        (replace(_GOOD, logged={"accepted": 7, "quarantined": 2}, projected=6), _CRM, "not in the log"),
        (replace(_GOOD, logged={"accepted": 10, "quarantined": 2}, projected=9), _CRM, "nobody sent"),
        (replace(_GOOD, projected=6), _CRM, "does not account for"),
        (replace(_GOOD, projected=6, waiting=1), _CRM, "still waiting"),
        (replace(_GOOD, entities={"contact": 4}), _CRM, "without a delivery"),
        (
            replace(_GOOD, deliveries={("hubspot", "contact", "retrying"): 3}),
            _CRM,
            "hubspot contact deliveries retrying",
        ),
        (_GOOD, replace(_CRM, held={"a": ("1",)}), "does not hold"),
        (_GOOD, replace(_CRM, held={**_CRM.held, "a": ("9",)}), "does not hold"),
        (_GOOD, replace(_CRM, held={**_CRM.held, "c": ("3",)}), "nothing says so"),
        (_GOOD, replace(_CRM, held={**_CRM.held, "a": ("1", "9")}), "more than once"),
    ],
)
def test_each_gap_is_told(ledger: Ledger, crm: Crm, what: str) -> None:
    """One thing that does not add up gives one line that says what."""
    (gap,) = unexplained(ledger, {"hubspot": crm})
    assert what in gap.what


def test_a_run_is_not_settled_while_anything_moves() -> None:
    """A waiting event or a delivery on its way keeps the run waiting."""
    assert not replace(_GOOD, waiting=1).settled
    assert not replace(_GOOD, deliveries={("hubspot", "contact", "in_doubt"): 1}).settled
    assert not replace(_GOOD, projected=1).settled
