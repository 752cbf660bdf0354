"""A loopback proxy before BottleCRM that is busy now and then, and loses answers: what BottleCRM itself does not do.

Refused calls never reach BottleCRM; lost answers do, and their connection is cut without a word. While BottleCRM is down
the proxy answers 502, as gateways do. Knows no connector.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from tests.load.ingest.ground import free_port

HEAD_BYTES_MAX: Final = 65_536
CALL_S: Final = 60.0
_KEPT: Final = frozenset({"authorization", "content-type", "accept", "traceparent", "tracestate"})


@dataclass(slots=True)
class Proxy:
    """What passes and what is broken.

    Args:
        busy_every: every how many calls one is answered by 429, in turns with Retry-After and without; 0: none.
        lose: for each, "METHOD /path" of a call and which of those loses its answer, counted from 1.
    """

    upstream: str
    busy_every: int = 0
    lose: Sequence[tuple[str, int]] = ()
    port: int = field(default_factory=free_port)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def writes(self) -> int:
        """How many writes reached BottleCRM."""
        return sum(
            count for name, count in self.counts.items() if name.startswith(("POST ", "PATCH ", "DELETE "))
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listen for as long as the block runs."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=self.upstream, timeout=CALL_S, limits=limits) as upstream:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    while await self._exchange(reader, writer, upstream):
                        pass
                except (asyncio.IncompleteReadError, ConnectionError):
                    pass  # the connector hung up
                finally:
                    writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", self.port, limit=HEAD_BYTES_MAX)
            try:
                yield self
            finally:
                server.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: httpx.AsyncClient
    ) -> bool:
        """Answer one call; False when the connection is to be cut."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _version = head[0].split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.counts["calls"] += 1
        if self.busy_every and self.counts["calls"] % self.busy_every == 0:
            self.counts["429"] += 1
            wish = "Retry-After: 1\r\n" if self.counts["429"] % 2 else ""
            await _send(writer, 429, wish, b'{"detail":"Request was throttled."}')
            return True
        call = f"{method} {target.partition('?')[0]}"
        try:
            kept = {name: value for name, value in headers.items() if name in _KEPT}
            answer = await upstream.request(method, target, headers=kept, content=body)
        except httpx.TransportError:
            self.counts["502"] += 1
            await _send(writer, 502, "", b"<html><body>Bad Gateway</body></html>", "text/html")
            return True
        self.counts[call] += 1
        if (call, self.counts[call]) in self.lose:
            self.counts["lost"] += 1
            return False
        wish = f"Retry-After: {answer.headers['retry-after']}\r\n" if "retry-after" in answer.headers else ""
        await _send(writer, answer.status_code, wish, answer.content, answer.headers.get("content-type", ""))
        return True


async def _send(
    writer: asyncio.StreamWriter, status: int, more: str, body: bytes, kind: str = "application/json"
) -> None:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
