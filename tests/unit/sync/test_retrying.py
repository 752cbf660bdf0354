"""What each class of error leads to, and when."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.base import ErrorClass, VendorError
from headwater.policy.account import ClassRetry, Retry
from headwater.policy.words import RetryClass
from headwater.sync.domain.retrying import (
    QUOTA_PAUSE_S,
    RATE_LIMIT_PAUSE_S,
    TABLE,
    Adopt,
    Bury,
    Cause,
    Decision,
    Forget,
    LookUp,
    TryAgain,
    cause_of,
    decide,
    is_spent,
    steps_of,
)

POLICY = Retry(fast_s=(1, 2), slow_s=(60, 300), in_doubt_s=2)
STEPS = (1, 2, 60, 300)
RETRIED = [
    ErrorClass.TIMEOUT,
    ErrorClass.NETWORK,
    ErrorClass.SERVER,
    ErrorClass.AUTH,
    ErrorClass.REFERENCE,
]
DOUBTFUL = [ErrorClass.IN_DOUBT, ErrorClass.PARTIAL]


def error(error_class: ErrorClass, retry_after_s: float | None = None, existing: str = "") -> VendorError:
    """Return an error of a class."""
    return VendorError(error_class, "CODE", "words", retry_after_s=retry_after_s, existing_crm_id=existing)


def decided(refused: VendorError, failures: int = 0, policy: Retry = POLICY, seed: int = 1) -> Decision:
    """Return what follows from an error."""
    return decide(refused, failures, policy, random.Random(seed))


ROWS = [
    (error(ErrorClass.RATE_LIMIT), 0, TryAgain(RATE_LIMIT_PAUSE_S, counts=False)),
    (error(ErrorClass.RATE_LIMIT, 3.0), 99, TryAgain(3.0, counts=False)),
    (error(ErrorClass.QUOTA), 0, TryAgain(QUOTA_PAUSE_S, counts=False)),
    (error(ErrorClass.QUOTA, 0.0), 99, TryAgain(0.0, counts=False)),
    (error(ErrorClass.HELD, 7.0), 99, TryAgain(7.0, counts=False)),
    (error(ErrorClass.IN_DOUBT), 0, LookUp(2)),
    (error(ErrorClass.IN_DOUBT), 99, LookUp(2)),
    (error(ErrorClass.PARTIAL), 0, LookUp(2)),
    (error(ErrorClass.CONFLICT, existing="003"), 3, Adopt("003")),
    (error(ErrorClass.CONFLICT), 0, Bury("conflict", Cause.DATA)),
    (error(ErrorClass.NOT_FOUND), 0, Bury("not_found", Cause.DATA)),
    (error(ErrorClass.PERMISSION), 0, Bury("permission", Cause.ACCESS)),
    (error(ErrorClass.FORMAT), 0, Bury("format", Cause.MAPPING)),
    (error(ErrorClass.VALIDATION), 0, Bury("validation", Cause.DATA)),
    (error(ErrorClass.TIMEOUT), 4, Bury("timeout: all 4 retries used", Cause.VENDOR)),
    (error(ErrorClass.NETWORK), 4, Bury("network: all 4 retries used", Cause.VENDOR)),
    (error(ErrorClass.SERVER), 4, Bury("server: all 4 retries used", Cause.VENDOR)),
    (error(ErrorClass.AUTH), 4, Bury("auth: all 4 retries used", Cause.ACCESS)),
    (error(ErrorClass.REFERENCE), 4, Bury("reference: all 4 retries used", Cause.DATA)),
    (error(ErrorClass.CLAIMED), 14, Bury("claimed: all 14 retries used", Cause.DATA)),
]


@pytest.mark.parametrize(("refused", "failures", "wanted"), ROWS)
def test_the_table_decides(refused: VendorError, failures: int, wanted: object) -> None:
    """Each class without jitter has one answer."""
    assert decided(refused, failures) == wanted


def test_the_table_is_complete() -> None:
    """Every class of error has a row, a test of its row, and a name in the policy."""
    assert set(TABLE) == set(ErrorClass) == {row[0].error_class for row in ROWS}
    assert set(get_args(RetryClass)) == {item.value for item in ErrorClass}


def test_a_record_is_adopted_once_and_forgotten_once() -> None:
    """A conflict with the record already adopted, or a loss where none was known, is the end."""
    adopted = error(ErrorClass.CONFLICT, existing="003")
    chance = random.Random(1)
    assert decide(adopted, 1, POLICY, chance, crm_id="003") == Bury("conflict", Cause.DATA)
    assert decide(error(ErrorClass.NOT_FOUND), 2, POLICY, chance, crm_id="003") == Forget()


@given(st.sampled_from(RETRIED), st.integers(0, 3), st.integers(), st.one_of(st.none(), st.floats(0, 900)))
def test_jitter_stays_within_its_tier(
    error_class: ErrorClass, failures: int, seed: int, retry_after_s: float | None
) -> None:
    """The pause is between nothing and the step, never shorter than the vendor's wish."""
    decision = decided(error(error_class, retry_after_s), failures, seed=seed)
    assert isinstance(decision, TryAgain)
    assert decision.counts
    assert (retry_after_s or 0) <= decision.after_s <= max(STEPS[failures], retry_after_s or 0)


