"""A real BottleCRM: its own environment, its own database, served by gunicorn on loopback. Knows no connector.

The environment is made by `make test-realcrm` in `.peers/realcrm/python`; the directory beside it keeps a PostgreSQL with
a migrated template database, since BottleCRM's migrations take minutes. Where `HEADWATER_DATABASE_URL` names a server,
that one is used, nothing is kept in it, and the migrations run each time.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import asyncpg
import httpx
import psutil
from tests.load.ingest.ground import free_port

from headwater.kernel.pg.dsn import database_url, with_database
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.testing.postgres import TEST_SETTINGS

DIRECTORY: Final = "HEADWATER_REALCRM"
"""Names the directory of the environment; without it `.peers/realcrm`."""
RELEASE: Final = "1.35.0"
ROLE: Final = "bottlecrm"
TEMPLATE: Final = f"bottlecrm_template_{RELEASE.replace('.', '_')}"
PERSON: Final = "ada@example.org"
MIGRATE_S_MAX: Final = 900.0
READY_S_MAX: Final = 60.0
CALL_S: Final = 60.0
_WRITTEN: Final = ("contacts", "leads", "accounts", "opportunities", "tasks", "custom-fields")
SCOPES: Final = (
    *(f"{name}:{action}" for name in _WRITTEN for action in ("read", "write")),
    "activities:read",
)
"""What the connector needs, no more."""


@dataclass(frozen=True, slots=True)
class Org:
    """One organization of the server.

    Args:
        token: a personal access token of its administrator with `SCOPES`.
        session: a signed-in session of the same person, for what tests do behind the connector's back.
    """

    id: str
    token: str = field(repr=False)
    session: str = field(repr=False)


class BottleCrm:
    """A database of BottleCRM's, and its server, which can be ended, killed and started again."""

    def __init__(self, python: Path, url: str, directory: Path, secret: str, admin_url: str = "") -> None:
        """Describe it; nothing is started.

        Args:
            python: the environment's directory.
            url: the database, as its owner.
            directory: where the server runs and writes its logs.
            admin_url: the same database as one whom row level security lets read everything.
        """
        self.url = url
        self.admin_url = admin_url or url
        self.directory = directory
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._python = python
        self._environment = {**_clean_environment(python), **_settings(url, secret)}
        self._process: subprocess.Popen[bytes] | None = None
        self._session = ""

    def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            RuntimeError: it does not; carries the end of its log.
        """
        command = [
            str(self._python / "bin" / "gunicorn"),
            "crm.wsgi:application",
            "--bind",
            f"127.0.0.1:{self.port}",
        ]
        with (self.directory / "gunicorn.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--workers", "2", "--threads", "2", "--graceful-timeout", "5", "--no-control-socket"],
                env=self._environment, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        give_up_at = time.monotonic() + READY_S_MAX
        while not self._answers():
            if time.monotonic() > give_up_at or self._process.poll() is not None:
                raise RuntimeError(f"BottleCRM did not start: {self.log_end()}")
            time.sleep(0.1)

    def end(self) -> None:
        """End the server: SIGTERM, which lets calls end."""
        if self._process is not None:
            self._process.terminate()
            self._reap(15.0)

    def kill(self) -> None:
        """Kill the server with its workers: calls under way lose their answers."""
        if self._process is None:
            return
        family = psutil.Process(self._process.pid)
        for one in (family, *family.children(recursive=True)):
            one.send_signal(signal.SIGKILL)
        self._reap(15.0)

    def org(self, name: str) -> Org:
        """Make an organization, and a scoped token of its administrator."""
        with httpx.Client(base_url=self.base_url, timeout=CALL_S) as http:
            signed_in = _bearer(self._signed_in())
            made = http.post("/api/org/", json={"name": name}, headers=signed_in).raise_for_status().json()
            org_id = str(made["org"]["id"])
            switched = http.post("/api/auth/switch-org/", json={"org_id": org_id}, headers=signed_in)
            session = str(switched.raise_for_status().json()["access_token"])
            body = {"name": "headwater", "scopes": list(SCOPES)}
            told = http.post("/api/profile/tokens/", json=body, headers=_bearer(session)).raise_for_status()
            return Org(org_id, str(told.json()["token"]), session)

    def client(self, org: Org) -> httpx.Client:
        """Return a client with a person's session."""
        return httpx.Client(base_url=self.base_url, timeout=CALL_S, headers=_bearer(org.session))

    def log_end(self) -> str:
        """Return the last lines of the server's log."""
        log = self.directory / "gunicorn.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""

    def run(self, *arguments: str, timeout_s: float, **more: str) -> str:
        """Run one of BottleCRM's own commands and return what it says.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [str(self._python / "bin" / "django-admin"), *arguments],
            env={**self._environment, **more}, cwd=self.directory, capture_output=True, text=True, check=False,
            timeout=timeout_s,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"django-admin {arguments[0]} failed: {done.stderr[-1500:]}")
        return done.stdout

    def _signed_in(self) -> str:
        if not self._session:
            told = self.run("devlogin", PERSON, "--create", timeout_s=60.0, DEBUG="True")
            found = re.search(r"access_token:\s+(\S+)", told)
            if found is None:
                raise RuntimeError("devlogin printed no token")
            self._session = found.group(1)
        return self._session

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/healthz/", timeout=5.0).status_code < 500
        except httpx.TransportError:
            return False

    def _reap(self, timeout_s: float) -> None:
        process = self._process
        assert process is not None
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
        self._process = None


@contextmanager
def bottle_crm(progress: Any = None) -> Iterator[BottleCrm]:
    """A running BottleCRM with an empty database of its own; both are gone at the end.

    Args:
        progress: told, in words, what takes long.

    Raises:
        RuntimeError: its environment is not installed.
    """
    say = progress or (lambda _words: None)
    home = Path(os.environ.get(DIRECTORY, ".peers/realcrm")).absolute()
    if not (home / "python" / "bin" / "gunicorn").exists():
        raise RuntimeError(f"BottleCRM is not installed in {home}: run `make realcrm`")
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="headwater-realcrm-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        url, admin_url = stack.enter_context(_database(home, directory, say))
        crm = BottleCrm(home / "python", url, directory, secrets.token_urlsafe(48), admin_url)
        say("starting BottleCRM")
        stack.callback(crm.kill)
        crm.start()
        yield crm


@contextmanager
def _database(home: Path, directory: Path, say: Any) -> Iterator[tuple[str, str]]:
    if named := database_url(os.environ):
        role, name = f"{ROLE}_{secrets.token_hex(4)}", f"{ROLE}_{secrets.token_hex(4)}"
        with _made(named, role, name, None) as url:
            _migrate(home, url, directory, say)
            yield url, with_database(named, name)
        return
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another run uses the PostgreSQL of {home}") from None
        with _kept_server(home, directory, say) as found:
            yield found


@contextmanager
def _kept_server(home: Path, directory: Path, say: Any) -> Iterator[tuple[str, str]]:
    server = EmbeddedPostgres(home / "postgres", settings=TEST_SETTINGS)
    try:
        admin = server.start()
        anyio.run(_prepare_template, admin, home, directory, say)
        name = f"{ROLE}_{secrets.token_hex(4)}"
        with _made(admin, ROLE, name, TEMPLATE) as url:
            yield url, with_database(admin, name)
    finally:
        server.stop("fast")


async def _prepare_template(admin: str, home: Path, directory: Path, say: Any) -> None:
    connection = await asyncpg.connect(admin, timeout=CALL_S)
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", ROLE):
            await connection.execute(f"create role {ROLE} login")
        if await connection.fetchval("select 1 from pg_database where datname = $1", TEMPLATE):
            return
        partial = f"{TEMPLATE}_partial"
        await connection.execute(f"drop database if exists {partial} with (force)")
        await connection.execute(f"create database {partial} owner {ROLE}")
        _migrate(home, _as_role(with_database(admin, partial), ROLE, ""), directory, say)
        await connection.execute(f"alter database {partial} rename to {TEMPLATE}")
    finally:
        await connection.close()


@contextmanager
def _made(admin: str, role: str, name: str, template: str | None) -> Iterator[str]:
    """A database of a role that is no superuser, since BottleCRM keeps organizations apart by row level security."""
    password = secrets.token_urlsafe(24)
    own_role = template is None
    begin = [f"create role {role} login password '{password}'"] if own_role else []
    copied = f" template {template}" if template else ""
    anyio.run(_execute, admin, [*begin, f"create database {name} owner {role}{copied}"])
    try:
        yield _as_role(with_database(admin, name), role, password if own_role else "")
    finally:
        end = [f"drop role {role}"] if own_role else []
        anyio.run(_execute, admin, [f"drop database {name} with (force)", *end])


async def _execute(admin: str, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(admin, timeout=CALL_S)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _migrate(home: Path, url: str, directory: Path, say: Any) -> None:
    say("migrating BottleCRM's database; it takes some minutes, once")
    BottleCrm(home / "python", url, directory, secrets.token_urlsafe(48)).run(
        "migrate", timeout_s=MIGRATE_S_MAX
    )


def _as_role(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    _user, _at, host = parts.netloc.rpartition("@")
    who = f"{role}:{password}" if password else role
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{who}@{host}{parts.path}{query}"


def _settings(url: str, secret: str) -> Mapping[str, str]:
    """Return BottleCRM's own settings: mail to the log, tasks into memory, since no worker is needed for its API."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return {
        "DJANGO_SETTINGS_MODULE": "crm.settings",
        "SECRET_KEY": secret,
        "ENV_TYPE": "dev",
        "DEBUG": "False",
        "DBNAME": parts.path.lstrip("/"),
        "DBUSER": unquote(parts.username or ""),
        "DBPASSWORD": unquote(parts.password or "none"),
        "DBHOST": query.get("host", [parts.hostname or "127.0.0.1"])[0],
        "DBPORT": query.get("port", [str(parts.port or 5432)])[0],
        "CELERY_BROKER_URL": "memory://",
        "CELERY_RESULT_BACKEND": "cache+memory://",
    }


def _clean_environment(python: Path) -> dict[str, str]:
    """Return this process's environment without what would lead BottleCRM's Python to our modules."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEADWATER_"))
    }
    return {**kept, "PATH": f"{python / 'bin'}{os.pathsep}{kept.get('PATH', '')}", "VIRTUAL_ENV": str(python)}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
