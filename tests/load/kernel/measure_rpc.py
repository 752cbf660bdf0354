"""What the kernel's server costs a call, against a bare grpc.aio server: `python tests/load/kernel/measure_rpc.py`.

Both servers run in processes of their own behind the same client; rounds alternate. Prints calls a second and the
server's CPU time a call, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
import grpc
import psutil

from headwater.kernel.lifecycle import Shutdown, announce_ready, read_ready_line, run_process
from headwater.kernel.rpc import RpcServer, ServerSettings

SERVICE: Final = "measure.v1.Nothing"
PAYLOAD: Final = b"x" * 300
METHODS_UNUSED: Final = 7
"""So that there are as many methods as ingest has: grpc.aio's pace depends on it."""
KINDS: Final = ("bare", "kernel")


async def _nothing(request: bytes, _context: Any) -> bytes:
    return request[:16]


async def _nothings(requests: AsyncIterator[bytes], context: Any) -> None:
    async for request in requests:
        await context.write(request[:16])


def _add(server: Any) -> Sequence[str]:
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(_nothing),
        "Stream": grpc.stream_stream_rpc_method_handler(_nothings),
    }
    handlers |= {f"Unused{number}": handlers["Unary"] for number in range(METHODS_UNUSED)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)
    return (SERVICE,)


async def _serve_bare(shutdown: Shutdown) -> None:
    server = grpc.aio.server()
    _add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce_ready(port=port)
    await shutdown.wait()
    await server.stop(1)


async def _serve_kernel(shutdown: Shutdown) -> None:
    async with RpcServer(ServerSettings(), _add).serving() as port:
        announce_ready(port=port)
        await shutdown.wait()


@dataclass(frozen=True, slots=True)
class Figure:
    """One round: calls (messages) a second, server CPU a call."""

    pace_per_s: float
    server_cpu_us: float


async def _unary(channel: grpc.aio.Channel, callers: int, seconds: float) -> int:
    call: Any = channel.unary_unary(f"/{SERVICE}/Unary")
    done = 0
    end = time.monotonic() + seconds

    async def keep_calling() -> None:
        nonlocal done
        while time.monotonic() < end:
            await call(PAYLOAD, timeout=10)
            done += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(keep_calling)
    return done


async def _stream(channel: grpc.aio.Channel, streams: int, seconds: float) -> int:
    opened: Any = channel.stream_stream(f"/{SERVICE}/Stream")
    done = 0
    end = time.monotonic() + seconds

    async def keep_streaming() -> None:
        nonlocal done
        call = opened(timeout=seconds + 10)
        while time.monotonic() < end:
            for _ in range(8):
                await call.write(PAYLOAD)
            for _ in range(8):
                await call.read()
            done += 8
        await call.done_writing()
        await call.read()

    async with anyio.create_task_group() as tasks:
        for _ in range(streams):
            tasks.start_soon(keep_streaming)
    return done


async def _round(port: int, pid: int, case: tuple[str, int], seconds: float) -> Figure:
    process = psutil.Process(pid)
    measure = _unary if case[0] == "unary" else _stream
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await measure(channel, case[1], 0.2)
        before, begun = process.cpu_times(), time.monotonic()
        done = await measure(channel, case[1], seconds)
        after, took_s = process.cpu_times(), time.monotonic() - begun
    cpu_s = after.user + after.system - before.user - before.system
    return Figure(done / took_s, cpu_s / done * 1e6)


def _start(kind: str) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, __file__, "--serve", kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    facts = read_ready_line(process.stdout.readline())
    assert facts is not None
    return process, facts["port"]


async def _measure(rounds: int, seconds: float) -> None:
    started = {kind: _start(kind) for kind in KINDS}
    try:
        for case in (("unary", 1), ("unary", 16), ("unary", 64), ("stream", 1), ("stream", 8)):
            figures: dict[str, list[Figure]] = {kind: [] for kind in KINDS}
            for _ in range(rounds):
                for kind, (process, port) in started.items():
                    figures[kind].append(await _round(port, process.pid, case, seconds))
            _print(case, figures)
    finally:
        for process, _ in started.values():
            process.terminate()
            process.wait(10)


def _print(case: tuple[str, int], figures: dict[str, list[Figure]]) -> None:
    paces = [k.pace_per_s / b.pace_per_s for b, k in zip(figures["bare"], figures["kernel"], strict=True)]
    parts = []
    for kind in KINDS:
        pace = statistics.median(figure.pace_per_s for figure in figures[kind])
        cpu_us = statistics.median(figure.server_cpu_us for figure in figures[kind])
        parts.append(f"{kind} {pace:8,.0f}/s {cpu_us:6.1f} us CPU")
    sys.stdout.write(f"{case[0]:6} x{case[1]:<3} {'  '.join(parts)}  ratio {statistics.median(paces):.2f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=KINDS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    given = parser.parse_args()
    if given.serve:
        sys.exit(run_process(_serve_bare if given.serve == "bare" else _serve_kernel))
    anyio.run(_measure, given.rounds, given.seconds, backend_options={"use_uvloop": True})
