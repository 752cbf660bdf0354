"""Failures of a connection explained to the person who set it up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headwater.connectors.base.errors import ErrorClass, VendorError

_ADVICE: Final[Mapping[ErrorClass, str]] = {
    ErrorClass.AUTH: "connect the account again to get a new refresh token, and check client id and secret",
    ErrorClass.PERMISSION: "give the connected user or app the missing scopes or permissions",
    ErrorClass.RATE_LIMIT: "the account is busy; try again later, or give Headwater a larger share",
    ErrorClass.QUOTA: "the daily allowance is used up; wait for its reset or buy more",
    ErrorClass.NETWORK: "check the base URL, DNS, proxy and firewall",
    ErrorClass.TIMEOUT: "check proxy and firewall and the vendor's status page, then try again",
    ErrorClass.IN_DOUBT: "try again; the answer was lost on its way",
    ErrorClass.SERVER: "the vendor has a fault; see its status page and try again",
    ErrorClass.HELD: "the account's breaker is open; wait for its probe or reset it",
    ErrorClass.FORMAT: "check the base URL and the API version",
}


def explain(vendor: str, error: VendorError) -> str:
    """Return one sentence: what was refused, in the vendor's words, and what to do."""
    advice = _ADVICE.get(error.error_class, "see the vendor's message")
    status = f"HTTP {error.http_status}, " if error.http_status else ""
    return f"{vendor}: {status}{error.code}: {error.message}; what to do: {advice}"
