"""How a process starts and ends: one event loop, signals as cancellation, one exit code.

A service's `__main__` calls `run_process(main)`; `main` gets a `Shutdown` and returns when the
signal came and everything is drained.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from headwater.kernel.errors import StartRefused

_log = logging.getLogger(__name__)


class Shutdown:
    """The wish to end, once."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def request(self) -> None:
        """Ask for the end; further calls change nothing."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """True once the end was asked for."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the end was asked for."""
        await self._event.wait()


def announce_ready(**facts: Any) -> None:
    """Print the one line on stdout by which a starter knows that the process serves.

    Args:
        facts: what the starter needs, as `port`; JSON values.
    """
    sys.stdout.write(json.dumps({"ready": True, **facts}) + "\n")
    sys.stdout.flush()


def run_process(main: Callable[[Shutdown], Awaitable[None]]) -> int:
    """Run *main* on uvloop until SIGTERM or SIGINT; return the process's exit code.

    Returns:
        0 after a graceful end, 78 when the start was refused, 1 after a crash.
    """
    code = 0
    try:
        anyio.run(_supervise, main, backend="asyncio", backend_options={"use_uvloop": True})
    except* StartRefused as group:
        for error in _leaves(group):
            _log.critical("start refused: %s", error)
        code = StartRefused.exit_code
    except* Exception as group:  # noqa: BLE001 - the process edge logs whatever comes, then ends
        _log.critical("process crashed", exc_info=group)
        code = code or 1
    return code


async def _supervise(main: Callable[[Shutdown], Awaitable[None]]) -> None:
    shutdown = Shutdown()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, shutdown)
        await main(shutdown)
        tasks.cancel_scope.cancel()


async def _watch_signals(shutdown: Shutdown) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            shutdown.request()


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
