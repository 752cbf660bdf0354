"""Long answers that come in steps: a bar on stderr while they come, the last step's result at the end."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any, Final, Protocol, TypeVar

import grpc
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headwater.cli.services import Services, told
from headwater.cli.session import Session
from headwater.kernel.errors import Unavailable

BAR_MIN: Final = 2_000
"""Rows from which a bar is worth its line."""


class Step(Protocol):
    """A message that says how far a long answer is."""

    scanned_count: int
    wanted_count: int

    def HasField(self, name: Any, /) -> bool:  # noqa: N802 - protobuf's name
        """Say whether the message has a field."""
        ...


_Step = TypeVar("_Step", bound=Step)


async def last_step(
    session: Session, services: Services, steps: AsyncIterable[_Step], what: str, result: str
) -> _Step:
    """Return the step that has *result*, with a bar of *what* while there is much.

    Raises:
        HeadwaterError: what the service said, or that it does not answer.
    """
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=session.output.err,
        transient=True,
        disable=session.output.as_json,
    )
    with bar:
        task, whole = None, None
        try:
            async for step in steps:  # to its very end: a call that is left open outlives its loop
                if step.HasField(result):
                    whole = step
                if task is None and step.wanted_count >= BAR_MIN:
                    task = bar.add_task(what, total=step.wanted_count)
                if task is not None:
                    bar.update(task, completed=step.scanned_count, total=step.wanted_count)
        except grpc.aio.AioRpcError as error:
            raise told(error, services.addresses, "headwater.sync.v1") from error
    if whole is None:
        raise Unavailable("sync ended the answer before it was whole")
    return whole
