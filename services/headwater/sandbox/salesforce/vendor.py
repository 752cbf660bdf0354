"""Owns what the gate must know of Salesforce: routes, metering, headers, and how it says no."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.sandbox.call import Answer, Call, match
from headwater.sandbox.salesforce import (
    auth,
    bulk,
    collections,
    composite,
    describe,
    query,
    rows,
    setup,
    soap,
    sobjects,
)
from headwater.sandbox.salesforce.bulk_work import BulkWorker
from headwater.sandbox.salesforce.errors import RowError, nothing_there, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.fleet import Fleet
    from headwater.sandbox.limits import Limited, Meter

_KINDS = ("Account", "Contact", "Lead", "Opportunity", "Task", "Event")
_REFERENCE = {"Contact": "AccountId", "Opportunity": "AccountId", "Task": "WhatId", "Event": "WhatId"}
_WRITES = {
    "create",
    "update",
    "delete",
    "upsert",
    "collection_create",
    "collection_update",
    "collection_delete",
    "collection_upsert",
    "composite",
    "soap",
    "bulk_open",
    "bulk_upload",
    "bulk_turn",
}


def _dispatch(call: Call, desk: Desk) -> Answer:
    """Answer an inner call; any route but composite itself."""
    found = match(_INNER, call.method, call.path)
    if found is None:
        return nothing_there()
    way, params = found
    return way.handler(call, replace(desk, operation=way.operation), params)


_INNER = (*collections.ROUTES, *query.ROUTES, *setup.ROUTES, *describe.ROUTES, *sobjects.ROUTES)
ROUTES = (*composite.routes(_dispatch), *_INNER, *soap.ROUTES, *bulk.ROUTES, *auth.ROUTES)


class Salesforce:
    """Salesforce as the gate sees it."""

    open_paths = (auth.TOKEN_PATH, auth.AUTHORIZE_PATH)
    kinds: tuple[str, ...] = _KINDS

    def __init__(self) -> None:
        self._bulk = BulkWorker()

    def work(self, fleet: Fleet) -> bool:
        """Work off the next rows of bulk jobs."""
        return self._bulk.work(fleet)

    def bytes_max(self, path: str) -> int | None:
        """Uploads of bulk jobs are larger than any other body."""
        return bulk.UPLOAD_BYTES_MAX if path.rstrip("/").endswith("/batches") else None

    def meter(self, path: str) -> Meter:
        """Every call counts alike; the list of versions is open and free."""
        return "none" if path.rstrip("/") == "/services/data" else "general"

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the call may come in."""
        if self.meter(call.path) == "none":
            return None
        return auth.authenticate(account, call)

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in."""
        found = match(ROUTES, call.method, call.path)
        if found is None:
            return nothing_there()
        way, params = found
        return way.handler(call, desk, params)

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:
        """(object, operation, record id) of a call that writes, for the arrival log."""
        found = match(ROUTES, call.method, call.path)
        if found is None or found[0].operation not in _WRITES:
            return None
        return found[1].get("kind", ""), found[0].operation, found[1].get("id")

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:
        """Make a record that was in the CRM before anything else."""
        link = {} if other is None else {_REFERENCE[kind]: other[1]}
        record = rows.insert(desk, describe.sobjects()[kind], {**values, **link})
        if isinstance(record, RowError):
            raise TypeError(record.message)
        return record.record_id

    def limited(self, limited: Limited, _call: Call) -> Answer:
        """Salesforce's 403."""
        return _exceeded(
            "TotalRequests" if limited.policy == "daily" else "ConcurrentRequests (Concurrent API Requests)"
        )

    def storm(self, fault: Fault, _call: Call) -> Answer:
        """Salesforce knows no 429: a storm is its refusal for too many concurrent calls."""
        answer = _exceeded("ConcurrentRequests (Concurrent API Requests)")
        return answer if fault.retry_after_s is None else replace(answer, headers=_wait(fault))

    def broken(self, fault: Fault, _call: Call) -> Answer:
        """A server error in Salesforce's JSON shape."""
        error = RowError("UNKNOWN_EXCEPTION", "An unexpected error occurred.", (), fault.status)
        if fault.status == 503:  # noqa: PLR2004 - Service Unavailable
            error = RowError("SERVER_UNAVAILABLE", "The server is currently unavailable.", (), fault.status)
        return replace(problem(error), headers=_wait(fault))

    def page(self, fault: Fault) -> Answer:
        """The maintenance page in front of an instance."""
        text = f"<html><head><title>Down for Maintenance</title></head><body><h1>{fault.status}</h1></body></html>\n"
        return Answer(fault.status, text, content_type="text/html;charset=UTF-8")

    def headers(self, account: Account, call: Call, _meter: Meter) -> dict[str, str]:
        """What every answer carries."""
        used, most = account.limits.day_used(call.now_ms), account.options.calls_daily_max
        return {"Sforce-Limit-Info": f"api-usage={used}/{most}"}


def _wait(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}


def _exceeded(what: str) -> Answer:
    return problem(RowError("REQUEST_LIMIT_EXCEEDED", f"{what} Limit exceeded.", (), 403))
