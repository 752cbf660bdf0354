"""Runs one system on one set as a process of its own, under a meter: wall, CPU and memory of its whole tree.

Knows where the systems are, not how they answer. What fails, is too slow or is not installed is a value that says why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.load.identity.groups import Answer, read_answer
from tests.load.ingest.meters import cpu_s, rss_bytes
from tests.load.ingest.stages import ROOT, environment

PEER_PYTHON: Final = ROOT / ".peers" / "identity" / "bin" / "python"
PEER_FILES: Final = Path(__file__).parent / "peers"
LOOK_S: Final = 0.1
TOO_SLOW: Final = "not done within"
STREAM: Final = "ours, stream"
BULK: Final = "ours, bulk"
SERVICE: Final = "ours, service"
EXACT: Final = "exact keys"
OURS: Final = (STREAM, BULK, SERVICE)
DAMPED: Final = "splink, damped"
PEERS: Final = ("splink", DAMPED, "recordlinkage", "dedupe")
"""`damped`: shared values left out beforehand, which is not in Splink's documents but in its best runs."""


@dataclass(frozen=True, slots=True)
class Run:
    """One system on one set.

    Args:
        failure: why there is no answer; empty when there is one.
        told: what the program said of its run.
    """

    system: str
    set_name: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    answer: Answer | None = None
    failure: str = ""
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Meter:
    """Looks at a process tree from time to time; keeps the most memory it had and the CPU it last had used."""

    pid: int
    rss_peak_bytes: int = 0
    cpu_s: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(LOOK_S):
            self.rss_peak_bytes = max(self.rss_peak_bytes, rss_bytes(self.pid))
            self.cpu_s = max(self.cpu_s, cpu_s(self.pid))

    def stop(self) -> None:
        """End `watch`."""
        self._over.set()


def own(how: str, folder: Path, target: Path, *more: str) -> list[str]:
    """Return the command of a driver of ours."""
    return [sys.executable, "-m", f"tests.load.identity.{how}", *more, str(folder), str(target)]


def peer(name: str, columns: Path, target: Path, teacher: Path | None) -> list[str]:
    """Return the command of a peer."""
    program = PEER_FILES / f"by_{name.partition(',')[0]}.py"
    taught = [str(teacher)] if teacher else []
    return [str(PEER_PYTHON), str(program), str(columns), str(target), *taught]


def run(system: str, set_name: str, command: Sequence[str], target: Path, timeout_s: float) -> Run:
    """Run a command that writes an answer to *target*."""
    if not Path(command[0]).exists():
        return Run(system, set_name, failure="not installed: make peers-identity")
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        meter = Meter(process.pid)
        watching = threading.Thread(target=meter.watch)
        watching.start()
        try:
            spent_s = _end_of(process, timeout_s)
        finally:
            meter.stop()
            watching.join()
        wall_s = time.perf_counter() - began
        failure = "" if spent_s is not None else f"{TOO_SLOW} {timeout_s:g} s"
        if spent_s is not None and process.returncode:
            errors.seek(0)
            failure = _reason(errors.read())
        said.seek(0)
        told = _told(said.read())
    answer = None if failure else read_answer(target)
    cpu = max(meter.cpu_s, spent_s or 0.0)
    return Run(system, set_name, wall_s, cpu, meter.rss_peak_bytes, answer, failure, told)


def _end_of(process: subprocess.Popen[bytes], timeout_s: float) -> float | None:
    """Wait for the end; return the CPU seconds of it and all it waited for, None when it had to be killed."""
    over = threading.Timer(timeout_s, _kill, (process.pid,))
    over.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        _kill(process.pid)  # the bench itself is ended
        raise
    finally:
        over.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return None if process.returncode == -KILLED else used.ru_utime + used.ru_stime


KILLED: Final = 9


def _kill(pid: int) -> None:
    """End a process and what it started: it leads a session of its own."""
    os.killpg(pid, KILLED)


def _reason(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return (lines or ["it said nothing"])[-1][:300]


def _told(said: str) -> dict[str, Any]:
    lines = [line for line in said.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found
