"""Owns what the gate must know of the provider: one route, its key, its limits' words, and how it says no.

POST /v1/enrich   {"object": "contact", "inputs": {"email": "..."}}   Authorization: Bearer sandbox-key-ACCOUNT
200               {"id": "...", "values": {"title": {"value": "...", "confidence": 0.9}}}
404               nobody is known by these inputs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.sandbox.call import HTML_TYPE, Answer, Call, match, route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.desk import Desk
    from headwater.sandbox.faults import Fault
    from headwater.sandbox.limits import Limited, Meter

PATH: Final = "/v1/enrich"
PEOPLE: Final = "people"
COMPANIES: Final = "companies"
_LOOKUPS: Final = {PEOPLE: ("email",), COMPANIES: ("domain", "name")}
_CONFIDENCE: Final = "confidence"


def _enrich(call: Call, desk: Desk, _params: Mapping[str, str]) -> Answer:
    try:
        asked = call.json()
    except msgspec.DecodeError:
        return _error(400, "BAD_REQUEST", "the body is not JSON")
    inputs = asked.get("inputs") if isinstance(asked, dict) else None
    if not isinstance(inputs, dict) or not inputs:
        return _error(400, "BAD_REQUEST", "inputs must be an object with at least one value")
    values: dict[str, Any] = {}
    found = ""
    for kind, record_id in _found(desk, {name: str(value) for name, value in inputs.items()}):
        record = desk.account.records.live(kind, record_id)
        fields = dict(record.fields) if record else {}
        trust = fields.pop(_CONFIDENCE, {})
        for name, value in fields.items():
            values.setdefault(name, {"value": value, "confidence": trust.get(name, 0.9)})
        found = found or f"{kind}/{record_id}"
    if not values:
        return _error(404, "NOT_FOUND", "nobody is known by these inputs")
    return Answer(200, {"id": found, "values": values})


def _found(desk: Desk, inputs: Mapping[str, str]) -> list[tuple[str, str]]:
    email = inputs.get("email", "")
    domain = inputs.get("domain") or email.rpartition("@")[2]
    places = [
        (PEOPLE, "email", email),
        (COMPANIES, "domain", domain),
        (COMPANIES, "name", inputs.get("company", "")),
    ]
    records = desk.account.records
    ids = [
        (kind, one)
        for kind, name, value in places
        if value
        for one in records.ids_with(kind, name, value)[:1]
    ]
    return list(dict.fromkeys(ids))


ROUTES = (route("POST", PATH, "enrich", _enrich),)


class Enrichment:
    """The provider as the gate sees it."""

    open_paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (PEOPLE, COMPANIES)

    def meter(self, path: str) -> Meter:  # noqa: ARG002 - one limit for all
        """One limit for all calls."""
        return "general"

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the key is the account's."""
        if call.headers.get("authorization", "") == f"Bearer sandbox-key-{account.name}":
            return None
        return _error(401, "UNAUTHORIZED", "missing or unknown key")

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in."""
        found = match(ROUTES, call.method, call.path)
        if found is None:
            return _error(404, "NO_SUCH_PAGE", "there is no such page")
        way, params = found
        return way.handler(call, desk, params)

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:  # noqa: ARG002 - nothing is written
        """No call writes."""
        return None

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:  # noqa: ARG002 - nobody is related
        """Put somebody in who is known."""
        record_id = f"{kind[:2]}_{desk.account.records.take_number()}"
        desk.insert(kind, record_id, dict(values), _LOOKUPS[kind])
        return record_id

    def limited(self, limited: Limited, call: Call) -> Answer:  # noqa: ARG002 - alike for all
        """429 beyond a limit."""
        return _too_many(limited.retry_after_s)

    def storm(self, fault: Fault, call: Call) -> Answer:  # noqa: ARG002 - alike for all
        """429 within every limit."""
        return _too_many(fault.retry_after_s)

    def broken(self, fault: Fault, call: Call) -> Answer:  # noqa: ARG002 - alike for all
        """A server error."""
        answer = _error(fault.status, "INTERNAL", "something went wrong")
        wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return Answer(answer.status, answer.content, wait)

    def page(self, fault: Fault) -> Answer:
        """A server error as a web page."""
        return Answer(
            fault.status, f"<html><body><h1>{fault.status}</h1></body></html>\n", content_type=HTML_TYPE
        )

    def headers(self, account: Account, call: Call, meter: Meter) -> dict[str, str]:  # noqa: ARG002 - none depends on them
        """What every answer carries."""
        return {"X-Request-Id": call.request_id}


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}})


def _too_many(retry_after_s: int | None) -> Answer:
    answer = _error(429, "TOO_MANY", "too many calls")
    return Answer(429, answer.content, {} if retry_after_s is None else {"Retry-After": str(retry_after_s)})
