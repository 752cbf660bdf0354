"""The calls that a server has under way: how many there may be, and how they end when the server does.

Owns the count and the early end of calls; sees neither requests nor answers. For one event loop. A call runs in a
task of grpc.aio's, which can only be ended from outside by cancelling it: `cut` cancels, `reason_of` says why.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

import anyio

from headwater.kernel.errors import (
    Conflict,
    HeadwaterError,
    InvalidInput,
    NotFound,
    Overloaded,
    PreconditionFailed,
    Unavailable,
)
from headwater.kernel.metrics import Metrics
from headwater.kernel.metrics import names as metric_names

SHUTTING_DOWN: Final = "SHUTTING_DOWN"
REQUEST_STALLED: Final = "REQUEST_STALLED"
TOO_MANY_CALLS: Final = "TOO_MANY_CALLS"
TOO_MANY_OF_CALLER: Final = "TOO_MANY_CALLS_OF_CALLER"

_log = logging.getLogger(__name__)

_CODES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (asyncio.CancelledError, "cancelled"),
    (InvalidInput, "caller"),
    (NotFound, "caller"),
    (Conflict, "caller"),
    (PreconditionFailed, "caller"),
    (Overloaded, "exhausted"),
    (Unavailable, "unavailable"),
)
"""Errors to the `code` of the metric; whatever else comes is `internal`."""

_Task = asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Bounds of calls.

    Args:
        calls_max: calls under way at once in this process; the next one is told to come back.
        principal_share: of those, 0..1, that one caller with a credential may have, so that others find room.
        retry_after_s: when to come back.
        request_s: longest time that a unary call may take to bring its request; a stalled sender is told off.
        sweep_s: how often stalled senders are looked for.
    """

    calls_max: int = 4_096
    principal_share: float = 0.5
    retry_after_s: float = 0.25
    request_s: float = 20.0
    sweep_s: float = 1.0


class Calls:
    """The calls under way in one server."""

    def __init__(self, settings: CallSettings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        answered = (metrics or Metrics()).counter(metric_names.RPC_CALLS)
        self._ok = answered.of("ok")
        self._answered = {kind: answered.of(code) for kind, code in _CODES}
        self._internal = answered.of("internal")
        self._running: set[_Task] = set()
        self._principal_max = max(1, int(settings.calls_max * settings.principal_share))
        self._of_principal: dict[str, int] = {}
        self._principals: dict[_Task, str] = {}
        self._reading: dict[_Task, int] = {}
        self._sweeps = 0
        self._sweeps_max = max(1, round(settings.request_s / settings.sweep_s))
        self._cut: dict[_Task, HeadwaterError] = {}
        self._ending = False
        self._idle = anyio.Event()
        self.cut_at_end = 0
        """Calls that the end of the server cut off without an answer of their own."""

    @property
    def count(self) -> int:
        """Calls under way now."""
        return len(self._running)

    def begin(self, task: _Task, *, reading: bool) -> None:
        """Count a call in.

        Raises:
            Overloaded: there are too many.
            Unavailable: the server is ending.
        """
        if self._ending:
            raise _ending()
        if len(self._running) >= self._settings.calls_max:
            message = f"{self._settings.calls_max} calls are under way; come back later"
            raise Overloaded(message, retry_after_s=self._settings.retry_after_s, reason=TOO_MANY_CALLS)
        self._running.add(task)
        if reading:
            self._reading[task] = self._sweeps

    def claim(self, task: _Task, subject: str) -> None:
        """Count a call to its caller, once that is known.

        Raises:
            Overloaded: that caller has its share of calls under way already; others still find room.
        """
        count = self._of_principal.get(subject, 0)
        if count >= self._principal_max:
            message = f"{count} calls of {subject!r} are under way, which is its share; come back later"
            raise Overloaded(
                message,
                retry_after_s=self._settings.retry_after_s,
                quota_subject=subject,
                reason=TOO_MANY_OF_CALLER,
            )
        self._of_principal[subject] = count + 1
        self._principals[task] = subject

    def answered(self, error: BaseException | None = None) -> None:
        """Count how a call was answered: well, or with *error*."""
        if error is None:
            self._ok.add()
            return
        found = (series for kind, series in self._answered.items() if isinstance(error, kind))
        next(found, self._internal).add()

    def has_request(self, task: _Task) -> None:
        """Note that the request of a unary call is here."""
        del self._reading[task]

    def end(self, task: _Task) -> None:
        """Count a call out, whether it was counted in or not."""
        self._running.discard(task)
        self._reading.pop(task, None)
        subject = self._principals.pop(task, None)
        if subject is not None:
            left = self._of_principal.pop(subject) - 1
            if left:
                self._of_principal[subject] = left
        if self._ending and not self._running:
            self._idle.set()

    def reason_of(self, task: _Task) -> HeadwaterError | None:
        """Return why *task* was cancelled, None when it was not this server that cancelled it; asked once."""
        reason = self._cut.pop(task, None)
        if reason is not None:
            task.uncancel()
        return reason

    def refuse_new(self) -> None:
        """Refuse calls that begin from now on: the server is ending."""
        self._ending = True
        if not self._running:
            self._idle.set()

    async def idle(self) -> None:
        """Return when no call is under way, once new ones are refused."""
        await self._idle.wait()

    def cut_all(self) -> None:
        """Cut off every call under way; each caller is told that the server ends."""
        self.cut_at_end += len(self._running)
        for task in tuple(self._running):
            self._cut_off(task, _ending())

    async def watch(self) -> None:
        """Cut off unary calls whose request does not come, until cancelled."""
        while True:
            await anyio.sleep(self._settings.sweep_s)
            self._sweeps += 1
            self.sweep()

    def sweep(self) -> None:
        """Cut off the unary calls whose request was begun too many sweeps ago."""
        for task, begun in tuple(self._reading.items()):
            if self._sweeps - begun <= self._sweeps_max:
                break  # in order of their beginning
            del self._reading[task]
            message = f"the request did not arrive within {self._settings.request_s:g} s"
            self._cut_off(task, Unavailable(message, reason=REQUEST_STALLED))

    def _cut_off(self, task: _Task, reason: HeadwaterError) -> None:
        if not task.done():
            self._cut[task] = reason
            task.add_done_callback(self._forget)
            task.cancel()

    def _forget(self, task: _Task) -> None:
        self._cut.pop(task, None)


def _ending() -> Unavailable:
    return Unavailable("the service is shutting down; send again", reason=SHUTTING_DOWN)
