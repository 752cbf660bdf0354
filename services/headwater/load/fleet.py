"""The sender processes of a run: started, told, heard, ended. Owns the processes, merges what they tell.

Nothing is computed here while they send, save the sums of their reports.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from headwater.kernel.errors import Unavailable
from headwater.load.meter import Sheet
from headwater.load.plan import Go, Plan, Report, encode_line
from headwater.load.schedule import Profile, share

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
START_TIMEOUT_S: Final = 30.0
STOP_GRACE_S: Final = 5.0
LEAD_S: Final = 0.3
"""From the order to the beginning of a phase: every sender hears it before."""
OVERTIME_S: Final = 20.0
"""How much longer than its duration and the calls' deadlines a phase may take before it is given up."""

Heard = Callable[[int, Sheet], None]


@dataclass(slots=True)
class PhaseResult:
    """A phase as all senders saw it.

    Args:
        intervals: merged sheets by index.
        begin_s: of `time.monotonic`.
    """

    begin_s: float
    duration_s: float
    intervals: dict[int, Sheet] = field(default_factory=dict)

    def total(self, first: int = 0) -> Sheet:
        """Return the sum of the intervals from *first* on."""
        summed = Sheet()
        for index, sheet in self.intervals.items():
            if index >= first:
                summed.merge(sheet)
        return summed


class Fleet:
    """Running senders; made by `start_fleet`."""

    def __init__(self, plan: Plan, senders: Sequence[tuple[Process, BufferedByteReceiveStream]]) -> None:
        self._plan = plan
        self._senders = senders

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the senders."""
        return tuple(process.pid for process, _ in self._senders)

    async def run_phase(self, duration_s: float, profile: Profile, heard: Heard) -> PhaseResult:
        """Run one phase on all senders.

        Args:
            profile: of all together, in events; empty for a closed loop.
            heard: told of every report as it comes.

        Raises:
            Unavailable: a sender ended or did not finish in time.
        """
        result = PhaseResult(time.monotonic() + LEAD_S, duration_s)
        go = Go(result.begin_s, duration_s, share(profile, len(self._senders)))
        limit_s = duration_s + 3 * self._plan.timeout_s + OVERTIME_S

        async def follow(process: Process, lines: BufferedByteReceiveStream) -> None:
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            await process.stdin.send(encode_line(go))
            while True:
                report = msgspec.json.decode(await _line(lines), type=Report)
                sheet = Sheet.of(report.sheet)
                result.intervals.setdefault(report.index, Sheet()).merge(sheet)
                heard(report.index, sheet)
                if report.done:
                    return

        try:
            with anyio.fail_after(limit_s):
                async with anyio.create_task_group() as tasks:
                    for process, lines in self._senders:
                        tasks.start_soon(follow, process, lines)
        except TimeoutError as error:
            raise Unavailable(f"a sender did not finish within {limit_s:.0f} s", reason="TIMEOUT") from error
        return result


@asynccontextmanager
async def start_fleet(plan: Plan, *, seed: int) -> AsyncIterator[Fleet]:
    """Start `plan.processes` senders, connected and waiting; end them with the block.

    Raises:
        Unavailable: one does not start.
    """
    async with AsyncExitStack() as stack:
        senders: list[tuple[Process, BufferedByteReceiveStream]] = []
        for number in range(plan.processes):
            one = replace(plan, sender=number, seed=seed * 4096 + number)
            senders.append(await stack.enter_async_context(_started(one)))
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                for _, lines in senders:
                    await _line(lines)
        except TimeoutError as error:
            raise Unavailable("a sender process does not start", reason="TIMEOUT") from error
        yield Fleet(plan, senders)


@asynccontextmanager
async def _started(plan: Plan) -> AsyncIterator[tuple[Process, BufferedByteReceiveStream]]:
    process = await anyio.open_process(
        [sys.executable, "-m", "headwater.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        start_new_session=True,  # a terminal's Ctrl-C reaches the parent, whose end closes their stdin
    )
    try:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        await process.stdin.send(encode_line(plan))
        yield process, BufferedByteReceiveStream(process.stdout)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _end(process: Process) -> None:
    """Close its stdin, by which it ends; kill it when it does not."""
    if process.stdin is not None:
        await process.stdin.aclose()
    if process.returncode is None:
        with anyio.move_on_after(STOP_GRACE_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _line(lines: BufferedByteReceiveStream) -> bytes:
    try:
        return await lines.receive_until(b"\n", LINE_BYTES_MAX)
    except (anyio.EndOfStream, anyio.IncompleteRead) as error:
        raise Unavailable("a sender process ended; what it said is above", reason="SENDER_ENDED") from error
