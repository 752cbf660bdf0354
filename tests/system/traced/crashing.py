"""Services that crash while events with planted values are on their way: what they write down of it goes to their logs."""

from __future__ import annotations

import os
import signal
from typing import Final

from tests.system.tenant import Tenant, event
from tests.system.traced.producing import DOMAIN, EMAIL, FIRST_NAME, LAST_NAME, PHONE, TOKEN

from headwater.event.v1 import event_pb2

CRASHED: Final = ("ingest", "identity", "sync")
EVENTS: Final = 200
DUMPED: Final = "Fatal Python error: Aborted"
"""What the interpreter writes when it is aborted, before the stack of every thread (faulthandler)."""


def crash(tenant: Tenant) -> None:
    """Start the ended services again, give them work, and abort each in the midst of it.

    Raises:
        AssertionError: one wrote no stack, so that nothing could be found in it.
    """
    world = tenant.world
    for name in ("sandbox", *CRASHED):
        world.children[name].start()
    tenant.record([_event(number) for number in range(EVENTS)])
    for name in CRASHED:
        os.kill(world.children[name].pid, signal.SIGABRT)
    for name in CRASHED:
        world.children[name].wait()
        assert DUMPED in world.children[name].log.read_text(encoding="utf-8", errors="replace"), name
    world.children["sandbox"].end()


def _event(number: int) -> event_pb2.Event:
    return event(
        "erp", "contact", f"crash-{number}", email=f"{EMAIL}.{number}@{DOMAIN}.example", first_name=FIRST_NAME,
        last_name=f"{LAST_NAME} {number}", phone=f"+49 {PHONE}{number:06}", api_key=f"{TOKEN}-{number}",
    )  # fmt: skip
