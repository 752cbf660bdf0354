"""A whole Headwater that asks everybody for a token, and everybody asking it everything."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from tests.fuzz.callers.asking import Asking, Pool
from tests.fuzz.callers.judging import breach_of
from tests.fuzz.callers.people import TENANTS, Caller, make_callers
from tests.fuzz.callers.planting import SECRET, plant
from tests.fuzz.callers.speaking import HANGS, UNSEEN, Answer, Lines, header_block
from tests.fuzz.callers.telling import Told
from tests.fuzz.methods import Request
from tests.fuzz.reporting import Report
from tests.fuzz.running import log_faults
from tests.integration.security.credentials import Credentials
from tests.integration.sync.whole import until
from tests.load.ingest.ground import free_port
from tests.system.processes import Child

from headwater.client import ChannelSecurity, ClientSettings, IngestClient
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import sync_pb2, sync_pb2_grpc

CALL_S: Final = 20
LATE_S: Final = 5
"""After its deadline a call that is not answered hangs."""
LINGER_S: Final = 0.02
"""What goes to a service waits so long for more of it, as do its answers: a third less CPU a request than at once."""
ANSWERS_MAX: Final = 50
"""Messages read of one answer that is a stream; then the call is given up."""
SERVICES: Final = ("ingest", "identity", "sync")
TELL_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Whole:
    """Three processes that believe *made*."""

    made: Credentials
    ports: Mapping[str, int]
    children: Sequence[Child]
    people: Sequence[Caller]
    planters: Mapping[str, str]
    """Token of each tenant's own administrator."""

    def address(self, service: str) -> str:
        """Return where a service listens, by its full name."""
        return f"127.0.0.1:{self.ports[service.split('.')[1]]}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is asked.

    Args:
        seconds: no longer than that.
        callers: calls under way at once.
    """

    requests: int
    seconds: float
    callers: int = 192


@contextmanager
def open_whole(database_url: str, folder: Path, chance: random.Random) -> Iterator[Whole]:
    """Start the three services; each calls the others with a token of its own. Everybody has a credential before."""
    made = Credentials(folder)
    people = make_callers(chance, made)
    planters = {tenant: made.token(tenants=(tenant,))[0] for tenant in TENANTS}
    token, _ = made.token(tenants=TENANTS)
    own = folder / "own.token"
    own.touch(mode=0o600)
    own.write_text(token, encoding="ascii")
    ports = {name: free_port() for name in SERVICES}
    taking = {name: value for name, value in made.settings.items() if not name.startswith("HEADWATER_TLS")}
    environment = {
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_INGEST_PROCESSES": "1",
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        "HEADWATER_DATA_DIR": str(folder / "data"),
        "HEADWATER_SYNC_AUDIT_DIR": "none",
        "HEADWATER_TOKEN_FILE": str(own),
        SECRET: json.dumps({"client_id": "headwater", "client_secret": "fuzz", "refresh_token": "fuzz"}),
        **{f"HEADWATER_{name.upper()}_ADDRESS": f"127.0.0.1:{port}" for name, port in ports.items()},
        **taking,
    }
    children = [Child(name, environment, folder / f"{name}.stderr") for name in SERVICES]
    try:
        for child in children:
            child.start()
        yield Whole(made, ports, children, people, planters)
    finally:
        for child in reversed(children):
            child.end()


async def prepare(whole: Whole) -> Pool:
    """Plant both tenants' data, wait until it is projected; return the ids that may be asked for."""
    pool = Pool()
    for tenant in TENANTS:
        security = ChannelSecurity(token=whole.planters[tenant])
        client = IngestClient(
            whole.address("headwater.ingest"), tenant, settings=ClientSettings(security=security)
        )
        async with client:
            await plant(client, tenant)
        async with open_channel(whole.address("headwater.sync"), security=security) as channel:
            stub: sync_pb2_grpc.SyncServiceAsyncStub = sync_pb2_grpc.SyncServiceStub(channel)
            await until(lambda stub=stub, tenant=tenant: _has_deliveries(stub, tenant, pool))  # type: ignore[misc]
    return pool


