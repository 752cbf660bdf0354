"""The supervisor: brings a stack up in order, keeps it so, and takes it down in reverse.

One per data directory, held by a file lock. SIGTERM and SIGINT end it; SIGHUP makes it read the sandbox account
again and start sync anew with that account's credentials.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from headwater.cli.migrating import migrate_all
from headwater.cli.stack.child import ChildRunner, Patience
from headwater.cli.stack.database import StackDatabase
from headwater.cli.stack.layout import Layout
from headwater.cli.stack.ports import keep_ports
from headwater.cli.stack.processes import ProcessId, end_processes
from headwater.cli.stack.services import Service, Surroundings, plan_services
from headwater.cli.stack.state import Child, StackState, read_state, write_state
from headwater.kernel.errors import HeadwaterError, StartRefused
from headwater.kernel.lifecycle import Shutdown, announce_ready

DEFAULT_ACCOUNT: Final = "local"
ORPHAN_GRACE_S: Final = 5.0
ACCOUNT_USER: Final = "sync"
"""The service that is given the account's credentials."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What a stack may be told."""

    layout: Layout
    trace_ratio: float = 1.0
    """Share of traces kept: all of them, a local stack is for looking."""
    patience: Patience = field(default_factory=Patience)


class Supervisor:
    """One life of one stack."""

    def __init__(self, settings: StackSettings, environment: Mapping[str, str]) -> None:
        self._layout = settings.layout
        self._settings = settings
        self._environment = dict(environment)
        self._runners: dict[str, ChildRunner] = {}
        self._state = StackState(ProcessId.of(os.getpid()), {})

    async def run(self, shutdown: Shutdown) -> None:
        """Run the stack until the end is asked for.

        Raises:
            StartRefused: another supervisor has the directory, or something does not start.
        """
        self._layout.make()
        with _lock(self._layout):
            end_orphans(read_state(self._layout.state))
            for left in self._layout.metrics.glob("*.json"):
                left.unlink(missing_ok=True)
            database = StackDatabase(self._layout, self._environment)
            self._change(ports=keep_ports(self._layout.ports), embedded_database=database.embedded)
            try:
                url = await database.start()
                await migrate_all(url)
                self._change(database_url=url)
                await self._serve(database, shutdown)
            except BaseException as error:
                self._state = replace(self._state, failure=_reason_of(error))
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await database.stop()
                self._leave()

    async def _serve(self, database: StackDatabase, shutdown: Shutdown) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.watch)
            tasks.start_soon(self._follow_account)
            tasks.start_soon(self._end_when_asked, shutdown, tasks.cancel_scope)
            account = read_account(self._layout)
            for service in self._plan(account):
                if shutdown.requested:
                    return
                runner = ChildRunner(service, self._layout.logs, self._child_changed, self._settings.patience)
                self._runners[service.name] = runner
                await tasks.start(runner.keep)
            self._change(ready=True, account=account)
            announce_ready(ports=self._state.ports)

    async def _end_when_asked(self, shutdown: Shutdown, everything: anyio.CancelScope) -> None:
        await shutdown.wait()
        self._change(ready=False)
        for name in reversed(tuple(self._runners)):
            await self._runners[name].stop()
        everything.cancel()

    async def _follow_account(self) -> None:
        with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
            async for _ in hangups:
                await self._take_account()

    async def _take_account(self) -> None:
        account = read_account(self._layout)
        runner = self._runners.get(ACCOUNT_USER)
        if runner is None or account == self._state.account:
            return
        service = next(service for service in self._plan(account) if service.name == ACCOUNT_USER)
        _log.info("sync starts anew for account %s", account)
        await runner.renew(service)
        self._change(account=account)

    def _plan(self, account: str) -> tuple[Service, ...]:
        state = self._state
        around = Surroundings(
            self._layout, state.ports, state.database_url, account, self._settings.trace_ratio
        )
        return plan_services(self._environment, around)

    def _child_changed(self, name: str, child: Child | None) -> None:
        children = {key: value for key, value in self._state.children.items() if key != name}
        self._change(children=children if child is None else children | {name: child})

    def _change(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        write_state(self._layout.state, self._state)

    def _leave(self) -> None:
        if self._state.failure:
            write_state(self._layout.state, replace(self._state, ready=False))
        else:
            self._layout.state.unlink(missing_ok=True)


def end_orphans(left: StackState | None) -> tuple[int, ...]:
    """End what a killed supervisor left running, told apart by id and start time."""
    if left is None:
        return ()
    ended = end_processes((child.process for child in left.children.values()), grace_s=ORPHAN_GRACE_S)
    if ended:
        _log.warning("ended processes that a killed supervisor left: %s", ended)
    return ended


def read_account(layout: Layout) -> str:
    """Return the sandbox account that sync is to have credentials for."""
    try:
        return layout.account.read_text(encoding="ascii").strip() or DEFAULT_ACCOUNT
    except FileNotFoundError:
        return DEFAULT_ACCOUNT


@contextmanager
def _lock(layout: Layout) -> Iterator[None]:
    with layout.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another stack runs on {layout.data_dir}"
            raise StartRefused(message, reason="ALREADY_RUNNING") from error
        yield


def _reason_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reason_of(item) for item in error.exceptions)
    return error.message if isinstance(error, HeadwaterError) else f"{type(error).__name__}: {error}"
