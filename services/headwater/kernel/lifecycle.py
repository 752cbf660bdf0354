"""How a process starts and ends: one event loop, signals as cancellation, one exit code.

A service's `__main__` calls `run_process(main)`; `main` gets a `Shutdown` and returns when the
signal came and everything is drained.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import anyio

from headwater.kernel.errors import CrashLoop, EndIncomplete, HeadwaterError, StartRefused

END_S: Final = 60.0
"""Longest time from the first signal to the end, where a service names none."""
LAST_RESORT_S: Final = 2.0
"""How long cancelling may take."""

_VERDICTS: Final[dict[type[HeadwaterError], str]] = {
    StartRefused: "start refused",
    EndIncomplete: "the end is incomplete",
    CrashLoop: "given up",
}

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


def read_ready_line(line: str) -> dict[str, Any] | None:
    """Return the facts of the line by which a process says that it serves; None when *line* is another."""
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and facts.get("ready") is True else None


def run_process(main: Callable[[Shutdown], Awaitable[None]], *, end_s: float = END_S) -> int:
    """Run *main* on uvloop until SIGTERM or SIGINT; return the process's exit code.

    A second signal ends the process at once, with 128 + its number.

    Args:
        end_s: longest time from the first signal to the end; then what is left is cancelled.

    Returns:
        0 after a graceful end, 75 after one that left work behind, 78 when the start was refused, 70 when a
        process that it keeps dies again and again, 1 after a crash.
    """
    code = 0
    try:
        anyio.run(_supervise, main, end_s, backend="asyncio", backend_options={"use_uvloop": True})
    except* (StartRefused, EndIncomplete, CrashLoop) as group:
        for error in _leaves(group):
            _log.critical("%s: %s", _VERDICTS[type(error)], error)
            code = max(code, error.exit_code)
    except* Exception as group:  # noqa: BLE001 - the process edge logs whatever comes, then ends
        _log.critical("process crashed", exc_info=group)
        code = code or 1
    return code


def leave(code: int) -> NoReturn:
    """End the process with *code* at once: the end of a `__main__` that has drained everything.

    gRPC's threads outlive its last call; an interpreter that is torn down under them lets them run Python
    code in a half-gone process.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _supervise(main: Callable[[Shutdown], Awaitable[None]], end_s: float) -> None:
    shutdown = Shutdown()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, shutdown)
        with anyio.CancelScope() as whole:
            tasks.start_soon(_bound_the_end, shutdown, end_s, whole)
            await main(shutdown)
        tasks.cancel_scope.cancel()
    if whole.cancelled_caught:
        raise EndIncomplete(f"not everything ended within {end_s:g} s")


async def _watch_signals(shutdown: Shutdown) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if shutdown.requested:
                _log.critical("told to end a second time: ending at once")
                os._exit(128 + number)
            shutdown.request()


async def _bound_the_end(shutdown: Shutdown, end_s: float, whole: anyio.CancelScope) -> None:
    """Cancel what does not end in time; end the process where even that does not help."""
    await shutdown.wait()
    last = threading.Timer(end_s + LAST_RESORT_S, _end_at_once)
    last.daemon = True
    last.start()
    try:
        await anyio.sleep(end_s)
        _log.error("not everything ended within %g s: cancelling the rest", end_s)
        whole.cancel()
        await anyio.sleep_forever()
    finally:
        last.cancel()


def _end_at_once() -> None:
    _log.critical("cancelling did not help: ending at once")
    os._exit(EndIncomplete.exit_code)


def _leaves(group: BaseExceptionGroup[Any]) -> list[Any]:
    found: list[Any] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
