"""What can go wrong between us and a CRM, in classes that decide what happens next.

    CallFailed      a whole HTTP call failed; carries a VendorError
    VendorError     one record or one call, as a value (not raised for single records)

Each vendor has a table from its codes to these classes; the decision per class is `sync`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a write did not happen, or may not have."""

    AUTH = "auth"
    """The token is refused even after a refresh: a person has to act."""
    PERMISSION = "permission"
    """The account may not do this."""
    RATE_LIMIT = "rate_limit"
    """Too many calls in a window; retry after a while. Not a failure of the vendor."""
    QUOTA = "quota"
    """The daily allowance is gone."""
    TIMEOUT = "timeout"
    """No answer in time to a call that cannot have changed a record: a read, a refresh, a connect."""
    NETWORK = "network"
    """The call never reached the vendor, or it was a read: connect failed, reset. Certainly not applied."""
    IN_DOUBT = "in_doubt"
    """The call was sent and its answer never came: applied or not, nobody knows yet."""
    PARTIAL = "partial"
    """The vendor answered the call but not about this record: applied or not, the answer does not say."""
    SERVER = "server"
    """The vendor answered with a fault of its own (5xx)."""
    FORMAT = "format"
    """The vendor does not understand the request: our mapping is wrong."""
    VALIDATION = "validation"
    """The record's data is refused."""
    CONFLICT = "conflict"
    """Another record of the CRM holds a unique value of this one."""
    CLAIMED = "claimed"
    """Another of our own entities holds a unique value of this one, and its record is being written: it may let go."""
    NOT_FOUND = "not_found"
    """The record we know by its CRM id is gone."""
    REFERENCE = "reference"
    """A record referred to is not there."""
    HELD = "held"
    """Our own breaker held the call back: it never started, and nobody failed."""


@dataclass(frozen=True, slots=True)
class VendorError:
    """One refusal, taken apart.

    Args:
        error_class: decides retry, park or adopt.
        code: the vendor's own code, as DUPLICATES_DETECTED.
        message: the vendor's words, at most 512 characters, without secrets.
        http_status: 0 when there was no answer.
        retry_after_s: the vendor's wish; None when it states none.
        existing_crm_id: for CONFLICT, the record that holds the value, where the vendor says so.
        existing_crm_object: the CRM's name of that record's object, where it is another than was written to.
        field: CRM field concerned, where the vendor says so.
    """

    error_class: ErrorClass
    code: str
    message: str
    http_status: int = 0
    retry_after_s: float | None = None
    existing_crm_id: str = ""
    field: str = ""
    existing_crm_object: str = ""


class CallFailed(Exception):
    """A whole call failed: every record of it shares the error."""

    def __init__(self, error: VendorError) -> None:
        super().__init__(f"{error.error_class}: {error.code}: {error.message}")
        self.error = error
