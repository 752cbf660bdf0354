"""Owns what the gate must know of HubSpot: routes, metering, headers, and how it says no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.sandbox.call import HTML_TYPE, Answer, Call, match
from headwater.sandbox.hubspot import (
    associations,
    auth,
    automations,
    batches,
    merging,
    objects,
    properties,
    search,
    writing,
)
from headwater.sandbox.hubspot.errors import ItemError, missing_page, problem
from headwater.sandbox.hubspot.kinds import KINDS, PORTAL_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.limits import Limited, Meter

ROUTES = (
    *batches.ROUTES,
    *search.ROUTES,
    *merging.ROUTES,
    *objects.ROUTES,
    *properties.ROUTES,
    *associations.ROUTES,
    *automations.ROUTES,
    *auth.ROUTES,
)

_POLICIES = {
    "window": "TEN_SECONDLY_ROLLING",
    "search": "SECONDLY",
    "daily": "DAILY",
    "long_calls": "SECONDLY",
}
_SECONDLY = 10


class HubSpot:
    """HubSpot as the gate sees it."""

    open_paths = (auth.TOKEN_PATH, auth.AUTHORIZE_PATH)
    kinds: tuple[str, ...] = tuple(KINDS)

    def meter(self, path: str) -> Meter:
        """Search has a limit of its own."""
        return "search" if path.rstrip("/").endswith("/search") else "general"

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the call may come in."""
        return auth.authenticate(account, call)

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in."""
        found = match(ROUTES, call.method, call.path)
        if found is None:
            return missing_page()
        way, params = found
        return way.handler(call, desk, params)

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:
        """(object, operation, record id) of a call that writes, for the arrival log."""
        found = match(ROUTES, call.method, call.path)
        if found is None or "kind" not in found[1] or found[0].operation in _READS:
            return None
        return found[1]["kind"], found[0].operation, found[1].get("id")

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:
        """Make a record that was in the CRM before anything else."""
        record = writing.create(desk, KINDS[kind], values)
        if isinstance(record, ItemError):
            raise TypeError(record.message)
        if other is not None:
            link = (other[0], other[1], associations.DEFAULT_TYPES[kind, other[0]])
            associations.keep(desk, KINDS[kind], record.record_id, [link])
        return record.record_id

    def limited(self, limited: Limited, call: Call) -> Answer:
        """HubSpot's 429."""
        return _too_many(_POLICIES[limited.policy], call, limited.retry_after_s)

    def storm(self, fault: Fault, call: Call) -> Answer:
        """A 429 that no count of the caller's foretold."""
        return _too_many("TEN_SECONDLY_ROLLING", call, fault.retry_after_s)

    def broken(self, fault: Fault, call: Call) -> Answer:
        """A server error in HubSpot's JSON shape."""
        answer = problem(call.request_id, ItemError(fault.status, "INTERNAL_ERROR", "internal error"))
        wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Answer(answer.status, answer.content, wait)

    def page(self, fault: Fault) -> Answer:
        """An error page of the network in front of HubSpot, not of HubSpot."""
        text = f"<html>\n<head><title>{fault.status}</title></head>\n<body><center><h1>{fault.status}</h1></center>"
        return Answer(
            fault.status, f"{text}\n<hr><center>cloudflare</center></body>\n</html>\n", content_type=HTML_TYPE
        )

    def headers(self, account: Account, call: Call, meter: Meter) -> dict[str, str]:
        """What every answer carries; search answers tell the daily count only (seen in the recordings)."""
        limits, options, now = account.limits, account.options, call.now_ms
        told = {
            "X-HubSpot-Correlation-Id": call.request_id,
            "X-HubSpot-RateLimit-Daily": str(options.calls_daily_max),
            "X-HubSpot-RateLimit-Daily-Remaining": str(
                max(0, options.calls_daily_max - limits.day_used(now))
            ),
        }
        if meter != "general" or options.calls_max is None:
            return told
        return {
            **told,
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(options.calls_window_ms),
            "X-HubSpot-RateLimit-Max": str(options.calls_max),
            "X-HubSpot-RateLimit-Remaining": str(max(0, options.calls_max - limits.general.used(now))),
            "X-HubSpot-RateLimit-Secondly": str(_SECONDLY),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(max(0, _SECONDLY - limits.second.used(now))),
        }


_READS = {
    "list",
    "get",
    "search",
    "batch_read",
    "properties",
    "property",
    "property_create",
    "associations_read",
    "schema",
}


def _too_many(policy: str, call: Call, retry_after_s: int | None) -> Answer:
    content = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": call.request_id,
        "policyName": policy,
        "groupName": f"publicapi:private-app:api-calls-{policy.lower()}:{PORTAL_ID}",
    }
    return Answer(429, content, {} if retry_after_s is None else {"Retry-After": str(retry_after_s)})
