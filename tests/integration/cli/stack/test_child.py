"""One child kept running, with real processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from headwater.cli.stack.child import ChildRunner, Patience, restart_pause_s
from headwater.cli.stack.processes import ProcessId, end_processes
from headwater.cli.stack.services import Service
from headwater.cli.stack.state import Child
from headwater.kernel.errors import StartRefused

pytestmark = pytest.mark.anyio

_SERVES = 'import signal,sys; print("{\\"ready\\": true}", flush=True); signal.pause()'
_FAST = Patience(pause_first_s=0.01, pause_cap_s=0.02, ready_timeout_s=5.0, stop_grace_s=5.0)


class Told:
    """What a runner says of its child, to be waited for."""

    def __init__(self) -> None:
        self.latest: Child | None = None
        self._change = anyio.Event()

    def __call__(self, _name: str, child: Child | None) -> None:
        """Take note."""
        self.latest = child
        self._change.set()
        self._change = anyio.Event()

    async def until_ready(self, restarts: int) -> Child:
        """Wait for the readiness after so many restarts."""
        while True:
            child = self.latest
            if child is not None and child.ready and child.restarts == restarts:
                return child
            await self._change.wait()


def _runner(program: str, logs: Path, told: Told, environment: dict[str, str] | None = None) -> ChildRunner:
    return ChildRunner(_service(program, environment), logs, told, _FAST)


def _service(program: str, environment: dict[str, str] | None = None) -> Service:
    return Service("echo", (sys.executable, "-c", program), {**os.environ, **(environment or {})})


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    """Whoever kills it, it comes back under another id, and the stop ends it for good."""
    told = Told()
    runner = _runner(_SERVES, tmp_path, told)
    async with anyio.create_task_group() as tasks:
        await tasks.start(runner.keep)
        first = await told.until_ready(0)
        os.kill(first.process.pid, signal.SIGKILL)
        second = await told.until_ready(1)
        await runner.stop()
    assert second.process.pid != first.process.pid
    assert second.process.find() is None
    assert told.latest is None


async def test_a_child_that_never_serves_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    """The first start is tried a few times only, and the error quotes the log."""
    runner = _runner("import sys; sys.exit('no such table')", tmp_path, Told())
    with pytest.raises(BaseExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            await tasks.start(runner.keep)
    refused = caught.value.exceptions[0]
    assert isinstance(refused, StartRefused)
    assert "no such table" in refused.message


async def test_a_renewed_child_has_the_new_environment(tmp_path: Path) -> None:
    """It is started anew at once, with what it is given now."""
    told = Told()
    program = "import os,sys; print(os.environ['COLOUR'], file=sys.stderr, flush=True);" + _SERVES
    runner = _runner(program, tmp_path, told, {"COLOUR": "red"})
    async with anyio.create_task_group() as tasks:
        await tasks.start(runner.keep)
        first = await told.until_ready(0)
        await runner.renew(_service(program, {"COLOUR": "blue"}))
        second = await told.until_ready(0)
        while second.process == first.process:
            second = await told.until_ready(0)
        await runner.stop()
    words = (tmp_path / "echo.log").read_text().split("\n")
    assert [word for word in words if word in {"red", "blue"}] == ["red", "blue"], words


async def test_a_process_of_another_start_time_is_left_alone() -> None:
    """An id that went to another program is not ours to end."""
    async with await anyio.open_process([sys.executable, "-c", _SERVES]) as process:
        identity = ProcessId.of(process.pid)
        stranger = ProcessId(process.pid, identity.start_time_s - 60)
        assert end_processes([stranger], grace_s=1.0) == ()
        assert identity.find() is not None
        assert await anyio.to_thread.run_sync(lambda: end_processes([identity], grace_s=5.0)) == (
            process.pid,
        )
        assert identity.find() is None


def test_pauses_between_starts_grow_to_a_cap() -> None:
    """Doubling, bounded."""
    patience = Patience(pause_first_s=0.2, pause_cap_s=1.0)
    assert [restart_pause_s(patience, n) for n in (1, 2, 3, 4, 1000)] == [0.2, 0.4, 0.8, 1.0, 1.0]
