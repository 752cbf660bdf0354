"""Owns the values that pass between the gate and the vendors: a call, an answer, a route. No I/O, no vendor rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from headwater.sandbox.desk import Desk

JSON_TYPE = "application/json;charset=utf-8"
HTML_TYPE = "text/html;charset=iso-8859-1"

Doomed = Callable[[int], frozenset[int]]
"""Given the number of items in a batch, the positions that an active `partial` fault makes fail."""


def _nobody(_items: int) -> frozenset[int]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to one account, read whole."""

    vendor: str
    account: str
    number: int
    request_id: str
    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    now_ms: int
    doomed: Doomed = _nobody

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context header exactly as it came."""
        return self.headers.get("traceparent")

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def params(self, name: str) -> tuple[str, ...]:
        """Every value of a query parameter, repeated or separated by commas."""
        joined = (value.split(",") for key, value in self.query if key == name)
        return tuple(part.strip() for parts in joined for part in parts if part.strip())

    def json(self) -> Any:
        """The decoded body; an empty one is an empty object.

        Raises:
            msgspec.DecodeError: the body is not JSON.
        """
        return msgspec.json.decode(self.body) if self.body.strip() else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor says to a call; `content` is encoded as JSON unless it is text."""

    status: int
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    @property
    def body(self) -> bytes:
        """The bytes on the wire."""
        if self.content is None:
            return b""
        if isinstance(self.content, str):
            return self.content.encode()
        return msgspec.json.encode(self.content)


class Refusal(Exception):
    """The vendor refuses the whole request: nothing of it is kept."""

    def __init__(self, answer: Answer, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason


Handler = Callable[[Call, "Desk", Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path pattern with named groups, and who answers."""

    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Handler


def route(method: str, template: str, operation: str, handler: Handler) -> Route:
    """A route from a template such as `/crm/v3/objects/{kind}/{id}`; a name stands for one path segment."""
    expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
    return Route(method, re.compile(f"^{expression}/?$"), operation, handler)


def match(routes: Sequence[Route], method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The first route for this method and path with the values of its names."""
    for candidate in routes:
        if candidate.method == method and (found := candidate.pattern.match(path)):
            return candidate, found.groupdict()
    return None
