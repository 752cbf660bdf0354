"""Which failures are worth another try, when, and how many a client may make. Pure.

Source: gRPC status codes (grpc.io/docs/guides/status-codes), google.rpc.RetryInfo, AIP-194. Recording is idempotent,
so every failure that may pass is tried again, DEADLINE_EXCEEDED too. The channel's own retries are off: two layers
that retry multiply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc

from headwater.client.settings import RetryAllowance
from headwater.kernel.errors import HeadwaterError, Overloaded, Unavailable
from headwater.kernel.rpc.received import from_rpc_error, retry_delay_s

_PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
_BROKEN: Final = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""Codes of a stream that broke under us (reset, proxy, server gone); the same is safe to send again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed try.

    Args:
        error: what to raise when it is the last.
        passing: whether another try can help.
        least_s: the pause that the service asked for.
    """

    error: HeadwaterError
    passing: bool
    least_s: float = 0.0


def unary_fault(error: grpc.RpcError) -> Fault:
    """Judge a failed call."""
    fault = from_rpc_error(error)
    code: grpc.StatusCode = error.code()
    asked_s = retry_delay_s(error)
    if asked_s is None:
        asked_s = fault.retry_after_s if isinstance(fault, Overloaded) else 0.0
    return Fault(fault, code in _PASSING, asked_s)


def stream_fault(error: grpc.RpcError) -> Fault:
    """Judge a broken stream: as a call, and a connection that broke is no verdict on what was sent."""
    judged = unary_fault(error)
    ours = "correlation_id" in judged.error.metadata  # the service itself failed: the same would fail again
    if error.code() in _BROKEN and not ours:
        return Fault(Unavailable(judged.error.message, reason="STREAM_BROKEN"), passing=True)
    return judged


class RetryBudget:
    """Paces the tries again of all callers of one client together, so that a fleet does not amplify an outage.

    A token bucket that may be overdrawn: who finds it empty waits for his turn instead of failing.
    """

    def __init__(self, allowance: RetryAllowance) -> None:
        self._allowance = allowance
        self._tokens = allowance.reserve
        self._time: float | None = None

    def called(self) -> None:
        """Note a call that is not a try again."""
        self._tokens = min(self._allowance.reserve, self._tokens + self._allowance.share)

    def draw(self, now: float, patience_s: float) -> float | None:
        """Return how long to wait for a try again to be allowed; None, and nothing drawn, beyond *patience_s*."""
        elapsed_s = 0.0 if self._time is None else max(0.0, now - self._time)
        self._time = now
        self._tokens = min(self._allowance.reserve, self._tokens + elapsed_s * self._allowance.per_s)
        wait_s = max(0.0, 1.0 - self._tokens) / self._allowance.per_s
        if wait_s > patience_s:
            return None
        self._tokens -= 1.0
        return wait_s
