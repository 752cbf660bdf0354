"""When faults fire."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from headwater.sandbox.faults import BEFORE, Fault, FaultBook, FaultPlan
from headwater.sandbox.store.database import Database


def _book(*faults: Fault, seed: int = 7) -> FaultBook:
    book = FaultBook(Database(None), 1, 1)
    book.arm(FaultPlan(faults=faults, seed=seed))
    return book


def _hits(book: FaultBook, times: int) -> list[bool]:
    return [bool(book.fire(BEFORE, "POST /crm/v3/objects/contacts")) for _ in range(times)]


def test_fault_fires_as_often_as_its_count_says() -> None:
    """A count of two means the first two calls."""
    assert _hits(_book(Fault(kind="error_5xx", count=2)), 4) == [True, True, False, False]


def test_chance_is_the_same_for_the_same_seed_only() -> None:
    """A seed fixes which calls are hit; another seed hits others, about as many."""
    fault = Fault(kind="error_5xx", probability=0.5)
    first, again, other = (_hits(_book(fault, seed=seed), 200) for seed in (1, 1, 2))
    assert first == again != other
    assert 70 < sum(first) < 130


def test_path_chooses_the_calls() -> None:
    """A fault with a path leaves other calls alone, and is not drawn for them."""
    book = _book(Fault(kind="error_5xx", path="^PATCH "))
    assert not any(_hits(book, 3))
    assert book.report()[0]["draws"] == 0
    assert book.fire(BEFORE, "PATCH /crm/v3/objects/contacts/1")


def test_token_calls_are_spared_unless_named() -> None:
    """Only a fault whose path matches it touches the token endpoint."""
    spared, named = _book(Fault(kind="hang")), _book(Fault(kind="hang", path="oauth"))
    assert spared.fire(BEFORE, "POST /oauth/v1/token", is_token=True) == []
    assert len(named.fire(BEFORE, "POST /oauth/v1/token", is_token=True)) == 1


def test_partial_dooms_at_least_one_item() -> None:
    """However small the share, a partial fault that fires fails something."""
    book = _book(Fault(kind="partial", share=0.001))
    assert all(len(book.doomed(5, "POST /x")) == 1 for _ in range(20))
    assert book.doomed(0, "POST /x") == frozenset()


def test_counts_survive_in_the_store() -> None:
    """A successor takes up the counts where they were."""
    database = Database(None)
    book = FaultBook(database, 1, 1)
    book.arm(FaultPlan(faults=(Fault(kind="error_5xx", count=2),)))
    assert _hits(book, 1) == [True]
    assert _hits(FaultBook(database, 1, 1), 2) == [True, False]


def test_malformed_expression_is_refused() -> None:
    """A path that is no regular expression cannot be armed."""
    with pytest.raises(ValidationError):
        Fault(kind="hang", path="(")
