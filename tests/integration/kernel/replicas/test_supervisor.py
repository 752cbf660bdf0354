"""Several processes on one port, with real processes: spread, restart, roll, end, and no orphan."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import grpc
import psutil
import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

PROGRAM = Path(__file__).with_name("pid_service.py")
CALL_S = 10.0
PATIENCE_S = 20.0


@contextmanager
def supervised(*arguments: str, count: int = 3) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start the service; yields its supervisor and what it announced; nothing of it is left afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "--count", str(count), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        children = psutil.Process(process.pid).children() if line else []
        try:
            yield process, json.loads(line) if line else {}
        finally:
            process.kill()
            for child in (child for child in children if child.is_running()):
                child.kill()


async def ask(port: int, method: str = "Get") -> int:
    """Return the id of the process that answers a new connection."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call: Any = channel.unary_unary(f"/test.v1.Pid/{method}")
        return int(await call(b"", timeout=CALL_S, wait_for_ready=True))


async def eventually(port: int, wanted: set[int] | None, not_wanted: set[int]) -> set[int]:
    """Ask until three processes have answered, none of *not_wanted* among them, and return their ids."""
    seen: set[int] = set()
    with anyio.fail_after(PATIENCE_S):
        while len(seen) < 3 or (wanted is not None and seen != wanted):
            pid = await ask(port)
            if pid not in not_wanted:
                seen.add(pid)
    return seen


def gone(pid: int) -> bool:
    """Say whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def await_gone(pids: list[int]) -> None:
    """Return when all of *pids* have ended."""
    with anyio.fail_after(PATIENCE_S):
        while not all(map(gone, pids)):  # noqa: ASYNC110 - nobody tells of the end of a process that is not ours
            await anyio.sleep(0.02)


async def test_connections_spread_over_the_processes() -> None:
    """One line announces port and processes; of 60 connections every process gets some."""
    with supervised() as (_, ready):
        answers = Counter([await ask(ready["port"]) for _ in range(60)])
    assert ready["processes"] == 3
    assert set(answers) == set(ready["pids"])
    assert min(answers.values()) >= 5


async def test_a_process_that_is_killed_comes_back_and_the_others_go_on() -> None:
    """Calls are answered right after the kill, and a new process takes the place of the dead one."""
    with supervised() as (_, ready):
        dead, *others = ready["pids"]
        os.kill(dead, signal.SIGKILL)
        await await_gone([dead])
        answered = [await ask(ready["port"]) for _ in range(10)]
        after = await eventually(ready["port"], None, {dead})
    assert len(answered) == 10
    assert set(others) < after


async def test_the_processes_are_rolled_one_after_the_other() -> None:
    """SIGHUP replaces every process while calls go on being answered."""
    with supervised() as (supervisor, ready):
        before = set(ready["pids"])
        supervisor.send_signal(signal.SIGHUP)
        await await_gone(sorted(before))
        after = await eventually(ready["port"], None, set())
        code = supervisor.poll()
    assert code is None
    assert not before & after


async def test_the_end_drains_every_process() -> None:
    """Calls under way when SIGTERM comes are answered; the exit code is 0 and no process is left."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with supervised() as (supervisor, ready):
        async with contextlib.AsyncExitStack() as channels:
            held = []
            for _ in range(6):
                channel = grpc.aio.insecure_channel(f"127.0.0.1:{ready['port']}", options=options)
                await channels.enter_async_context(channel)
                method: Any = channel.unary_stream("/test.v1.Pid/Hold")  # only this one shows headers
                held.append(method(b"", timeout=CALL_S))
            for call in held:
                await call.initial_metadata()
            supervisor.send_signal(signal.SIGTERM)
            answers = [int(await call.read()) for call in held]
        code = await anyio.to_thread.run_sync(lambda: supervisor.wait(PATIENCE_S))
        left = [pid for pid in ready["pids"] if not gone(pid)]
    assert len(answers) == 6
    assert code == 0
    assert left == []


async def test_processes_end_when_their_supervisor_is_killed_and_the_port_is_free_at_once() -> None:
    """A killed supervisor leaves no orphan; another supervisor takes the same port without waiting."""
    with supervised() as (supervisor, ready):
        supervisor.kill()
        supervisor.wait(PATIENCE_S)
        with supervised("--address", f"127.0.0.1:{ready['port']}") as (_, again):
            await await_gone(ready["pids"])
            answered = await ask(again["port"])
    assert again["port"] == ready["port"]
    assert answered in again["pids"]


async def test_a_port_of_another_program_is_refused() -> None:
    """Exit code 78: the port is reserved before a process is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with supervised("--address", f"127.0.0.1:{other.getsockname()[1]}") as (supervisor, ready):
            code = supervisor.wait(PATIENCE_S)
    assert (ready, code) == ({}, 78)


@pytest.mark.parametrize(("child", "code"), [("refuse", 78), ("crash", 70)])
async def test_processes_that_cannot_start_end_the_service(child: str, code: int) -> None:
    """A refusal is passed on at once; dying again and again ends with a code of its own."""
    with supervised("--child", child) as (supervisor, ready):
        found = supervisor.wait(PATIENCE_S)
    assert (ready, found) == ({}, code)


async def test_a_process_that_does_not_end_is_killed_and_told_of() -> None:
    """The end is bounded; the exit code says that it was not in order."""
    with supervised("--child", "stay") as (supervisor, ready):
        supervisor.send_signal(signal.SIGTERM)
        code = supervisor.wait(PATIENCE_S)
        left = [pid for pid in ready["pids"] if not gone(pid)]
    assert code == 75
    assert left == []
