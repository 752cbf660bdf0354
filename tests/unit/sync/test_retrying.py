"""What each class of error leads to, and when."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base import ErrorClass, VendorError
from headwater.policy.document import Retry
from headwater.sync.domain.retrying import (
    QUOTA_PAUSE_S,
    RATE_LIMIT_PAUSE_S,
    Adopt,
    Bury,
    Forget,
    LookUp,
    TryAgain,
    decide,
    tries_max,
)

POLICY = Retry(fast_s=(1, 2), slow_s=(60, 300), in_doubt_s=2)
RETRIED = [ErrorClass.NETWORK, ErrorClass.SERVER, ErrorClass.AUTH, ErrorClass.REFERENCE]


def error(error_class: ErrorClass, retry_after_s: float | None = None, existing: str = "") -> VendorError:
    """Return an error of a class."""
    return VendorError(error_class, "CODE", "words", retry_after_s=retry_after_s, existing_crm_id=existing)


TABLE = [
    (error(ErrorClass.RATE_LIMIT), 0, TryAgain(RATE_LIMIT_PAUSE_S, counts=False)),
    (error(ErrorClass.RATE_LIMIT, 3.0), 99, TryAgain(3.0, counts=False)),
    (error(ErrorClass.QUOTA), 0, TryAgain(QUOTA_PAUSE_S, counts=False)),
    (error(ErrorClass.QUOTA, 0.0), 99, TryAgain(0.0, counts=False)),
    (error(ErrorClass.IN_DOUBT), 0, LookUp(2)),
    (error(ErrorClass.IN_DOUBT), 99, LookUp(2)),
    (error(ErrorClass.CONFLICT, existing="003"), 3, Adopt("003")),
    (error(ErrorClass.CONFLICT), 0, Bury("conflict")),
    (error(ErrorClass.NOT_FOUND), 0, Bury("not_found")),
    (error(ErrorClass.PERMISSION), 0, Bury("permission")),
    (error(ErrorClass.FORMAT), 0, Bury("format")),
    (error(ErrorClass.VALIDATION), 0, Bury("validation")),
]


@pytest.mark.parametrize(("refused", "failures", "wanted"), TABLE)
def test_the_table_decides(refused: VendorError, failures: int, wanted: object) -> None:
    """Each class without jitter has one answer."""
    assert decide(refused, failures, POLICY, random.Random(1)) == wanted


def test_a_record_is_adopted_once_and_forgotten_once() -> None:
    """A conflict with the record already adopted, or a loss where none was known, is the end."""
    adopted = error(ErrorClass.CONFLICT, existing="003")
    chance = random.Random(1)
    assert decide(adopted, 1, POLICY, chance, crm_id="003") == Bury("conflict")
    assert decide(error(ErrorClass.NOT_FOUND), 2, POLICY, chance, crm_id="003") == Forget()


def test_the_table_is_complete() -> None:
    """Every class of error is decided on purpose."""
    assert {item[0].error_class for item in TABLE} | set(RETRIED) == set(ErrorClass)


@given(st.sampled_from(RETRIED), st.integers(0, 3), st.integers(), st.one_of(st.none(), st.floats(0, 900)))
def test_jitter_stays_within_its_tier(
    error_class: ErrorClass, failures: int, seed: int, retry_after_s: float | None
) -> None:
    """The pause is between nothing and the step, never shorter than the vendor's wish."""
    decision = decide(error(error_class, retry_after_s), failures, POLICY, random.Random(seed))
    assert isinstance(decision, TryAgain)
    assert decision.counts
    step = (1, 2, 60, 300)[failures]
    assert (retry_after_s or 0) <= decision.after_s <= max(step, retry_after_s or 0)


@pytest.mark.parametrize("error_class", RETRIED)
def test_the_dead_letter_comes_when_all_tries_are_used(error_class: ErrorClass) -> None:
    """After the last step of the slow tier nothing is tried any more."""
    assert tries_max(POLICY) == 4
    decision = decide(error(error_class), 4, POLICY, random.Random(1))
    assert decision == Bury(f"{error_class.value}: all 4 retries used")


def test_jitter_uses_the_whole_step() -> None:
    """Clients at one step spread over all of it."""
    chance = random.Random(7)
    pauses = []
    for _ in range(200):
        decision = decide(error(ErrorClass.SERVER), 2, POLICY, chance)
        assert isinstance(decision, TryAgain)
        pauses.append(decision.after_s)
    assert min(pauses) < 6
    assert max(pauses) > 54
