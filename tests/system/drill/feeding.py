"""The traffic of a drill: a few new contacts a second, some of them bad when asked for. Asserts nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
from tests.system.tenant import Tenant, event

from headwater.event.v1 import event_pb2

PAUSE_S: Final = 0.25
BATCH: Final = 3
QUARANTINED_IN: Final = 3
"""One event in so many breaks the contract."""
REFUSED_IN: Final = 50
"""One event in so many has a value that Salesforce does not take."""
TITLE_CHARS: Final = 200
"""A title of Salesforce has 128 characters at most."""


class Feed:
    """Sends contacts to a tenant from a thread of its own."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._over = threading.Event()
        self._silent = threading.Event()
        self._breaks_contract = threading.Event()
        self._breaks_values = threading.Event()
        self._sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(30)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Send nothing while the block runs."""
        self._silent.set()
        try:
            yield
        finally:
            self._silent.clear()

    @contextmanager
    def with_bad(self, *, contract: bool) -> Iterator[None]:
        """Send some bad ones while the block runs: against the contract, or against the CRM's rules."""
        chosen = self._breaks_contract if contract else self._breaks_values
        chosen.set()
        try:
            yield
        finally:
            chosen.clear()

    def _run(self) -> None:
        while not self._over.wait(PAUSE_S):
            if not self._silent.is_set():
                try:
                    self._tenant.record([self._contact() for _ in range(BATCH)])
                except grpc.RpcError:
                    continue  # a fault of the drill; what is sent next tells

    def _contact(self) -> event_pb2.Event:
        self._sent += 1
        number = self._sent
        payload = {"email": f"person{number}@example{number}.com", "last_name": f"Person {number}"}
        if self._breaks_contract.is_set() and number % QUARANTINED_IN == 0:
            del payload["email"]
        if self._breaks_values.is_set() and number % REFUSED_IN == 0:
            payload["title"] = "t" * TITLE_CHARS
        return event("erp", "contact", f"p{number}", number, **payload)
