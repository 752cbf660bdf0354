"""gRPC by hand over one HTTP/2 connection: many calls at once for little CPU. One request message a call, any number back.

What a client of a library spends on a call is most of what a fuzzing run could spend on the service instead. Headers are
made once for each caller and method, frames of many calls go out in one write, and what headers came back is looked up
by their bytes. Knows no service; asserts nothing.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import unquote_to_bytes

from grpc import StatusCode
from hpack import Decoder

CODES: Final = {str(one.value[0]): one.name for one in StatusCode}
BROKEN: Final = "BROKEN"
"""The code of a call whose connection or stream ended without a status."""
HANGS: Final = "HANGS"
"""The code of a call that nobody answered, for who waits to give."""
UNSEEN: Final = "UNSEEN"
"""The code of a call that the server told it had not looked at when it went away: it may be made again."""

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW, _CONTINUED = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TABLE, _PUSH, _STREAM_WINDOW, _FRAME_MAX, _TRUE_BINARY = 0x1, 0x2, 0x4, 0x5, 0xFE03
WINDOW_MAX: Final = 2**31 - 1
WINDOW_FIRST: Final = 65_535
REFILL: Final = 2**29
"""Bytes received before the connection's window is opened again."""
FRAME_BYTES: Final = 16_384
CACHED_MAX: Final = 20_000
STREAM_MAX: Final = 2**30
"""Stream ids before another connection is asked for."""
_CANCEL: Final = 8
Answer = tuple[str, bytes, bytes]
"""Name of the status; the messages, joined; what the status says with all other headers."""


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """Return one frame."""
    return struct.pack(">I", len(body))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + body


def header_block(path: str, authority: str, timeout_s: int, metadata: tuple[tuple[str, str], ...]) -> bytes:
    """Return the headers of a call as HPACK literals that no table keeps."""
    told = [
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"grpc-timeout", f"{timeout_s}S".encode()),
        *((name.encode(), value.encode()) for name, value in metadata),
    ]
    return b"\x83\x86" + b"".join(b"\x00" + _text(name) + _text(value) for name, value in told)


def _text(value: bytes) -> bytes:
    """Return a string literal without Huffman's code: its length as an integer with a prefix of 7 bits."""
    length = len(value)
    if length < 127:
        return bytes((length,)) + value
    head, rest = bytearray((127,)), length - 127
    while rest > 127:
        head.append(rest & 127 | 128)
        rest >>= 7
    head.append(rest)
    return bytes(head) + value


class _Call:
    __slots__ = ("done", "headers", "left", "messages", "status", "window")

    def __init__(self, done: asyncio.Future[Answer], left: bytes, window: int) -> None:
        self.done, self.left, self.window = done, left, window
        self.messages = bytearray()
        self.headers, self.status = b"", BROKEN


