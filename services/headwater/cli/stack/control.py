"""Starting, finding and ending a stack from another process. Owns no process itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

from headwater.cli.stack.child import log_end, open_log
from headwater.cli.stack.layout import Layout
from headwater.cli.stack.state import StackState, read_state, write_whole
from headwater.cli.stack.supervisor import end_orphans
from headwater.kernel.errors import StartRefused, Unavailable
from headwater.kernel.pg.embedded import EmbeddedPostgres

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 90.0
ACCOUNT_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05
_T = TypeVar("_T")


def find_stack(layout: Layout) -> StackState | None:
    """Return the stack that runs on this directory, None when none does."""
    state = read_state(layout.state)
    return state if state is not None and state.running else None


def start_stack(layout: Layout) -> tuple[StackState, bool]:
    """Make sure that a stack serves; return it and whether it was started now.

    Raises:
        StartRefused: it does not start; says why.
    """
    if find_stack(layout) is not None:
        return _await(lambda: _ready(layout, None), START_TIMEOUT_S, "the stack did not become ready"), False
    layout.make()
    with open_log(layout.logs / "stack.log") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "headwater.cli.stack", str(layout.data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _await(lambda: _ready(layout, process), START_TIMEOUT_S, "the stack did not become ready"), True


def stop_stack(layout: Layout) -> bool:
    """End the stack, or what a killed one left; return whether there was anything to end.

    Raises:
        Unavailable: it did not end in time.
    """
    state = read_state(layout.state)
    if state is None:
        return False
    supervisor = state.supervisor.find()
    if supervisor is not None:
        supervisor.send_signal(signal.SIGTERM)
        _await(lambda: state.supervisor.find() is None or None, STOP_TIMEOUT_S, "the stack did not end")
    ended = end_orphans(read_state(layout.state))
    server = EmbeddedPostgres(layout.postgres)
    running = state.embedded_database and server.pid is not None
    if running:
        server.stop()
    layout.state.unlink(missing_ok=True)
    return supervisor is not None or bool(ended) or running


def use_account(layout: Layout, account: str) -> StackState:
    """Give the running stack's connectors the credentials of *account*; return when sync serves with them."""
    write_whole(layout.account, account.encode("ascii"))
    state = find_stack(layout)
    if state is None:
        raise Unavailable("no stack runs here")
    if state.account != account:
        os.kill(state.supervisor.pid, signal.SIGHUP)

    def settled() -> StackState | None:
        found = find_stack(layout)
        sync = found.children.get("sync") if found else None
        return found if found and found.account == account and sync and sync.ready else None

    return _await(settled, ACCOUNT_TIMEOUT_S, f"sync did not take up account {account}")


def _ready(layout: Layout, starting: subprocess.Popen[bytes] | None) -> StackState | None:
    state = find_stack(layout)
    if state is not None and state.ready:
        return state
    if starting is not None and starting.poll() is not None:
        left = read_state(layout.state)
        why = left.failure if left is not None and left.failure else log_end(layout.logs / "stack.log")
        raise StartRefused(f"the stack does not start: {why}")
    if starting is None and state is None:
        raise StartRefused("the stack that was starting has ended")
    return None


def _await(probe: Callable[[], _T | None], timeout_s: float, failure: str) -> _T:
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise Unavailable(f"{failure} within {timeout_s:.0f} s", reason="TIMEOUT")
        time.sleep(_POLL_S)
