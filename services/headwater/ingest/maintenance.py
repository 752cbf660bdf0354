"""`python -m headwater.ingest.maintenance`: what an operator does with the log's days, without a running service.

Prints one JSON document. The `headwater log` commands start it as a process, as they start the services.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import anyio
import msgspec

from headwater.ingest.app import letting_go, maintaining
from headwater.ingest.domain.days import Day
from headwater.ingest.ports import Archive, DayKept, Days
from headwater.ingest.settings import NO_ARCHIVE, IngestSettings
from headwater.ingest.usecases.keeping import archive_day
from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.errors import HeadwaterError, InvalidInput, NotFound, StartRefused
from headwater.kernel.settings import read_settings

FAILED = 1


async def run(words: Sequence[str], settings: IngestSettings, clock: Clock | None = None) -> dict[str, Any]:
    """Do one thing: `days`, `archive DAY`, `drop DAY` (only says what stands against it without `yes`), or `expire`
    (only says what is due without `yes`).

    Raises:
        InvalidInput, NotFound, DayKept, ArchiveFailed, StartRefused: why it is not done.
    """
    if list(words) in (["expire"], ["expire", "yes"]):
        return await _expire(settings, (clock or SystemClock()).now().date(), yes="yes" in words)
    async with maintaining(settings) as (days, archive):
        match list(words):
            case ["days"]:
                return {"days": [_shown(day) for day in await days.list_days()]}
            case ["archive", text]:
                return await _archive(days, archive, await _find(days, text))
            case ["drop", text, *rest] if rest in ([], ["yes"]):
                return await _drop(days, await _find(days, text), settings, yes=bool(rest))
    raise InvalidInput(f"not understood: {' '.join(words)}")


async def _archive(days: Days, archive: Archive | None, day: Day) -> dict[str, Any]:
    if archive is None:
        raise StartRefused("set HEADWATER_INGEST_ARCHIVE_DIR to the directory of the archives")
    if day.state != "sealed":
        raise DayKept(f"day {day.day} is {day.state}: only a sealed day is archived")
    path = await archive_day(days, archive, day)
    return {"day": day.day.isoformat(), "rows": day.rows, "archive": path}


async def _drop(days: Days, day: Day, settings: IngestSettings, *, yes: bool) -> dict[str, Any]:
    archived = settings.archive_dir != NO_ARCHIVE
    if yes:
        await days.drop(day.day, settings.reader_names, archived=archived)
    blockers = [] if yes else await days.blockers(day.day, settings.reader_names, archived=archived)
    return {
        "day": day.day.isoformat(),
        "rows": day.rows,
        "bytes": day.bytes,
        "dropped": yes,
        "dry_run": not yes,
        "blockers": [asdict(item) for item in blockers],
    }


async def _expire(settings: IngestSettings, today: dt.date, *, yes: bool) -> dict[str, Any]:
    """Let go what tenants' policies keep no longer, or say what that would be."""
    async with letting_go(settings) as expiry:
        due = await expiry.due(today)
        if yes:
            await expiry.expire(today)
            await expiry.tell()
        stays = {(item.tenant_id, item.day): item.rows for item in (await expiry.due(today) if yes else due)}
        shown = []
        for item in due:
            _, kept = await expiry.kept(item.tenant_id, today)
            left = stays.get((item.tenant_id, item.day), 0)
            shown.append(
                {
                    "tenant_id": item.tenant_id,
                    "day": item.day.isoformat(),
                    "events": item.rows,
                    "held": item.held,
                    "left": left,
                    "archived_first": expiry.archives(expiry.keeping_of(item.tenant_id)) or item.archived,
                    "blockers": list(kept.blockers) if left else [],
                }
            )
        return {"due": shown, "dry_run": not yes}


async def _find(days: Days, text: str) -> Day:
    try:
        wanted = dt.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no day; write it as 2026-01-31") from error
    for day in await days.list_days():
        if day.day == wanted:
            return day
    raise NotFound(f"the log has no day {wanted}", reason="DAY_NOT_FOUND")


def _shown(day: Day) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "rows": day.rows,
        "bytes": day.bytes,
        "expired": day.expired,
        "state": day.state,
        "archive": day.archive_path,
    }


def main(words: Sequence[str]) -> int:
    """Run, print, and return the exit code."""
    try:
        result = anyio.run(run, words, read_settings(IngestSettings, os.environ))
    except HeadwaterError as error:
        result = {"error": {"reason": error.reason, "message": error.message}}
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    return FAILED if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