@given(st.sampled_from(DOUBTFUL), st.integers(0, 20), st.integers())
def test_a_doubt_is_always_looked_up_and_later_each_time(
    error_class: ErrorClass, failures: int, seed: int
) -> None:
    """No number of losses buries a write that nobody has looked for; the pauses follow the tiers."""
    decision = decided(error(error_class), failures, seed=seed)
    assert isinstance(decision, LookUp)
    step = STEPS[failures] if failures < len(STEPS) else 0
    assert POLICY.in_doubt_s <= decision.after_s <= max(POLICY.in_doubt_s, step)


def test_a_write_in_doubt_is_spent_after_its_last_look_up() -> None:
    """All tries and one more look-up: then it is not sent again."""
    assert [is_spent(failures, POLICY) for failures in (0, 4, 5)] == [False, False, True]


@pytest.mark.parametrize("error_class", list(ErrorClass))
@given(st.floats(0, 1e12), st.integers(0, 3), st.integers())
def test_no_pause_is_longer_than_the_policy_believes(
    error_class: ErrorClass, retry_after_s: float, failures: int, seed: int
) -> None:
    """A vendor that asks for thirty years gets the bound; one that asks for less is obeyed."""
    policy = POLICY.model_copy(update={"retry_after_s_max": 3600.0})
    decision = decided(error(error_class, retry_after_s), failures, policy, seed)
    if isinstance(decision, TryAgain | LookUp):
        assert min(retry_after_s, 3600.0) <= decision.after_s <= max(3600.0, *STEPS)


def test_a_fault_of_the_server_is_a_doubt_where_a_repeat_is_not_safe() -> None:
    """A create that ended in a 500 may have been done; an upsert may be sent again."""
    fault, chance = error(ErrorClass.SERVER), random.Random(1)
    assert isinstance(decide(fault, 0, POLICY, chance, repeat_safe=False), LookUp)
    assert isinstance(decide(fault, 0, POLICY, chance, repeat_safe=True), TryAgain)


def test_certain_failures_are_no_doubt_even_where_a_repeat_is_not_safe() -> None:
    """What never reached the vendor was not applied."""
    for error_class in (ErrorClass.NETWORK, ErrorClass.TIMEOUT, ErrorClass.RATE_LIMIT):
        decision = decide(error(error_class), 0, POLICY, random.Random(1), repeat_safe=False)
        assert isinstance(decision, TryAgain)


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


def test_a_policy_gives_a_class_pauses_of_its_own() -> None:
    """A class that is buried at once may be retried, one that is retried may be given up, a limit's pause set."""
    policy = POLICY.model_copy(
        update={
            "by_class": {
                "permission": ClassRetry(after_s=(30.0,)),
                "server": ClassRetry(),
                "rate_limit": ClassRetry(after_s=(4.0,)),
            }
        }
    )
    again = decided(error(ErrorClass.PERMISSION), 0, policy)
    assert isinstance(again, TryAgain)
    assert 0 <= again.after_s <= 30
    spent = Bury("permission: all 1 retries used", Cause.ACCESS)
    assert decided(error(ErrorClass.PERMISSION), 1, policy) == spent
    assert decided(error(ErrorClass.SERVER), 0, policy) == Bury("server", Cause.VENDOR)
    assert decided(error(ErrorClass.RATE_LIMIT), 5, policy) == TryAgain(4.0, counts=False)
    assert steps_of(ErrorClass.NETWORK, policy) == STEPS


def test_the_usual_tiers_last_about_four_hours() -> None:
    """Three fast tries at 1, 2 and 4 seconds, then slow ones up to four hours."""
    usual = Retry()
    assert usual.fast_s == (1.0, 2.0, 4.0)
    assert 3.5 * 3600 < sum(usual.slow_s) <= 4 * 3600


def test_bad_data_and_exhausted_deliveries_are_told_apart() -> None:
    """Only what a person corrects in the record is `data`."""
    data = {error_class for error_class in ErrorClass if cause_of(error_class) is Cause.DATA}
    assert data == {
        ErrorClass.VALIDATION,
        ErrorClass.CONFLICT,
        ErrorClass.NOT_FOUND,
        ErrorClass.REFERENCE,
        ErrorClass.CLAIMED,
    }


def test_a_claimed_value_is_tried_again_for_about_a_minute() -> None:
    """It changes hands as soon as a delivery is through: never after the pauses of the slow tier."""
    steps = steps_of(ErrorClass.CLAIMED, Retry())
    assert steps[:3] == Retry().fast_s
    assert max(steps) == Retry().fast_s[-1]
    assert 30 < sum(steps) <= 60
