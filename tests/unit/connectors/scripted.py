"""A vendor that answers from a script: the process edge of connector unit tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from headwater.connectors.base import Account, Target
from headwater.connectors.base.testing import RecordingGate

Answerer = Callable[[httpx.Request], httpx.Response]

CREDENTIALS = {"client_id": "an-id", "client_secret": "a-secret-value", "refresh_token": "a-refresh-value"}
CONTACTS = Target("contact", "contacts", "headwater_id", ("email", "firstname"), ("companies",))
CONTACT = Target("contact", "Contact", "Headwater_Id__c", ("Email", "LastName"), ("AccountId",))


def an_account(
    base_url: str = "https://api.vendor.test", timeout_s: float = 5.0, **credentials: str
) -> Account:
    """Return an account with complete credentials."""
    return Account("crm", base_url, {**CREDENTIALS, **credentials}, timeout_s)


@dataclass(slots=True)
class Script(httpx.AsyncBaseTransport):
    """Answers token calls by itself and every other call by `answer`; remembers all of them."""

    answer: Answerer
    requests: list[httpx.Request] = field(default_factory=list)
    tokens: int = 0
    gate: RecordingGate = field(default_factory=RecordingGate)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.path.endswith("/token"):
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 1800})
        self.requests.append(request)
        return self.answer(request)

    def bodies(self) -> list[Any]:
        """Return the decoded bodies of all calls but those for tokens."""
        return [json.loads(request.content) for request in self.requests]


def in_turn(responses: Sequence[httpx.Response]) -> Answerer:
    """Answer call after call from *responses*."""
    waiting = iter(responses)
    return lambda _request: next(waiting)
