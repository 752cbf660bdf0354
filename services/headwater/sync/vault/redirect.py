"""The loopback listener that an authorization server sends a browser back to: one path, one answer, bounded.

Source: RFC 8252, 7.3. Anything but the redirect (a favicon, a scan) is answered 404 and waited past.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from headwater.kernel.errors import StartRefused

CALLBACK_PATH: Final = "/callback"
REQUEST_BYTES_MAX: Final = 16_384
REQUEST_S_MAX: Final = 10.0
CALLERS_MAX: Final = 16

_DONE: Final = "Headwater has the answer. You can close this page and go back to the terminal."


class Redirect:
    """A listener on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._url = ""
        self._came = anyio.Event()
        self._callers = anyio.CapacityLimiter(CALLERS_MAX)

    @property
    def uri(self) -> str:
        """Return where browsers are to be sent."""
        return f"http://127.0.0.1:{self.port}{CALLBACK_PATH}"

    async def wait(self, state: str) -> str:
        """Return the URL that a browser was sent to with *state*; others are not ours and are waited past."""
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            if state in parse_qs(urlsplit(self._url).query).get("state", ()):
                return self._url

    async def answer(self, stream: SocketStream) -> None:
        """Answer one caller."""
        async with stream, self._callers:
            with anyio.move_on_after(REQUEST_S_MAX):
                target = await _target(stream)
                found = urlsplit(target).path == CALLBACK_PATH
                await stream.send(
                    _page("200 OK", _DONE) if found else _page("404 Not Found", "Nothing here.")
                )
                if found:
                    self._url = f"http://127.0.0.1:{self.port}{target}"
                    self._came.set()


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Redirect]:
    """Listen while the block runs.

    Args:
        port: 0 for any free one.

    Raises:
        StartRefused: the port is taken.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    except OSError as error:
        raise StartRefused(f"port {port} for the redirect cannot be listened on: {error}") from error
    redirect = Redirect(listener.extra(SocketAttribute.local_port))  # noqa: S610 - anyio's, not Django's
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, redirect.answer)
        yield redirect
        tasks.cancel_scope.cancel()


async def _target(stream: SocketStream) -> str:
    """Return the request's target; "" for what is no GET."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < REQUEST_BYTES_MAX:
        try:
            head += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            break
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return parts[1] if len(parts) == 3 and parts[0] == "GET" else ""  # noqa: PLR2004 - RFC 9112, 3


def _page(status: str, text: str) -> bytes:
    body = f"<!doctype html><title>Headwater</title><p>{text}</p>\n".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
