"""A backfill as people see it: its row, its objects, and a bar that follows it to its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from headwater.cli.output import Output, table
from headwater.cli.plain import moment
from headwater.cli.services import Services
from headwater.cli.wording import backfill_state
from headwater.kernel.errors import HeadwaterError
from headwater.sync.v1 import backfills_pb2 as pb

LOOK_S: Final = 0.5
"""Pause between two looks at a backfill that is followed."""
_ENDED: Final = frozenset(
    {pb.BACKFILL_STATE_DONE, pb.BACKFILL_STATE_CANCELLED, pb.BACKFILL_STATE_FAILED, pb.BACKFILL_STATE_PAUSED}
)


class BackfillStopped(HeadwaterError):
    """The backfill that was followed ended, or was paused, before it was done."""

    default_reason = "BACKFILL_STOPPED"


def backfills_table(backfills: Iterable[pb.Backfill]) -> Table:
    """Return backfills as a table."""
    rows = [
        (
            item.backfill_id,
            item.connector,
            _stretch(item),
            "count" if item.dry_run else backfill_state(item.state),
            f"{_read(item):,} / {_expected(item):,}" if _is_counted(item) else f"{_read(item):,}",
            _eta(item),
            f"{item.share:.0%}",
            item.finding,
        )
        for item in backfills
    ]
    return table(("backfill", "account", "stretch", "state", "read", "done at", "share", "waits for"), rows)


def parts_table(backfill: pb.Backfill) -> Table:
    """Return what a backfill does with each object as a table."""
    rows = [
        (
            part.crm_object,
            f"{part.expected_count:,}" if part.HasField("expected_count") else "",
            f"{part.predicted_calls:,}",
            f"{part.read_count:,}",
            f"{part.deleted_count:,}",
            f"{part.accepted_count:,}",
            f"{part.duplicate_count:,}",
            f"{part.quarantined_count:,}",
            f"{part.refused_count:,}",
            f"{part.absent_count:,}",
        )
        for part in backfill.parts
    ]
    columns = (
        "object",
        "counted",
        "calls",
        "read",
        "deleted",
        "new",
        "known",
        "quarantined",
        "refused",
        "absent",
    )
    return table(columns, rows)


def predicted(backfill: pb.Backfill) -> str:
    """Return in one sentence what reading a backfill takes."""
    calls = sum(part.predicted_calls for part in backfill.parts)
    return (
        f"{_expected(backfill):,} records in at least {calls:,} calls; at {backfill.share:.0%} of the account's limits "
        f"that takes at least {calls * backfill.call_pause_s:,.0f} s"
    )


async def follow(services: Services, output: Output, tenant_id: str, backfill_id: str) -> pb.Backfill:
    """Show a bar until the backfill has ended or was paused; interrupted, it leaves the backfill running.

    Raises:
        BackfillStopped: it was cancelled or paused, or has failed.
    """
    request = pb.GetBackfillRequest(tenant_id=tenant_id, backfill_id=backfill_id)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[eta]}"),
    )
    with Progress(*columns, console=output.err, disable=output.as_json) as bar:
        task = bar.add_task("counting", total=None, eta="")
        while True:
            found = (await services.ask(services.backfills.GetBackfill, request)).backfill
            counted = _is_counted(found)
            shown = found.finding or (backfill_state(found.state) if counted else "counting")
            total = max(_expected(found), _read(found)) if counted else None
            bar.update(task, completed=_read(found), total=total, description=shown, eta=_eta(found))
            if found.state in _ENDED:
                break
            await anyio.sleep(LOOK_S)
    if found.state != pb.BACKFILL_STATE_DONE:
        told = f"backfill {backfill_id} is {backfill_state(found.state)} after {_read(found):,} records"
        raise BackfillStopped(
            f"{told}: {found.finding}" if found.finding else f"{told}; headwater backfills resume"
        )
    return found


def _stretch(item: pb.Backfill) -> str:
    since = moment(item.since_time) if item.HasField("since_time") else "the beginning"
    return f"{since} to {moment(item.until_time)}"


def _eta(item: pb.Backfill) -> str:
    return moment(item.predicted_end_time) if item.HasField("predicted_end_time") else ""


def _is_counted(item: pb.Backfill) -> bool:
    return all(part.HasField("expected_count") for part in item.parts)


def _expected(item: pb.Backfill) -> int:
    return sum(part.expected_count for part in item.parts)


def _read(item: pb.Backfill) -> int:
    return sum(part.read_count for part in item.parts)
