"""Owns what the gate must know of Dynamics 365: routes, the three limits' words, headers, and how it says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headwater.sandbox.call import HTML_TYPE, Answer, Call, match
from headwater.sandbox.dynamics import auth, batches, errors, records, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.limits import Limited, Meter

ROUTES = (*batches.ROUTES, *tables.ROUTES, *records.ROUTES, *auth.ROUTES)

_WRITES: Final = frozenset({"batch", "upsert", "upsert_multiple", "delete", "create"})
_LIMITS: Final = {
    "execution": ("0x80072321", "Combined execution time of incoming requests exceeded the limit."),
    "window": (
        "0x80072322",
        "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    ),
    "long_calls": ("0x80072326", "Number of concurrent requests exceeded the limit of 52."),
}


class Dynamics:
    """Dynamics 365 as the gate sees it."""

    open_paths = (auth.TOKEN_PATH,)
    kinds: tuple[str, ...] = ("account", "contact", "lead", "opportunity", "task")

    def meter(self, path: str) -> Meter:  # noqa: ARG002 - one set of limits for all
        """One set of limits for all calls."""
        return "general"

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the call may come in."""
        return auth.authenticate(account, call)

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in."""
        found = match(ROUTES, call.method, call.path)
        if found is None:
            return errors.problem(
                404, errors.NO_RESOURCE, f"Resource not found for the segment '{call.path}'."
            )
        way, params = found
        return way.handler(call, desk, params)

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:
        """(object, operation, record id) of a call that writes, for the arrival log."""
        found = match(ROUTES, call.method, call.path)
        if found is None or found[0].operation not in _WRITES:
            return None
        return found[1].get("set", "batch"), found[0].operation, found[1].get("key")

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:
        """Make a record that was in the CRM before anything else."""
        table = tables.tables()[kind]
        leads = tables.references_of(table)
        link = next((name for name, to in leads.items() if other and to == other[0]), "")
        bound = (
            {f"{link}@odata.bind": f"/{tables.tables()[other[0]].entity_set}({other[1]})"}
            if other and link
            else {}
        )
        return records.create(desk, table, {**values, **bound}).record_id

    def limited(self, limited: Limited, call: Call) -> Answer:
        """Dataverse's 429, with the code of the limit that was met."""
        del call
        code, words = _LIMITS.get(limited.policy, _LIMITS["window"])
        return _too_many(code, words, limited.retry_after_s)

    def storm(self, fault: Fault, call: Call) -> Answer:
        """A 429 that no count of the caller's foretold."""
        del call
        return _too_many(*_LIMITS["window"], fault.retry_after_s)

    def broken(self, fault: Fault, call: Call) -> Answer:
        """A server error in Dataverse's JSON shape."""
        del call
        answer = errors.problem(fault.status, errors.UNEXPECTED, "An unexpected error occurred.")
        wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Answer(answer.status, answer.content, wait)

    def page(self, fault: Fault) -> Answer:
        """An error page of the gateway in front of Dataverse, not of Dataverse."""
        text = f"<html><head><title>{fault.status}</title></head><body><h2>Our services aren't available</h2></body></html>\n"
        return Answer(fault.status, text, content_type=HTML_TYPE)

    def headers(self, account: Account, call: Call, meter: Meter) -> dict[str, str]:
        """What every answer carries: what is left of requests and of execution time, in seconds."""
        del meter
        limits, options, now = account.limits, account.options, call.now_ms
        told = {"OData-Version": "4.0"}
        if options.calls_max is not None:
            left = max(0, options.calls_max - limits.general.used(now))
            told["x-ms-ratelimit-burst-remaining-xrm-requests"] = str(left)
        if options.execution_ms_max is not None:
            left_ms = max(0, options.execution_ms_max - limits.execution_ms(now))
            told["x-ms-ratelimit-time-remaining-xrm-requests"] = f"{left_ms / 1000:,.2f}"
        return told


def _too_many(code: str, words: str, retry_after_s: int | None) -> Answer:
    answer = errors.problem(429, code, words)
    wait = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Answer(answer.status, answer.content, wait)
