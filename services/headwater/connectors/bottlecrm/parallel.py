"""Questions asked a few at a time, where a vendor takes one a call. Knows no vendor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import anyio

from headwater.connectors.base.errors import CallFailed

SIDE_BY_SIDE: Final = 4
"""Calls under way at once; the account's gate may allow fewer."""
Key = TypeVar("Key")
Value = TypeVar("Value")


async def side_by_side(keys: Sequence[Key], ask: Callable[[Key], Awaitable[Value]]) -> dict[Key, Value]:
    """Return the answer to *ask* for each key.

    Raises: CallFailed, the first failure; questions not yet asked then stay unasked.
    Cancellation: the answers are lost.
    """
    answers: dict[Key, Value] = {}
    failed: list[CallFailed] = []
    waiting = iter(keys)

    async def work() -> None:
        for key in waiting:
            if failed:
                return
            try:
                answers[key] = await ask(key)
            except CallFailed as failure:
                failed.append(failure)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(SIDE_BY_SIDE, len(keys))):
            tasks.start_soon(work)
    if failed:
        raise failed[0]
    return answers
