"""A replay as people see it: its row, and a bar that follows it to its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from headwater.cli.output import Output, table
from headwater.cli.plain import moment
from headwater.cli.services import Services
from headwater.cli.wording import replay_state
from headwater.kernel.errors import HeadwaterError
from headwater.sync.v1 import sync_pb2

LOOK_S: Final = 0.5
"""Pause between two looks at a replay that is followed."""
_ENDED: Final = frozenset({sync_pb2.REPLAY_STATE_DONE, sync_pb2.REPLAY_STATE_CANCELLED})


class ReplayCancelled(HeadwaterError):
    """The replay that was followed was cancelled before it was done."""

    default_reason = "REPLAY_CANCELLED"


def replays_table(replays: Iterable[sync_pb2.Replay]) -> Table:
    """Return replays as a table."""
    rows = [
        (
            item.replay_id,
            item.connector or "all",
            item.group_id or "any cause",
            replay_state(item.state),
            f"{item.replayed_count:,} / {item.total_count:,}",
            item.rate_per_s,
            item.actor,
            moment(item.create_time),
        )
        for item in replays
    ]
    return table(("replay", "connector", "group", "state", "done", "a second", "by", "begun"), rows)


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