async def _has_deliveries(stub: Any, tenant: str, pool: Pool) -> bool:
    answer = await stub.ListDeliveries(sync_pb2.ListDeliveriesRequest(tenant_id=tenant), timeout=CALL_S)
    pool.note(answer)
    return bool(answer.deliveries)


class Driver:
    """One run: everybody asks everything."""

    def __init__(
        self, whole: Whole, asking: Asking, pool: Pool, pace: Pace, chance: random.Random,
        say: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.report = Report()
        self.tally: Counter[tuple[str, str]] = Counter()
        """Requests by caller and code."""
        self._whole, self._asking, self._pool, self._people = whole, asking, pool, whole.people
        self._pace, self._chance, self._say = pace, chance, say
        self._left = pace.requests
        self._lines = {
            name: Lines("127.0.0.1", port, ANSWERS_MAX, LINGER_S) for name, port in whole.ports.items()
        }
        self._ways: dict[str, Lines] = {}
        self._headers: dict[tuple[str, str], bytes] = {}

    async def run(self) -> Report:
        """Ask until all is asked or the time is up."""
        began = time.monotonic()
        self._end_at = began + self._pace.seconds
        self._told = began
        for method in self._asking.methods:
            service = method.service.split(".")[1]
            self._ways[method.path] = self._lines[service]
            for caller in self._people:
                address = f"127.0.0.1:{self._whole.ports[service]}"
                self._headers[method.path, caller.name] = header_block(
                    method.path, address, CALL_S, caller.metadata
                )
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(self._pace.callers):
                    tasks.start_soon(self._ask_on, began)
        finally:
            for lines in self._lines.values():
                lines.close()
        self.report.seconds = time.monotonic() - began
        for child in self._whole.children:
            lines_told = child.log.read_text(encoding="utf-8", errors="replace").splitlines()
            self.report.notes += [f"{child.name}: {fault}" for fault in log_faults(lines_told)]
        return self.report

    async def _ask_on(self, began: float) -> None:
        while self._left > 0 and time.monotonic() < self._end_at:
            self._left -= 1
            caller, request = self._chance.choice(self._people), self._asking.next()
            code, messages, said = await self._ask(caller, request)
            self.report.count(request, code, 0)
            self.tally[caller.name, code] += 1
            breach = breach_of(caller, request, code, messages + said)
            is_new = bool(breach) and self.report.found(request, f"caller {caller.name}: {breach}")
            if is_new and self._say:
                self._say(
                    f"found: {request.method.path} by {caller.name}: {breach} {request.wire.hex()[:400]}"
                )
            if code == "OK":
                self._pool.note(request.method.response.FromString(messages))
            self._tell(began)

    async def _ask(self, caller: Caller, request: Request) -> Answer:
        """Return what was answered; what the service went away from without a look is asked again."""
        path = request.method.path
        while True:
            line = await self._ways[path].open()
            try:
                async with asyncio.timeout(CALL_S + LATE_S):
                    answer = await line.call(self._headers[path, caller.name], request.wire)
            except TimeoutError:
                return HANGS, b"", b""
            if answer[0] != UNSEEN:
                return answer

    def _tell(self, began: float) -> None:
        now = time.monotonic()
        if self._say and now - self._told > TELL_S:
            self._told = now
            found = sum(self.report.breaches.values())
            self._say(
                f"{self.report.requests} requests, {self.report.requests / (now - began):.0f}/s, {found} findings"
            )


async def run(
    whole: Whole, chance: random.Random, pace: Pace, say: Callable[[str], None] | None = None
) -> Told:
    """Prepare, ask, and return what came of it."""
    pool = await prepare(whole)
    asking = Asking(chance, pool)
    driver = Driver(whole, asking, pool, pace, chance, say)
    report = await driver.run()
    return Told(report, [one.path for one in asking.methods], whole.people, driver.tally)
