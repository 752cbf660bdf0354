"""A replay as people see it: its row, and a bar that follows it to its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from headwater.cli.output import Output, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.wording import replay_state
from headwater.kernel.errors import HeadwaterError
from headwater.sync.v1 import sync_pb2

DISCARD_RATE_PER_S: Final = 1000.0
"""Deliveries a second that are discarded: no CRM hears of it."""
LOOK_S: Final = 0.5
"""Pause between two looks at a replay that is followed."""
_ENDED: Final = frozenset({sync_pb2.REPLAY_STATE_DONE, sync_pb2.REPLAY_STATE_CANCELLED})


class ReplayCancelled(HeadwaterError):
    """The replay that was followed was cancelled before it was done."""

    default_reason = "REPLAY_CANCELLED"


async def begin(
    session: Session, services: Services, request: sync_pb2.StartReplayRequest, *, yes: bool, follow_it: bool
) -> None:
    """Say how many deliveries *request* is for; with *yes* begin it and show it, to its end if *follow_it*.

    Raises:
        ReplayCancelled: somebody cancelled what was followed.
    """
    request.tenant_id = session.tenant_id
    request.replay_id = str(uuid.uuid4())
    request.dry_run = not yes
    request.actor.CopyFrom(session.actor)
    begun = (await services.ask(services.sync.StartReplay, request)).replay
    if yes and follow_it:
        begun = await follow(services, session.output, session.tenant_id, begun.replay_id)
    outcome = "discarded" if request.discard_reason else "due again"
    took_s = begun.total_count / request.rate_per_s
    would = f"{begun.total_count:,} deliveries would be {outcome} in {took_s:,.0f} s; add --yes"
    session.output.result(plain(begun) | {"dry_run": not yes}, replays_table([begun]) if yes else would)


def replays_table(replays: Iterable[sync_pb2.Replay]) -> Table:
    """Return replays as a table."""
    rows = [
        (
            item.replay_id,
            item.connector or "all",
            "discard" if item.discard_reason else "replay",
            item.group_id or "any cause",
            replay_state(item.state),
            f"{item.replayed_count:,} / {item.total_count:,}",
            item.rate_per_s,
            item.actor,
            moment(item.create_time),
        )
        for item in replays
    ]
    return table(("replay", "connector", "what", "group", "state", "done", "a second", "by", "begun"), rows)


async def follow(services: Services, output: Output, tenant_id: str, replay_id: str) -> sync_pb2.Replay:
    """Show a bar until the replay has ended; ends early by interruption, which leaves the replay running.

    Raises:
        ReplayCancelled: somebody cancelled it.
    """
    request = sync_pb2.GetReplayRequest(tenant_id=tenant_id, replay_id=replay_id)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.err, disable=output.as_json) as bar:
        task = bar.add_task("replaying")
        while True:
            replay = (await services.ask(services.sync.GetReplay, request)).replay
            bar.update(
                task,
                completed=replay.replayed_count,
                total=replay.total_count,
                description=replay_state(replay.state),
            )
            if replay.state in _ENDED:
                break
            await anyio.sleep(LOOK_S)
    if replay.state == sync_pb2.REPLAY_STATE_CANCELLED:
        raise ReplayCancelled(f"replay {replay_id} was cancelled after {replay.replayed_count:,} deliveries")
    return replay
