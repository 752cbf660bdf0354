"""gRPC by hand against gRPC's own server: what is asked arrives, what is answered is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import grpc
import pytest
from tests.fuzz.callers.speaking import BROKEN, Answer, Lines, header_block, messages_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

AUTHORITY = "127.0.0.1"
ANSWERS_MAX = 50
LARGE = bytes(range(256)) * 1_200
"""More than a window and many frames."""


class _Echo(grpc.GenericRpcHandler):
    """Answers with what it gets: once, many times, refused, or too late."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        name = str(details.method).rpartition("/")[2]
        streamed: dict[str, Any] = {"many": self._many, "collect": self._collect}
        if name == "collect":
            return grpc.stream_stream_rpc_method_handler(streamed[name])
        if name in streamed:
            return grpc.unary_stream_rpc_method_handler(streamed[name])
        return grpc.unary_unary_rpc_method_handler(getattr(self, f"_{name}"))

    async def _once(self, request: bytes, context: Any) -> bytes:
        told = dict(context.invocation_metadata())
        return request + str(told.get("authorization", "")).encode()

    async def _many(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number % 10).encode()

    async def _collect(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for one in requests:
            yield one

    async def _refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(
            grpc.StatusCode.NOT_FOUND,
            f"no {request.decode()} ü",
            (("more-bin", b"\x00\xff"), ("word", "told")),
        )
        return b""

    async def _late(self, _: bytes, __: Any) -> bytes:
        await anyio.sleep_forever()
        return b""


@asynccontextmanager
async def _served(*options: tuple[str, int]) -> AsyncIterator[Lines]:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 1 << 24), *options])
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    lines = Lines("127.0.0.1", port, ANSWERS_MAX)
    try:
        yield lines
    finally:
        lines.close()
        await server.stop(None)


async def _ask(
    lines: Lines, name: str, message: bytes, metadata: tuple[tuple[str, str], ...] = (), timeout_s: int = 10
) -> Answer:
    line = await lines.open()
    return await line.call(header_block(f"/any/{name}", AUTHORITY, timeout_s, metadata), message)


async def test_many_calls_at_once_get_their_own_answers_and_headers() -> None:
    """More than a window's worth in both directions, small ones between."""
    asked = {number: LARGE if number % 10 == 0 else str(number).encode() for number in range(60)}
    found: dict[int, Answer] = {}

    async def ask(lines: Lines, number: int) -> None:
        token = "t" * (number * 5)
        found[number] = await _ask(lines, "once", asked[number], (("authorization", token),))

    async with _served() as lines, anyio.create_task_group() as tasks:
        for number in asked:
            tasks.start_soon(ask, lines, number)
    for number, (code, messages, _) in found.items():
        assert (code, messages) == ("OK", asked[number] + b"t" * (number * 5))


async def test_a_refusal_is_told_with_all_that_it_says() -> None:
    """Code, words in UTF-8 and every header; the second one from what is kept of the first."""
    async with _served() as lines:
        for _ in range(2):
            code, messages, said = await _ask(lines, "refuse", b"x")
            assert (code, messages) == ("NOT_FOUND", b"")
            assert "no x ü".encode() in said
            assert b"\x00\xff" in said
            assert b"told" in said


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (3, 3), (400, ANSWERS_MAX)])
async def test_an_answer_of_many_messages_is_read_so_far(count: int, kept: int) -> None:
    """Beyond the bound the call is given up, and the connection serves the next one."""
    async with _served() as lines:
        answer = await _ask(lines, "many", str(count).encode())
        assert answer[:2] == ("OK", b"".join(str(number % 10).encode() for number in range(kept)))
        assert (await _ask(lines, "collect", b"again"))[:2] == ("OK", b"again")


async def test_a_deadline_and_an_unknown_method_have_their_codes() -> None:
    """The server's own refusals."""
    async with _served() as lines:
        assert (await _ask(lines, "late", b"", timeout_s=1))[0] in {"DEADLINE_EXCEEDED", "CANCELLED", BROKEN}
        assert (await _ask(lines, "once", b"x"))[0] == "OK"


async def test_an_old_connection_gives_way_to_a_new_one() -> None:
    """The server sends away what is too old; no call is lost."""
    async with _served(("grpc.max_connection_age_ms", 100)) as lines:
        first = await lines.open()
        with anyio.fail_after(10):
            while (await lines.open()) is first:
                assert (await _ask(lines, "once", b"x"))[:2] == ("OK", b"x")
        assert (await _ask(lines, "once", b"y"))[:2] == ("OK", b"y")


async def test_a_lost_connection_ends_its_calls() -> None:
    """None waits for ever."""
    async with _served() as lines:
        line = await lines.open()
        waiting = line.call(header_block("/any/late", AUTHORITY, 10, ()), b"")
        line.close()
        assert (await waiting)[0] == BROKEN


def test_messages_are_read_out_of_frames() -> None:
    """Whole ones only, and no more than asked for."""
    body = b"\0\0\0\0\x01a" + b"\0\0\0\0\0" + b"\0\0\0\0\x02b"
    assert messages_of(body, 9) == [b"a", b""]
    assert messages_of(body, 1) == [b"a"]
