"""Owns what the gate must know of Pipedrive: routes, what calls cost, headers, and how it says no."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from headwater.sandbox.call import HTML_TYPE, Answer, Call, match
from headwater.sandbox.pipedrive import auth, fields, items
from headwater.sandbox.pipedrive.errors import missing_route, problem
from headwater.sandbox.pipedrive.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.limits import Limited, Meter

ROUTES = (*fields.ROUTES, *items.ROUTES, *auth.ROUTES)

_COSTS: Final = {
    "create": 5,
    "update": 5,
    "field_create": 5,
    "delete": 3,
    "get": 1,
    "me": 2,
    "list": 10,
    "fields": 10,
    "search": 20,
    "recents": 20,
}
"""Tokens of each operation: `x-token-cost` of Pipedrive's own contracts of v1 and v2."""
_WRITES: Final = frozenset({"create", "update", "delete"})


class Pipedrive:
    """Pipedrive as the gate sees it."""

    open_paths = (auth.TOKEN_PATH, auth.AUTHORIZE_PATH)
    kinds: tuple[str, ...] = tuple(KINDS)

    def meter(self, path: str) -> Meter:
        """Search has a limit of its own."""
        return "search" if re.search(r"/itemSearch\b|/search$", path) else "general"

    def cost(self, call: Call) -> int:
        """What a call takes of the day's tokens."""
        found = match(ROUTES, call.method, call.path)
        return 1 if found is None else _COSTS.get(found[0].operation, 0)

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the call may come in."""
        return auth.authenticate(account, call)

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in."""
        found = match(ROUTES, call.method, call.path)
        if found is None:
            return missing_route()
        way, params = found
        return way.handler(call, desk, params)

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:
        """(object, operation, record id) of a call that writes, for the arrival log."""
        found = match(ROUTES, call.method, call.path)
        if found is None or found[0].operation not in _WRITES:
            return None
        return found[1]["kind"], found[0].operation, found[1].get("id")

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:
        """Make a record that was in the CRM before anything else."""
        link = next((name for name, to in KINDS[kind].links.items() if other and to == other[0]), "")
        linked = {link: int(other[1])} if other and link else {}
        return items.create(desk, KINDS[kind], {**values, **linked}).record_id

    def limited(self, limited: Limited, call: Call) -> Answer:
        """Pipedrive's 429; a spent day is told by its header."""
        del call
        return _too_many(limited.retry_after_s)

    def storm(self, fault: Fault, call: Call) -> Answer:
        """A 429 that no count of the caller's foretold."""
        del call
        return _too_many(fault.retry_after_s)

    def broken(self, fault: Fault, call: Call) -> Answer:
        """A server error in Pipedrive's JSON shape."""
        del call
        answer = problem(fault.status, "Internal server error")
        wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Answer(answer.status, answer.content, wait)

    def page(self, fault: Fault) -> Answer:
        """An error page of the network in front of Pipedrive, not of Pipedrive."""
        text = f"<html><head><title>{fault.status}</title></head><body><h1>Error {fault.status}</h1></body></html>\n"
        return Answer(fault.status, text, content_type=HTML_TYPE)

    def headers(self, account: Account, call: Call, meter: Meter) -> dict[str, str]:
        """What every answer carries: the window in calls, the day in tokens."""
        limits, options, now = account.limits, account.options, call.now_ms
        left = max(0, options.calls_daily_max - limits.day_used(now))
        told = {
            "x-daily-ratelimit-token-limit": str(options.calls_daily_max),
            "x-daily-ratelimit-token-remaining": str(left),
        }
        most = options.search_calls_max if meter == "search" else options.calls_max
        if most is None:
            return told
        used = (limits.search if meter == "search" else limits.general).used(now)
        return {**told, "x-ratelimit-limit": str(most), "x-ratelimit-remaining": str(max(0, most - used))}


def _too_many(retry_after_s: int | None) -> Answer:
    answer = problem(429, "request over limit")
    wait = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Answer(answer.status, answer.content, wait)
