"""Child processes of system tests: started, waited for by their ready line, ended by pid. Knows no service."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

SERVICES: Final = next(
    folder / "services" for folder in Path(__file__).parents if (folder / "services" / "headwater").is_dir()
)
READY_S_MAX: Final = 30.0
"""From the start of a process to its ready line, on a busy machine."""
END_S_MAX: Final = 10.0
"""From SIGTERM to the end; then SIGKILL."""
LOG_LINES_SHOWN: Final = 40


@dataclass(slots=True)
class Child:
    """One process of a name, started any number of times with the same environment."""

    name: str
    environment: Mapping[str, str]
    log: Path
    launcher: Sequence[str] = ()
    """A module that runs the service's, and what it is told before the service's name."""
    ready: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Start it and return the facts of its ready line."""
        path = os.pathsep.join([str(SERVICES), os.environ.get("PYTHONPATH", "")])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.launcher, f"headwater.{self.name}"],
                env={**os.environ, **self.environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.ready = self._ready_line()
        return self.ready

    def _ready_line(self) -> dict[str, Any]:
        stdout = cast("IO[bytes]", cast("subprocess.Popen[bytes]", self._process).stdout)
        readable, _, _ = select.select([stdout], [], [], READY_S_MAX)
        line = stdout.readline() if readable else b""
        if not line:
            self.end()
            raise AssertionError(f"{self.name} did not become ready\n{self.log_end()}")
        facts: dict[str, Any] = json.loads(line)
        assert facts["ready"] is True
        return facts

    @property
    def pid(self) -> int:
        """The process id; 0 while it does not run."""
        return 0 if self._process is None else self._process.pid

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def wait(self) -> int:
        """Wait for the end of a process that was told to end by a signal of its own; the exit code."""
        return self._reap()

    def end(self) -> int:
        """SIGTERM, after a while SIGKILL; the exit code, 0 when it did not run."""
        process = self._process
        if process is None:
            return 0
        process.terminate()
        try:
            process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._reap()

    def _reap(self) -> int:
        process = cast("subprocess.Popen[bytes]", self._process)
        code = process.wait(END_S_MAX)
        cast("IO[bytes]", process.stdout).close()
        self._process = None
        return code

    def log_end(self) -> str:
        """The last lines of what it said on stderr."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"--- {self.name} (stderr)", *lines[-LOG_LINES_SHOWN:]])
