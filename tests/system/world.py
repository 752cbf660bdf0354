"""A whole Headwater for tests: the real processes on loopback ports against one database, and ways to look at it.

Owns starting and ending them, and the one waiter that polls. Must not know what a test asserts.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import grpc
import httpx
from tests.system.processes import Child
from tests.system.tenant import Tenant

from headwater.console.client import ConsoleClient
from headwater.console.model import StoredSpan
from headwater.identity.v1 import identity_pb2_grpc
from headwater.ingest.v1 import ingest_pb2_grpc
from headwater.sync.v1 import approvals_pb2_grpc, sync_pb2_grpc

ORDER: Final = ("console", "sandbox", "ingest", "identity", "sync")
"""Order of starting; the end is in reverse."""
ACCOUNTS: Final = tuple(f"t{number:02}" for number in range(40))
"""Names of the tenants of one world, each also the name of its accounts at the sandbox."""
CALL_S: Final = 20.0
POLL_S: Final = 0.05
"""Pause between two looks of the waiter: short against what is waited for, long against one look's cost."""
CALLS_MAX: Final = 1_000
"""Calls an account takes in its window: limits have tests of their own, these are not to wait for them."""
LEASE_TTL_S: Final = 2


class World:
    """Running processes and one client of each."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.database_url = database_url
        self.ports = _free_ports("ingest", "identity", "sync", "sandbox", "console", "otlp")
        self.children = {
            name: Child(name, self._environment(name, directory), directory / f"{name}.stderr")
            for name in ORDER
        }
        self._stack = ExitStack()
        self._left = iter(ACCOUNTS)

    def start(self) -> World:
        """Start every process and open the clients."""
        for name in ORDER:
            self.children[name].start()
        self.http = self._stack.enter_context(httpx.Client(base_url=self.sandbox_url, timeout=CALL_S))
        self.console = self._stack.enter_context(ConsoleClient(f"http://{self.address('console')}"))
        self.ingest = ingest_pb2_grpc.IngestServiceStub(self._channel("ingest"))
        self.identity = identity_pb2_grpc.IdentityServiceStub(self._channel("identity"))
        self.sync = sync_pb2_grpc.SyncServiceStub(self._channel("sync"))
        self.approvals = approvals_pb2_grpc.ApprovalServiceStub(self._channel("sync"))
        return self

    def close(self) -> None:
        """Close the clients, then end every process, the newest first."""
        self._stack.close()
        for name in reversed(ORDER):
            self.children[name].end()

    def kill(self, name: str) -> None:
        """End a process without a goodbye."""
        self.children[name].kill()

    def restart(self, name: str) -> None:
        """Start a process again that was killed or runs: same environment, same port; returns when ready."""
        self.children[name].end()
        self.children[name].start()

    def address(self, purpose: str) -> str:
        """host:port of a purpose."""
        return f"127.0.0.1:{self.ports[purpose]}"

    @property
    def sandbox_url(self) -> str:
        """Where the CRMs are."""
        return f"http://{self.address('sandbox')}"

    def tenant(self, **policy: Any) -> Tenant:
        """A new tenant with its policy in force and empty CRMs; *policy* as `policy_text` takes it."""
        tenant = Tenant(self, next(self._left))
        for vendor in ("hubspot", "salesforce"):
            place = f"/_sandbox/{vendor}/{tenant.id}"
            self.http.post(f"{place}/reset", json={"seed": False}).raise_for_status()
            self.http.put(f"{place}/options", json={"calls_max": CALLS_MAX}).raise_for_status()
        tenant.apply_policy(**policy)
        return tenant

    def until(self, question: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Return once *question* is answered with yes; the only place of these tests that waits.

        Raises:
            AssertionError: not within *timeout_s*; says what every process logged.
        """
        give_up_at = time.monotonic() + timeout_s
        while not question():
            if time.monotonic() > give_up_at:
                raise AssertionError(f"not within {timeout_s} s: {what}\n{self.logs()}")
            anyio.run(anyio.sleep, POLL_S)

    def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of one query against the database."""

        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.database_url, timeout=CALL_S)
            try:
                return await connection.fetch(sql, *arguments)
            finally:
                await connection.close()

        return anyio.run(ask)

    def spans(self, event_key: str) -> list[StoredSpan]:
        """Every span of the traces that name an event."""
        traces = self.console.traces(event_key=event_key, limit=500)
        return [span for summary in traces for span in self.spans_of(summary.trace_id)]

    def spans_of(self, trace_id: str) -> Sequence[StoredSpan]:
        """The spans of one trace; none when the store has none of it."""
        trace = self.console.trace(trace_id)
        return () if trace is None else trace.spans

    def logs(self) -> str:
        """The end of what every process said on stderr."""
        return "\n".join(child.log_end() for child in self.children.values())

    def _channel(self, purpose: str) -> grpc.Channel:
        return self._stack.enter_context(grpc.insecure_channel(self.address(purpose)))

    def _environment(self, name: str, directory: Path) -> dict[str, str]:
        if name == "console":
            return {
                "HEADWATER_CONSOLE_DATA_DIR": str(directory / "console"),
                "HEADWATER_CONSOLE_HTTP_PORT": str(self.ports["console"]),
                "HEADWATER_CONSOLE_OTLP_PORT": str(self.ports["otlp"]),
                **{
                    f"HEADWATER_{service.upper()}_ADDRESS": self.address(service)
                    for service in ("ingest", "identity", "sync")
                },
            }
        if name == "sandbox":
            return {
                "HEADWATER_SANDBOX_DATA_DIR": str(directory / "sandbox"),
                "HEADWATER_SANDBOX_PORT": str(self.ports["sandbox"]),
            }
        return {
            "HEADWATER_DATABASE_URL": self.database_url,
            "HEADWATER_INGEST_ADDRESS": self.address("ingest"),
            "HEADWATER_INGEST_PROCESSES": "1",  # what a test kills is the service, not its supervisor
            "HEADWATER_IDENTITY_ADDRESS": self.address("identity"),
            "HEADWATER_SYNC_ADDRESS": self.address("sync"),
            "HEADWATER_SYNC_LEASE_TTL_S": str(LEASE_TTL_S),
            "HEADWATER_DATA_DIR": str(directory / "data"),
            "HEADWATER_SYNC_AUDIT_DIR": "",
            "HEADWATER_TRACE_RATIO": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address('otlp')}",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            **{secret_variable(account): _credentials(account) for account in ACCOUNTS},
        }


@contextmanager
def running_world(database_url: str, directory: Path) -> Iterator[World]:
    """A world for as long as the block runs; whatever happens, no process outlives it."""
    world = World(database_url, directory)
    try:
        yield world.start()
    finally:
        world.close()


def secret_variable(account: str) -> str:
    """Name the environment variable with the credentials of an account."""
    return f"HEADWATER_SECRET_{account.upper()}"


def _credentials(account: str) -> str:
    return json.dumps(
        {
            "client_id": "headwater",
            "client_secret": "sandbox-secret",
            "refresh_token": f"sandbox-refresh-{account}",
        }
    )


def _free_ports(*purposes: str) -> dict[str, int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in purposes]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {purpose: probe.getsockname()[1] for purpose, probe in zip(purposes, probes, strict=True)}
