"""Exchanges with a real BottleCRM: recorded once by `make record-realcrm`, answered from the file ever after.

A request of ours must be one that was recorded, byte for byte but for JSON's white space. Left out of the answers are
BottleCRM's catalogues (countries, currencies, ...), which nobody here reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

FILE: Final = Path(__file__).parent / "exchanges.json"
_CATALOGUES: Final = frozenset(
    {"countries", "industries", "users", "tags", "currency", "lead_source", "stage", "status", "source", "teams", "org",
     "contact_obj_list", "custom_field_definitions", "users_mention", "rollups", "created_by", "user", "priority",
     "humanized_time", "created_on_arrow", "timezones"}
)  # fmt: skip


class Exchange(msgspec.Struct, frozen=True):
    """One call and what came back.

    Args:
        caller: which of the script's connectors it was.
        answer: the decoded JSON.
    """

    caller: str
    method: str
    target: str
    sent: Any
    status: int
    answer: Any


@dataclass(slots=True)
class Recording(httpx.AsyncBaseTransport):
    """Passes calls on and keeps what was said."""

    caller: str
    inner: httpx.AsyncBaseTransport
    exchanges: list[Exchange]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = await request.aread()
        answer = await self.inner.handle_async_request(request)
        body = await answer.aread()
        self.exchanges.append(
            Exchange(
                self.caller, request.method, _target(request), msgspec.json.decode(sent) if sent else None,
                answer.status_code, _trimmed(msgspec.json.decode(body)),
            )
        )  # fmt: skip
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass(slots=True)
class Replay(httpx.AsyncBaseTransport):
    """Answers recorded requests; calls that never were are refused by an error that names them."""

    caller: str
    left: dict[bytes, list[Exchange]]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = await request.aread()
        key = _key(self.caller, request.method, _target(request), msgspec.json.decode(sent) if sent else None)
        if not self.left.get(key):
            raise AssertionError(f"never recorded: {key.decode()}")
        exchange = self.left[key].pop(0)
        return httpx.Response(exchange.status, json=exchange.answer)


@dataclass(slots=True)
class Tape:
    """All that was recorded, by request."""

    left: dict[bytes, list[Exchange]] = field(default_factory=lambda: defaultdict(list))

    @staticmethod
    def read() -> Tape:
        """Return what the file holds."""
        tape = Tape()
        for one in msgspec.json.decode(FILE.read_bytes(), type=list[Exchange]):
            tape.left[_key(one.caller, one.method, one.target, one.sent)].append(one)
        return tape

    def transport(self, caller: str) -> Replay:
        """Return a transport for one of the script's connectors."""
        return Replay(caller, self.left)

    @property
    def unused(self) -> list[str]:
        """Requests that were recorded and are not sent any more."""
        return [key.decode() for key, rest in self.left.items() for _ in rest]


def write(exchanges: list[Exchange]) -> None:
    """Write the file."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(exchanges), indent=1) + b"\n")


def _target(request: httpx.Request) -> str:
    return request.url.raw_path.decode("ascii")


def _key(caller: str, method: str, target: str, sent: Any) -> bytes:
    return msgspec.json.encode([caller, method, target, sent], order="deterministic")


def _trimmed(value: Any, *, record: bool = False) -> Any:
    """Return an answer without catalogues; a record's own fields of such names stay where they are plain values."""
    if isinstance(value, list):
        return [_trimmed(one, record=True) for one in value]
    if not isinstance(value, Mapping):
        return value
    own = record or "id" in value
    return {
        name: _trimmed(inner, record=False)
        for name, inner in value.items()
        if name not in _CATALOGUES or (own and not isinstance(inner, list | dict))
    }
