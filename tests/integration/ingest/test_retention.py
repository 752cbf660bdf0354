"""What may be dropped from the log, and what stays of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.ingest.days import SHARDS, World, world
from tests.unit.ingest.arrivals import TENANT, new_event

from headwater.ingest.archiving import FileArchive, read_archive
from headwater.ingest.domain.event import Disposition
from headwater.ingest.ports import Archive, ArchiveFailed, DayKept
from headwater.ingest.usecases.keeping import Keeper, KeeperSettings, archive_day
from headwater.kernel.clock import SteppedClock
from headwater.kernel.errors import FieldViolation

pytestmark = pytest.mark.anyio
BROKEN = (FieldViolation("event.payload.email", "x", "format.email", "must be an address"),)
DUPLICATE = Disposition.DUPLICATE


def _keeper(log: World, archive: Archive | None, today: dt.date) -> Keeper:
    moment = dt.datetime.combine(today, dt.time(1), dt.UTC)
    settings = KeeperSettings(retention_days=30)
    return Keeper(log.days, archive, SteppedClock(moment), settings, random.Random(1))


async def _old_day(log: World, *, broken: bool = False) -> dt.date:
    """Record three events, open the day 31 days later and seal the first; return it."""
    events = [new_event(external_id=f"e-{number}") for number in range(3)]
    if broken:
        events[0] = new_event(violations=BROKEN)
    await log.fates(events)
    day = await log.today()
    assert await log.days.roll(day + dt.timedelta(days=31))
    await log.seal()
    return day


async def _states(log: World) -> list[str]:
    return [day.state for day in await log.days.list_days()]


async def test_an_old_day_is_archived_and_dropped_and_its_keys_stay(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """The archive holds every fact, its manifest agrees, and a re-send is still a duplicate."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        await _keeper(log, FileArchive(tmp_path), await log.today()).look()
        assert await _states(log) == ["dropped", "open"]
        path = tmp_path / f"event_{day:%Y%m%d}.jsonl.gz"
        facts = read_archive(path)
        assert {fact["external_id"] for fact in facts} == {"e-0", "e-1", "e-2"}
        manifest = json.loads((tmp_path / f"event_{day:%Y%m%d}.manifest.json").read_text())
        assert manifest["rows"] == 3
        assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert await log.fates([new_event(external_id="e-1")]) == [DUPLICATE]
        assert await log.replay() == []
        assert await log.pool.fetchval("SELECT ingest.count_accepted($1)", TENANT) == 3
        assert await log.pool.fetchval("SELECT to_regproc('ingest.' || ingest.reader_name($1))", day) is None


async def test_a_reader_that_never_reported_holds_the_drop_back(migrated_database_url: str) -> None:
    """Nobody knows what it has read."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        await _keeper(log, None, await log.today()).look()
        assert await _states(log) == ["sealed", "open"]


async def test_a_reader_that_is_behind_holds_the_drop_back(migrated_database_url: str) -> None:
    """Even one that nobody asked for; it is dropped once that has read on."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        await log.read_all()
        await log.report(dict.fromkeys(SHARDS, (0, 0)), reader="warehouse")
        keeper = _keeper(log, None, await log.today())
        await keeper.look()
        assert await _states(log) == ["sealed", "open"]
        await log.report(dict.fromkeys(SHARDS, (2**62, 0)), reader="warehouse")
        await keeper.look()
        assert await _states(log) == ["dropped", "open"]


async def test_an_open_quarantine_entry_holds_the_drop_back(migrated_database_url: str) -> None:
    """Somebody may still release it."""
    async with world(migrated_database_url) as log:
        await _old_day(log, broken=True)
        await log.read_all()
        keeper = _keeper(log, None, await log.today())
        await keeper.look()
        assert await _states(log) == ["sealed", "open"]
        await log.pool.execute(
            "UPDATE ingest.quarantine SET state = 3, discard_reason = 'no', close_time = now()"
        )
        await keeper.look()
        assert await _states(log) == ["dropped", "open"]


@pytest.mark.parametrize(("command", "state"), [("true", "dropped"), ("false", "sealed")])
async def test_the_hook_decides(migrated_database_url: str, tmp_path: Path, command: str, state: str) -> None:
    """A day is dropped only when the operator's command took its archive."""
    async with world(migrated_database_url) as log:
        await _old_day(log)
        await log.read_all()
        await _keeper(log, FileArchive(tmp_path, command=command), await log.today()).look()
        assert await _states(log) == [state, "open"]


async def test_an_archive_that_lacks_rows_is_refused(migrated_database_url: str, tmp_path: Path) -> None:
    """The number of rows is that of the keys that were sealed."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.pool.execute("DELETE FROM ingest.event WHERE external_id = 'e-1' AND record_day = $1", day)
        with pytest.raises(ArchiveFailed, match="holds 2 rows"):
            await archive_day(log.days, FileArchive(tmp_path), (await log.days.list_days())[0])


async def test_the_database_itself_refuses_to_drop_too_early(migrated_database_url: str) -> None:
    """Whoever asks: not the open day, not one that is not archived."""
    async with world(migrated_database_url) as log:
        day = await _old_day(log)
        await log.read_all()
        for wanted, archived in ((day, True), (await log.today(), False)):
            with pytest.raises(DayKept):
                await log.days.drop(wanted, ["sync"], archived=archived)
        assert await _states(log) == ["sealed", "open"]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_an_operator_lists_archives_and_drops(migrated_database_url: str, tmp_path: Path) -> None:
    """By the command line: dropping says first what it would do."""
    async with world(migrated_database_url) as log:
        day = (await _old_day(log)).isoformat()
        await log.read_all()
    environment = {
        **os.environ,
        "HEADWATER_DATABASE_URL": migrated_database_url,
        "HEADWATER_INGEST_ARCHIVE_DIR": str(tmp_path),
        "HEADWATER_DATA_DIR": str(tmp_path / "stack"),
        "HEADWATER_DURABILITY_OVERRIDE": "true",
    }

    def say(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "headwater.cli", "log", *words, "--json"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
        return answer

    assert [item["state"] for item in say("days")["days"]] == ["sealed", "open"]
    assert say("expire") == {"due": [], "dry_run": True}
    assert say("drop", day)["blockers"][0]["reason"] == "NOT_ARCHIVED"
    assert say("drop", day, "--yes")["error"]["reason"] == "DAY_KEPT"
    assert say("archive", day)["rows"] == 3
    assert say("drop", day)["blockers"] == []
    assert say("drop", day, "--yes")["dropped"]
    assert [item["state"] for item in say("days")["days"]] == ["dropped", "open"]
    assert say("archive", "yesterday")["error"]["reason"] == "MALFORMED"