class Line(asyncio.Protocol):
    """One connection.

    Args:
        answers_max: messages read of one call; then it is given up.
        linger_s: what is to be sent, and what has come, waits so long for more: a write and a read are for many calls.
    """

    def __init__(self, answers_max: int, linger_s: float = 0.0) -> None:
        self.closing = False
        """The server asked for another connection, or this one is gone."""
        self._answers_max, self._linger_s = answers_max, linger_s
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, _Call] = {}
        self._next, self._window, self._first = 1, WINDOW_FIRST, WINDOW_FIRST
        self._got, self._in, self._out = 0, bytearray(), list[bytes]()
        self._block: tuple[int, int, bytes] | None = None
        self._hpack = Decoder()
        self._hpack.max_header_list_size = 2**20
        self._told: dict[bytes, tuple[str, bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server: no table of headers, binary ones as they are, windows wide open."""
        self._transport = cast("asyncio.Transport", transport)
        wanted = ((_TABLE, 0), (_PUSH, 0), (_STREAM_WINDOW, WINDOW_MAX), (_TRUE_BINARY, 1))
        settings = b"".join(struct.pack(">HI", name, value) for name, value in wanted)
        more = struct.pack(">I", WINDOW_MAX - WINDOW_FIRST)
        self._write(_PREFACE + frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW, 0, 0, more))

    def call(self, block: bytes, message: bytes) -> asyncio.Future[Answer]:
        """Make a call with one message; the future always ends with an answer, never with an error."""
        done: asyncio.Future[Answer] = self._loop.create_future()
        stream, self._next = self._next, self._next + 2
        self.closing = self.closing or self._next > STREAM_MAX
        framed = b"\0" + struct.pack(">I", len(message)) + message
        self._write(frame(_HEADERS, _END_HEADERS, stream, block))
        one = self._calls[stream] = _Call(done, framed, self._first)
        self._send(stream, one)
        return done

    def close(self) -> None:
        """End the connection, and calls that are under way."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End every call that waits."""
        self.closing = True
        for stream in list(self._calls):
            self._end(stream, BROKEN, str(exc or "the connection ended").encode())

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        if self._linger_s and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_later(self._linger_s, self._transport.resume_reading)
        held = self._in
        held += data
        at, size = 0, len(held)
        while size - at >= 9:
            end = at + 9 + (held[at] << 16 | held[at + 1] << 8 | held[at + 2])
            if end > size:
                break
            stream = int.from_bytes(held[at + 5 : at + 9], "big") & WINDOW_MAX
            self._take(held[at + 3], held[at + 4], stream, bytes(held[at + 9 : end]))
            at = end
        del held[:at]

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind in {_HEADERS, _CONTINUED}:
            self._headers(kind, flags, stream, body)
        elif kind == _DATA:
            self._data(flags, stream, body)
        elif kind == _WINDOW:
            self._widen(stream, struct.unpack(">I", body)[0] & WINDOW_MAX)
        elif kind == _RESET:
            told = f"the stream was reset: {struct.unpack('>I', body)[0]}".encode()
            self._end(stream, BROKEN, told)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(body)
        elif kind == _PING and not flags & _ACK:
            self._write(frame(_PING, _ACK, 0, body))
        elif kind == _GO_AWAY:
            self.closing = True
            last = struct.unpack(">I", body[:4])[0] & WINDOW_MAX
            for unseen in [one for one in self._calls if one > last]:
                self._end(unseen, UNSEEN, b"")

    def _headers(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _HEADERS:
            padding = body[0] if flags & _PADDED else 0
            skipped = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
            self._block = (stream, flags, body[skipped : len(body) - padding])
        elif self._block is not None:
            self._block = (stream, self._block[1], self._block[2] + body)
        if not flags & _END_HEADERS or self._block is None:
            return
        stream, opened, block = self._block
        self._block = None
        status, said = self._read(block)
        one = self._calls.get(stream)
        if one is None:
            return
        one.headers += said
        one.status = status or one.status
        if opened & _END_STREAM:
            self._end(stream, one.status, b"")

    def _read(self, block: bytes) -> tuple[str, bytes]:
        """Return the status that headers name, empty where none, and what else they say."""
        found = self._told.get(block)
        if found is None:
            status, said = "", []
            for name, value, *_ in self._hpack.decode(block, raw=True):
                if name == b"grpc-status":
                    status = CODES.get(value.decode("ascii", "replace"), f"STATUS {value!r}")
                elif name == b"grpc-message":
                    said.append(unquote_to_bytes(value))
                elif name not in {b":status", b"content-type"}:
                    said.append(value)
                elif name == b":status" and value != b"200":
                    status, said = BROKEN, [b"HTTP " + value]
            found = status, b"\n".join(said)
            if len(self._told) >= CACHED_MAX:
                self._told.clear()
            self._told[block] = found
        return found

    def _data(self, flags: int, stream: int, body: bytes) -> None:
        self._got += len(body)
        if self._got > REFILL:
            self._write(frame(_WINDOW, 0, 0, struct.pack(">I", self._got)))
            self._got = 0
        one = self._calls.get(stream)
        if one is None:
            return
        one.messages += body[1 : len(body) - body[0]] if flags & _PADDED else body
        if len(messages_of(one.messages, self._answers_max)) == self._answers_max:
            self._reset(stream)
            self._end(stream, "OK", b"")
        elif flags & _END_STREAM:
            self._end(stream, BROKEN, b"no trailers")

    def _end(self, stream: int, status: str, told: bytes) -> None:
        one = self._calls.pop(stream, None)
        if one is None:
            return
        if one.left and not self.closing:
            self._reset(stream)
        if not one.done.done():
            messages = b"".join(messages_of(one.messages, self._answers_max))
            one.done.set_result((status, messages, one.headers + told))

    def _reset(self, stream: int) -> None:
        self._write(frame(_RESET, 0, stream, struct.pack(">I", _CANCEL)))

    def _send(self, stream: int, one: _Call) -> None:
        """Send what the windows let through."""
        while one.left:
            size = min(len(one.left), FRAME_BYTES, one.window, self._window)
            if size <= 0:
                return
            body, one.left = one.left[:size], one.left[size:]
            one.window -= size
            self._window -= size
            self._write(frame(_DATA, 0 if one.left else _END_STREAM, stream, body))

    def _widen(self, stream: int, more: int) -> None:
        if stream:
            if (one := self._calls.get(stream)) is not None:
                one.window += more
                self._send(stream, one)
            return
        self._window += more
        for number, one in list(self._calls.items()):
            self._send(number, one)

    def _settle(self, body: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", body):
            if name == _STREAM_WINDOW:
                for one in self._calls.values():
                    one.window += value - self._first
                self._first = value
        self._write(frame(_SETTINGS, _ACK, 0))
        for number, one in list(self._calls.items()):
            self._send(number, one)

    def _write(self, data: bytes) -> None:
        """Keep for a while, or the end of this turn of the loop."""
        if not self._out:
            if self._linger_s:
                self._loop.call_later(self._linger_s, self._flush)
            else:
                self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()


def messages_of(body: bytes | bytearray, at_most: int) -> list[bytes]:
    """Return the whole messages that a body of frames holds, the first *at_most* of them."""
    found: list[bytes] = []
    at = 0
    while len(found) < at_most and len(body) - at >= 5:
        end = at + 5 + int.from_bytes(body[at + 1 : at + 5], "big")
        if end > len(body):
            break
        found.append(bytes(body[at + 5 : end]))
        at = end
    return found


class Lines:
    """A connection to one address that is opened anew when the server asks for it."""

    def __init__(self, host: str, port: int, answers_max: int, linger_s: float = 0.0) -> None:
        self._host, self._port, self._answers_max, self._linger_s = host, port, answers_max, linger_s
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self._old: list[Line] = []

    async def open(self) -> Line:
        """Return a connection that takes calls."""
        line = self._line
        if line is not None and not line.closing:
            return line
        async with self._opening:
            if self._line is None or self._line.closing:
                self._old += [self._line] if self._line is not None else []
                make: Callable[[], Line] = lambda: Line(self._answers_max, self._linger_s)  # noqa: E731
                _, self._line = await asyncio.get_running_loop().create_connection(
                    make, self._host, self._port
                )
            return self._line

    def close(self) -> None:
        """End all connections."""
        for line in (*self._old, *([self._line] if self._line is not None else [])):
            line.close()
