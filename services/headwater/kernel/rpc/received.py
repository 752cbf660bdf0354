"""From a gRPC status back to the error that it tells of: the other end of `kernel.rpc.status`. Pure."""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from headwater.kernel import errors

RETRY_AFTER_S: Final = 0.5
"""Pause where a full service names none."""


def from_rpc_error(error: grpc.RpcError) -> errors.HeadwaterError:
    """Return what *error* says, with reason, violations and pause where the service gave them."""
    code: grpc.StatusCode = error.code()
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in _status(error).details:
        for kind in (info, request, retry):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    message = str(error.details() or code.name.lower())
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return errors.InvalidInput(message, violations=_violations(request), reason=info.reason)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        pause_s = retry.retry_delay.ToMilliseconds() / 1000 or RETRY_AFTER_S
        return errors.Overloaded(message, retry_after_s=pause_s, reason=info.reason)
    kind_of_error = _ERRORS.get(code, errors.HeadwaterError)
    return kind_of_error(message, reason=info.reason, metadata=dict(info.metadata))


def retry_delay_s(error: grpc.RpcError) -> float | None:
    """Return the pause that the service asks for by RetryInfo, of whatever status; None where it names none."""
    retry = error_details_pb2.RetryInfo()
    for detail in _status(error).details:
        if detail.Is(retry.DESCRIPTOR):
            detail.Unpack(retry)
            asked_s: float = retry.retry_delay.ToMilliseconds() / 1000
            return max(0.0, asked_s)
    return None


_ERRORS: Final[dict[grpc.StatusCode, type[errors.HeadwaterError]]] = {
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.PreconditionFailed,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
}


def _status(error: Any) -> status_pb2.Status:
    """Return the rich status, an empty one where there is none or it is garbled."""
    try:
        return rpc_status.from_call(error) or status_pb2.Status()
    except ValueError:
        return status_pb2.Status()


def _violations(request: error_details_pb2.BadRequest) -> tuple[errors.FieldViolation, ...]:
    return tuple(
        errors.FieldViolation(item.field, "", item.reason, item.description)
        for item in request.field_violations
    )
