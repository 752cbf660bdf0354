"""A service of several processes that answers with the id of the process: what the supervisor is tested with.

Run as a program it supervises `--count` of itself; as one of them it serves. `--child` says what the processes do:
serve, crash (exit 3 at once), refuse (exit 78), or stay (serve, and never end when told).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown, announce_ready, run_process
from headwater.kernel.replicas import ReplicaSettings, ReplicaSupervisor, RestartSettings, watch_parent
from headwater.kernel.rpc import RpcServer, ServerSettings

SERVICE: Final = "test.v1.Pid"
ADDRESS: Final = "TEST_ADDRESS"
END_S: Final = 5.0


async def _pid(_request: bytes, _context: Any) -> bytes:
    return str(os.getpid()).encode()


def _adding(shutdown: Shutdown) -> Callable[[grpc.aio.Server], Sequence[str]]:
    async def hold(_request: bytes, context: Any) -> bytes:
        """Answer when the end was asked for: a call that is certainly under way then."""
        await context.send_initial_metadata(())
        await shutdown.wait()
        return str(os.getpid()).encode()

    def add(server: grpc.aio.Server) -> Sequence[str]:
        handlers: dict[str, Any] = {
            "Get": grpc.unary_unary_rpc_method_handler(_pid),
            "Hold": grpc.unary_unary_rpc_method_handler(hold),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return (SERVICE,)

    return add


async def _serve(shutdown: Shutdown) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.call_soon_threadsafe(shutdown.request)

    watch_parent(end, end_s=END_S)
    settings = ServerSettings(os.environ[ADDRESS], share_port=True, drain_s=3.0)
    async with RpcServer(settings, _adding(shutdown)).serving() as port:
        announce_ready(port=port)
        await shutdown.wait()


def _child(kind: str) -> int:
    if kind == "refuse":
        return StartRefused.exit_code
    if kind == "crash":
        return 3
    if kind == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        announce_ready(port=0)
        signal.pause()
    return run_process(_serve, end_s=END_S)


def main(arguments: Sequence[str]) -> int:
    """Supervise, or serve as one of the supervised."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--child", default="serve")
    parser.add_argument("--address", default="127.0.0.1:0")
    given = parser.parse_args(arguments)
    if "HEADWATER_REPLICA" in os.environ:
        return _child(given.child)
    settings = ReplicaSettings(
        command=(sys.executable, __file__, "--child", given.child),
        count=given.count,
        addresses={ADDRESS: given.address},
        grace_s=2.0 if given.child == "stay" else END_S,
        restarts=RestartSettings(deaths_max=5, pause_cap_s=0.3),
    )
    supervisor = ReplicaSupervisor(settings, os.environ, random.Random(7))
    return run_process(supervisor.run, end_s=2 * END_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
