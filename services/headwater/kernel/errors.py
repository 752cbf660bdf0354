"""The root of every error that crosses a room, with what a caller may do about it.

    HeadwaterError
    ├── InvalidInput        the caller must change the request      INVALID_ARGUMENT
    ├── NotFound            no such thing                           NOT_FOUND
    ├── Conflict            it exists with another content          ALREADY_EXISTS
    ├── PreconditionFailed  the state does not allow it             FAILED_PRECONDITION
    ├── Overloaded          full; come back after a while           RESOURCE_EXHAUSTED
    ├── Unavailable         not now; safe to send again             UNAVAILABLE
    ├── Unauthenticated     no credential, or one that is no good   UNAUTHENTICATED
    ├── PermissionDenied    the credential is not for this          PERMISSION_DENIED
    ├── StartRefused        the process must not start as it stands (exit code 78)
    ├── EndIncomplete       the end left work behind that its callers were told of (exit code 75)
    └── CrashLoop           a process dies again and again (exit code 70)

One table maps the leaves to gRPC codes (`kernel.rpc.status`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of one field, as the wire contract's `Violation`."""

    field: str
    value: str
    rule: str
    description: str


class HeadwaterError(Exception):
    """Something a caller or an operator should know.

    Args:
        message: one sentence for people, naming field, value and rule where there are any.
        reason: UPPER_SNAKE_CASE for machines, stable.
        metadata: further facts for machines; never secrets.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str = "", metadata: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = metadata or {}

    @property
    def runbook(self) -> str:
        """The command that shows what to do about errors of its class; a leaf of a service shares its root's page."""
        kind = next(one for one in type(self).__mro__ if one.__module__ == __name__)
        return f"headwater runbook {kind.default_reason}"  # type: ignore[attr-defined]


class InvalidInput(HeadwaterError):
    """The request is malformed; *violations* name every field."""

    default_reason = "MALFORMED"

    def __init__(
        self, message: str, *, violations: tuple[FieldViolation, ...] = (), reason: str = ""
    ) -> None:
        super().__init__(message, reason=reason)
        self.violations = violations


class NotFound(HeadwaterError):
    """No such thing."""

    default_reason = "NOT_FOUND"


class Conflict(HeadwaterError):
    """It exists already, with another content."""

    default_reason = "CONFLICT"


class PreconditionFailed(HeadwaterError):
    """The state does not allow it; retrying alone will not help."""

    default_reason = "PRECONDITION_FAILED"


class Overloaded(HeadwaterError):
    """Full; the caller should come back after *retry_after_s*.

    Args:
        quota_subject: whose share is used up, as a tenant; empty when the whole is full.
    """

    default_reason = "OVERLOADED"

    def __init__(
        self, message: str, *, retry_after_s: float, reason: str = "", quota_subject: str = ""
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s
        self.quota_subject = quota_subject


class Unavailable(HeadwaterError):
    """Not now; sending the same again is safe."""

    default_reason = "UNAVAILABLE"


class Unauthenticated(HeadwaterError):
    """Nobody that is known calls: no credential, or one that is no good."""

    default_reason = "UNAUTHENTICATED"


class PermissionDenied(HeadwaterError):
    """Whoever calls may not do this."""

    default_reason = "PERMISSION_DENIED"


class StartRefused(HeadwaterError):
    """The process must not start as things stand; an operator has to act."""

    default_reason = "START_REFUSED"
    exit_code: ClassVar[int] = 78
    """EX_CONFIG of sysexits.h."""


class EndIncomplete(HeadwaterError):
    """The process ended without finishing what was under way; whoever waited for it was told."""

    default_reason = "END_INCOMPLETE"
    exit_code: ClassVar[int] = 75
    """EX_TEMPFAIL of sysexits.h."""


class CrashLoop(HeadwaterError):
    """A process that is kept running dies again and again."""

    default_reason = "CRASH_LOOP"
    exit_code: ClassVar[int] = 70
    """EX_SOFTWARE of sysexits.h."""
