"""Splitting refused batches: every good record gets through, every bad one is told, within a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.connectors.base import CallFailed, ErrorClass, Failed, Outcome, VendorError, Write, Written
from headwater.connectors.base.batch import Refused, check_batch, parts_of, settle

BAD = VendorError(ErrorClass.VALIDATION, "INVALID_EMAIL", "bad")


class Vendor:
    """Refuses a whole call while a bad record is in it; may or may not name it; may be silent on some."""

    def __init__(self, bad: set[int], *, names: bool, silent: frozenset[int] = frozenset()) -> None:
        self.bad, self.names, self.silent, self.calls = bad, names, silent, 0

    async def send(self, keys: Sequence[int]) -> Mapping[int, Outcome] | Refused:
        """Answer one call."""
        self.calls += 1
        faulty = [key for key in keys if key in self.bad]
        if faulty:
            return Refused(BAD, faulty[:1] if self.names else ())
        told = [key for key in keys if key not in self.silent]
        return {key: Written(str(key), created=True) for key in told}


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 39)),
    st.booleans(),
    st.frozensets(st.integers(0, 39), max_size=4),
)
def test_settle_isolates_exactly_the_bad_records(
    count: int,
    bad: set[int],
    names: bool,  # noqa: FBT001
    silent: frozenset[int],
) -> None:
    """Whatever subset is bad or unanswered, each record gets its own outcome in at most 2n - 1 calls and re-asks."""
    vendor = Vendor(bad, names=names, silent=silent)
    keys = list(range(count))
    outcomes = anyio.run(settle, [keys[: count // 2], keys[count // 2 :]], vendor.send)
    assert set(outcomes) == set(keys)
    for key, outcome in outcomes.items():
        if key in bad:
            assert outcome == Failed(BAD)
        elif key in silent:
            assert isinstance(outcome, Failed)
            assert outcome.error.error_class is ErrorClass.PARTIAL
        else:
            assert outcome == Written(str(key), created=True)
    assert vendor.calls <= 2 * count + 2 * len(silent)


def test_settle_raises_when_the_first_call_fails() -> None:
    """Nothing settled: the batch shares the error."""

    async def send(_keys: Sequence[int]) -> Mapping[int, Outcome]:
        await anyio.lowlevel.checkpoint()
        raise CallFailed(VendorError(ErrorClass.RATE_LIMIT, "HTTP_429", "slow down"))

    with pytest.raises(CallFailed):
        anyio.run(settle, [[1, 2]], send)


def test_settle_keeps_what_is_settled_when_a_later_call_fails() -> None:
    """What was written stays written, the lost call is in doubt, what was never sent is certainly not applied."""

    async def send(keys: Sequence[int]) -> Mapping[int, Outcome]:
        await anyio.lowlevel.checkpoint()
        if 2 in keys:
            raise CallFailed(VendorError(ErrorClass.IN_DOUBT, "TIMEOUT", "lost"))
        return {key: Written(str(key), created=False) for key in keys}

    outcomes = anyio.run(settle, [[1], [2], [3]], send)
    classes = [
        outcome.error.error_class if isinstance(outcome, Failed) else "written"
        for outcome in outcomes.values()
    ]
    assert classes == ["written", ErrorClass.IN_DOUBT, ErrorClass.NETWORK]


def test_settle_keeps_the_doubt_of_a_silent_answer_when_the_next_call_fails() -> None:
    """A record that an answer was silent about may have been written: a later refusal does not make it certain."""
    calls: list[Sequence[int]] = []

    async def send(keys: Sequence[int]) -> Mapping[int, Outcome]:
        await anyio.lowlevel.checkpoint()
        calls.append(keys)
        if len(calls) > 1:
            raise CallFailed(VendorError(ErrorClass.RATE_LIMIT, "HTTP_429", "slow down"))
        return {1: Written("1", created=True)}

    outcomes = anyio.run(settle, [[1, 2], [3]], send)
    classes = [outcome.error.error_class for outcome in outcomes.values() if isinstance(outcome, Failed)]
    assert (outcomes[1], classes) == (
        Written("1", created=True),
        [ErrorClass.PARTIAL, ErrorClass.RATE_LIMIT],
    )


@pytest.mark.parametrize("count", [0, 3])
def test_check_batch_refuses_a_size_outside_the_contract(count: int) -> None:
    """Chunking is the caller's job."""
    with pytest.raises(ValueError, match=r"1\.\.2"):
        check_batch([Write(str(number), "", {}) for number in range(count)], 2)


def test_check_batch_refuses_twins() -> None:
    """One external id, one write."""
    with pytest.raises(ValueError, match="same external id"):
        check_batch([Write("a", "", {}), Write("a", "1", {})], 2)


def test_parts_of_refuses_a_crm_record_claimed_twice() -> None:
    """Two entities may not overwrite one CRM record in one batch; the first keeps it."""
    writes = [Write("a", "7", {}), Write("b", "", {}), Write("c", "7", {})]
    upserts, updates, refused = parts_of(writes)
    assert (upserts, updates, list(refused)) == (["b"], ["a"], ["c"])


def test_settle_sends_nothing_twice_where_a_repeat_is_not_safe() -> None:
    """A record that the answer passes over is PARTIAL at once: asking for it is somebody else's decision."""
    calls: list[Sequence[int]] = []

    async def send(keys: Sequence[int]) -> Mapping[int, Outcome]:
        await anyio.lowlevel.checkpoint()
        calls.append(keys)
        return {1: Written("1", created=True)}

    outcomes = anyio.run(partial(settle, repeat_safe=False), [[1, 2]], send)
    assert calls == [(1, 2)]
    assert outcomes[1] == Written("1", created=True)
    assert isinstance(outcomes[2], Failed)
    assert outcomes[2].error.error_class is ErrorClass.PARTIAL
