"""Sees, starts and signals the server process of a data directory. Owns `postmaster.pid` and process truth.

Must not initialise or configure a data directory (`embedded` does), nor signal any process that is not
the postmaster of the directory it was asked about.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

import psutil

from headwater.kernel.pg.errors import EmbeddedServerFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headwater.kernel.pg.account import Account

_T = TypeVar("_T")

StopMode: TypeAlias = Literal["smart", "fast", "immediate"]

_STOP_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
"""Source: PostgreSQL manual, "Shutting Down the Server"."""

_POLL_S: Final = 0.01
_SHELL_TIMEOUT_S: Final = 5.0

_DETACHED: Final = """
log=$1; shift
"$@" </dev/null >"$log" 2>&1 &
echo "$!"
"""

_TIED: Final = """
log=$1; shift
exec 3<&0
"$@" </dev/null 3<&- >"$log" 2>&1 &
server=$!
echo "$server"
exec >/dev/null 2>&1
{ read -r _ <&3; kill -INT "$server"; } &
watcher=$!
exec 3<&-
wait "$server"
kill "$watcher"
"""
"""The starter holds the other end of standard input; however it dies, the read ends and Postgres stops."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its `postmaster.pid` describes it."""

    pid: int
    port: int
    socket_directory: Path
    ready: bool

    def answers(self) -> bool:
        """Whether it says it is ready and takes a connection."""
        if not self.ready:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_directory / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


def find_postmaster(pgdata: Path) -> Postmaster | None:
    """The live server of a data directory; None when there is none, whatever a stale file says."""
    try:
        lines = (pgdata / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = parse_postmaster_file(lines)
    return found if found is not None and _works_in(found.pid, pgdata.resolve()) else None


def parse_postmaster_file(lines: Sequence[str]) -> Postmaster | None:
    """Read the lines of a `postmaster.pid`; None while Postgres is still writing its first ones.

    Source: `src/include/utils/pidfile.h`: pid, data directory, start time, port, socket directory,
    listen address, shared memory, status.
    """
    try:
        status = lines[7].strip() if len(lines) > 7 else ""  # noqa: PLR2004 - line number, see Source
        return Postmaster(int(lines[0]), int(lines[3]), Path(lines[4].strip()), status == "ready")
    except (IndexError, ValueError):
        return None


def launch(
    command: Sequence[str], log: Path, account: Account, *, tied: bool
) -> tuple[int, subprocess.Popen[bytes] | None]:
    """Start a server in a session of its own and return its process id at once.

    Args:
        log: file for what it says before its own logging works.
        tied: it stops (fast) when this process ends, however that happens.

    Returns:
        The process id and, when tied, the tether to hold and at last to give to `release`.
    """
    shell = subprocess.Popen(  # noqa: S603 - fixed script, arguments of ours
        ["/bin/sh", "-c", _TIED if tied else _DETACHED, "sh", str(log), *command],
        stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=server_environment(),
        start_new_session=True,
        **account.popen_options(),
    )
    assert shell.stdout is not None  # noqa: S101 - a pipe was asked for
    with shell.stdout as answer:
        line = answer.readline().strip()
    if tied and line:
        return int(line), shell
    release(shell)
    if not line:
        raise EmbeddedServerFault("the shell that starts PostgreSQL said nothing")
    return int(line), None


def release(tether: subprocess.Popen[bytes]) -> None:
    """Let go of a launched shell; the server it holds stops if it still runs."""
    if tether.stdin is not None:
        tether.stdin.close()
    tether.wait(_SHELL_TIMEOUT_S)


def await_ready(pgdata: Path, pid: int | None, timeout_s: float) -> Postmaster | None:
    """Wait until the server answers; None if it died or did not come up in time.

    Args:
        pid: the process just started, or None to wait for one that was found running.
    """

    def dead() -> bool:
        return not _is_live(pid) if pid is not None else find_postmaster(pgdata) is None

    def ready() -> Postmaster | None:
        found = find_postmaster(pgdata)
        return found if found is not None and found.answers() else None

    return _poll(ready, dead, timeout_s)


def signal_stop(postmaster: Postmaster, mode: StopMode, timeout_s: float) -> None:
    """Ask the server to stop and wait until it is gone."""
    process = psutil.Process(postmaster.pid)
    os.kill(postmaster.pid, _STOP_SIGNALS[mode])
    gone = _poll(lambda: not _is_live(process.pid) or None, lambda: False, timeout_s)
    if not gone:
        raise EmbeddedServerFault(f"PostgreSQL {postmaster.pid} did not stop ({mode}) in {timeout_s} s")


def clear_stale(pgdata: Path, sockets: Path, timeout_s: float) -> None:
    """Remove what a killed server left, once none of its processes is alive.

    Postgres itself refuses to start while the process id in one of these files is in use by anybody
    (a zombie, a stranger) and while a back end of the killed server still runs; those end by themselves.

    Args:
        sockets: the server's private directory of sockets.
    """
    stale = [path for path in (pgdata / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")) if path.exists()]
    if not stale:
        return
    directory = pgdata.resolve()
    alone = _poll(lambda: not _workers(directory) or None, lambda: False, timeout_s)
    if not alone:
        raise EmbeddedServerFault(f"processes of a killed server still run: {_workers(directory)}")
    for path in stale:
        path.unlink(missing_ok=True)


def server_environment() -> dict[str, str]:
    """The environment without PG* variables, which would change what the programs do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def _poll(probe: Callable[[], _T | None], hopeless: Callable[[], bool], timeout_s: float) -> _T | None:
    deadline = time.monotonic() + timeout_s
    while True:
        outcome = probe()
        if outcome is not None or hopeless() or time.monotonic() > deadline:
            return outcome
        time.sleep(_POLL_S)


def _workers(directory: Path) -> list[int]:
    return [pid for pid in psutil.pids() if _works_in(pid, directory)]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return (
            process.name().startswith("postgres")
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()) == directory
        )
    except psutil.Error:
        return False


def _is_live(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
