"""From errors to gRPC statuses: one table, applied in one place (`kernel.rpc.handling`).

Every error carries `google.rpc.Status` with `ErrorInfo{reason, domain, metadata}`, plus
`BadRequest` for violations and `RetryInfo` for overload. Unexpected errors become INTERNAL with
a correlation id only: their text stays in the log.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from headwater.kernel import errors

DOMAIN: Final = "headwater"
"""`ErrorInfo.domain` of every error of ours."""

TEXT_BYTES_MAX: Final = 700
"""Of the message of a status, and of each text in its details."""
DETAILS_BYTES_MAX: Final = 2_500
"""Of the violations in a status. gRPC refuses an answer whose metadata is above 8 KiB by default, and a status
holds its message three times: percent-encoded, and in base64 with its details."""

_log = logging.getLogger(__name__)

_CODES: Final[tuple[tuple[type[errors.HeadwaterError], int], ...]] = (
    (errors.InvalidInput, code_pb2.INVALID_ARGUMENT),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.Conflict, code_pb2.ALREADY_EXISTS),
    (errors.PreconditionFailed, code_pb2.FAILED_PRECONDITION),
    (errors.Overloaded, code_pb2.RESOURCE_EXHAUSTED),
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied, code_pb2.PERMISSION_DENIED),
)


def to_status(error: Exception) -> status_pb2.Status:
    """Return the status that tells a caller of *error*; INTERNAL for what is not ours."""
    if not isinstance(error, errors.HeadwaterError):
        return _internal(error)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.INTERNAL)
    told = {"runbook": error.runbook, **error.metadata}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=told)
    details = [_pack(info)]
    if isinstance(error, errors.InvalidInput) and error.violations:
        details.append(_pack(_bad_request(error.violations)))
    if isinstance(error, errors.Overloaded):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(1, int(error.retry_after_s * 1000)))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
        if error.quota_subject:
            broken = error_details_pb2.QuotaFailure.Violation(
                subject=f"tenant:{error.quota_subject}", description=_shortened(error.message)
            )
            details.append(_pack(error_details_pb2.QuotaFailure(violations=[broken])))
    return status_pb2.Status(code=code, message=_shortened(error.message), details=details)


def _internal(error: Exception) -> status_pb2.Status:
    correlation_id = str(uuid.uuid4())
    _log.error("unexpected error", exc_info=error, extra={"fields": {"correlation_id": correlation_id}})
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"correlation_id": correlation_id}
    )
    message = f"internal error, correlation id {correlation_id}"
    return status_pb2.Status(code=code_pb2.INTERNAL, message=message, details=[_pack(info)])


def _bad_request(violations: tuple[errors.FieldViolation, ...]) -> error_details_pb2.BadRequest:
    """Return the violations, as many as fit: of a status that is too large the caller would see nothing at all."""
    told = error_details_pb2.BadRequest()
    for number, item in enumerate(violations):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_shortened(item.field),
            description=_shortened(f"{item.description} (value: {item.value!r}, rule: {item.rule})"),
            reason=item.rule.upper().replace(".", "_"),
        )
        if told.ByteSize() + violation.ByteSize() > DETAILS_BYTES_MAX:
            told.field_violations.add(description=f"and {len(violations) - number} more", reason="MORE")
            break
        told.field_violations.append(violation)
    return told


def _shortened(text: str) -> str:
    """Return *text* cut to what a status may hold; percent-encoding may treble it on the wire."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= TEXT_BYTES_MAX else raw[:TEXT_BYTES_MAX].decode("utf-8", "ignore") + "…"


def _pack(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def abort_with(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End the call of *context* with the status of *error*."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
