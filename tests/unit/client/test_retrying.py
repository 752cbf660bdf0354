"""Which failures are tried again, and how fast a client may do so."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from headwater.client.retrying import RetryBudget, stream_fault, unary_fault
from headwater.client.settings import RetryAllowance
from headwater.kernel.errors import Unavailable

Code = grpc.StatusCode


def _error(code: grpc.StatusCode, *details: object) -> grpc.aio.AioRpcError:
    packed = []
    for detail in details:
        one = any_pb2.Any()
        one.Pack(detail)  # type: ignore[arg-type]
        packed.append(one)
    status = status_pb2.Status(code=code.value[0], message="m", details=packed)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, "m")


def _asks_for(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(seconds * 1_000))
    return error_details_pb2.RetryInfo(retry_delay=delay)


@pytest.mark.parametrize(
    ("code", "unary", "stream"),
    [
        (Code.UNAVAILABLE, True, True),
        (Code.RESOURCE_EXHAUSTED, True, True),
        (Code.DEADLINE_EXCEEDED, True, True),
        (Code.CANCELLED, False, True),
        (Code.UNKNOWN, False, True),
        (Code.INTERNAL, False, True),
        (Code.INVALID_ARGUMENT, False, False),
        (Code.ALREADY_EXISTS, False, False),
        (Code.FAILED_PRECONDITION, False, False),
        (Code.PERMISSION_DENIED, False, False),
        (Code.UNAUTHENTICATED, False, False),
        (Code.NOT_FOUND, False, False),
        (Code.OUT_OF_RANGE, False, False),
        (Code.DATA_LOSS, False, False),
        (Code.UNIMPLEMENTED, False, False),
    ],
)
def test_only_what_may_pass_is_tried_again(code: grpc.StatusCode, *, unary: bool, stream: bool) -> None:
    """The table; a stream also breaks without a verdict."""
    assert unary_fault(_error(code)).passing is unary
    assert stream_fault(_error(code)).passing is stream


def test_a_services_own_failure_is_not_taken_for_a_broken_connection() -> None:
    """INTERNAL with a correlation id: the same would fail again."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", metadata={"correlation_id": "c"})
    assert not stream_fault(_error(Code.INTERNAL, info)).passing


@pytest.mark.parametrize("asked_s", [0.0, 0.25, 60.0])
@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_retry_info_is_the_floor_of_the_pause(code: grpc.StatusCode, asked_s: float) -> None:
    """Of every status that carries it, none included."""
    assert unary_fault(_error(code, _asks_for(asked_s))).least_s == asked_s


def test_a_full_service_that_names_no_pause_gets_half_a_second() -> None:
    """Rather than a hammering."""
    assert unary_fault(_error(Code.RESOURCE_EXHAUSTED)).least_s == 0.5
    assert unary_fault(_error(Code.UNAVAILABLE)).least_s == 0.0


def test_a_broken_stream_says_so() -> None:
    """As something that may be sent again."""
    fault = stream_fault(_error(Code.INTERNAL))
    assert isinstance(fault.error, Unavailable)
    assert fault.error.reason == "STREAM_BROKEN"


@given(
    draws=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200),
    per_s=st.floats(1.0, 50.0),
    reserve=st.integers(1, 20),
)
def test_tries_again_stay_within_the_allowance(draws: list[float], per_s: float, reserve: int) -> None:
    """In any time: the reserve, and so many a second, whoever asks."""
    budget = RetryBudget(RetryAllowance(share=0.0, reserve=float(reserve), per_s=per_s))
    now, turns = 0.0, []
    for elapsed_s in draws:
        now += elapsed_s
        wait_s = budget.draw(now, 1e9)
        assert wait_s is not None
        turns.append(now + wait_s)
    turns.sort()
    assert all(number + 1 <= reserve + per_s * turn + 1e-6 for number, turn in enumerate(turns))


def test_a_turn_that_would_come_too_late_is_not_taken() -> None:
    """Who gives up leaves the allowance to others."""
    budget = RetryBudget(RetryAllowance(share=0.0, reserve=1.0, per_s=1.0))
    assert budget.draw(0.0, 10.0) == 0.0
    assert budget.draw(0.0, 0.5) is None
    assert budget.draw(0.0, 10.0) == 1.0


def test_calls_earn_tries_again() -> None:
    """A busy client may retry a share of what it does."""
    budget = RetryBudget(RetryAllowance(share=0.5, reserve=2.0, per_s=0.001))
    assert [budget.draw(0.0, 1.0) for _ in range(3)] == [0.0, 0.0, None]
    budget.called()
    budget.called()
    assert budget.draw(0.0, 1.0) == 0.0
