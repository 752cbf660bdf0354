"""Rolodex in memory: cards by our reference, and a feed of changes."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import httpx

API_KEY: Final = "a-rolodex-key"
AT: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).isoformat()
"""The time of every change: only sequence numbers tell them apart."""


@dataclass
class Rolodex(httpx.AsyncBaseTransport):
    """Answers as Rolodex does."""

    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    sequence: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    effects: list[str] = field(default_factory=list)
    ticks: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("x-api-key") != API_KEY:
            return httpx.Response(403, json={"code": "forbidden"})
        raw = request.url.raw_path.decode().partition("?")[0]
        _slash, _cards, *rest = raw.split("/")
        if not rest:
            return self._changes(int(request.url.params.get("after", "0")), int(request.url.params["limit"]))
        ref = unquote(rest[0])
        if request.method == "GET":
            held = self.cards.get(ref)
            return httpx.Response(200, json={"ref": ref, "fields": held}) if held is not None else _missing()
        return self._put(ref, json.loads(await request.aread()))

    def delete(self, ref: str) -> None:
        """Delete a card, as its owner does."""
        del self.cards[ref]
        self.gone.add(ref)
        self._touch(ref)

    def _put(self, ref: str, body: dict[str, Any]) -> httpx.Response:
        fields = body["fields"]
        if fields.get("email") == "not-an-address":
            return httpx.Response(422, json={"code": "invalid", "field": "email"})
        held = self.cards.get(ref)
        if held is None and body["must_exist"]:
            return _missing()
        changed = {**(held or {}), **fields}
        self.effects.append("created" if held is None else "unchanged" if held == changed else "updated")
        self.cards[ref] = changed
        self.gone.discard(ref)
        self._touch(ref)
        return httpx.Response(201 if held is None else 200, json={"ref": ref})

    def _touch(self, ref: str) -> None:
        self.ticks += 1
        self.sequence[ref] = self.ticks

    def _changes(self, after: int, limit: int) -> httpx.Response:
        listed = sorted((seq, ref) for ref, seq in self.sequence.items() if seq > after)[:limit]
        told = [
            {"seq": seq, "ref": ref, "at": AT, "gone": ref in self.gone, "fields": self.cards.get(ref, {})}
            for seq, ref in listed
        ]
        return httpx.Response(200, json={"changes": told})


def _missing() -> httpx.Response:
    return httpx.Response(404, json={"code": "gone"})
