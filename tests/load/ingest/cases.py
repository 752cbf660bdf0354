"""The cases of the ingest bench, as data, and how one of them is measured once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from tests.load.ingest.driver import Plan
from tests.load.ingest.ground import Ground, Service, noop_server, peer_command, peers_directory
from tests.load.ingest.meters import Usage, read_usage, rss_bytes
from tests.load.ingest.stages import Measurement, MeasurementFailed, module, run

Kind = Literal["limit", "noop", "ours", "peer"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured in each round.

    Args:
        argument: the limit's or the peer's name; empty for servers.
        plan: the load on a server; None for the others. Address, run and seconds are filled in.
    """

    name: str
    kind: Kind
    argument: str = ""
    plan: Plan | None = None


def _plan(road: Literal["unary", "batch", "stream"], callers: int, events: int, **more: Any) -> Plan:
    return Plan(address="", road=road, callers=callers, events=events, seconds=0, run="", **more)


STREAMS: Final = 4
WINDOW: Final = 5
"""4 streams of 5 messages of 100 under way: 2,000 events, two commits. More is not faster, only later."""
SINGLE_STREAMS: Final = 8
SINGLE_WINDOW: Final = 256
"""Messages of one event each that a stream has under way."""

_SINGLE: Final = _plan("stream", SINGLE_STREAMS, 1, window=SINGLE_WINDOW)
_BATCHED: Final = _plan("stream", STREAMS, 100, window=WINDOW)
CASES: Final = (
    Case("raw copy", "limit", "copy"),
    Case("ours stream 100", "ours", plan=_BATCHED),
    Case("raw unnest", "limit", "unnest"),
    Case("ours stream 100 repeats", "ours", plan=replace(_BATCHED, repeat=True)),
    Case("raw one row", "limit", "one_row"),
    Case("ours unary 1", "ours", plan=_plan("unary", 1, 1)),
    Case("noop unary 1", "noop", plan=_plan("unary", 1, 1)),
    Case("noop unary 16", "noop", plan=_plan("unary", 16, 1)),
    Case("ours unary 16", "ours", plan=_plan("unary", 16, 1)),
    Case("noop stream 1x8", "noop", plan=_SINGLE),
    Case("ours stream 1x8", "ours", plan=_SINGLE),
    Case("ours batch 100x16", "ours", plan=_plan("batch", 16, 100)),
    Case("noop batch 100x16", "noop", plan=_plan("batch", 16, 100)),
    Case("ours batch 500x16", "ours", plan=_plan("batch", 16, 500)),
    Case("noop unary 64", "noop", plan=_plan("unary", 64, 1)),
    Case("ours unary 64", "ours", plan=_plan("unary", 64, 1)),
    Case("peer pgqueuer", "peer", "pgqueuer"),
    Case("peer graphile-worker", "peer", "graphile-worker"),
    Case("peer pg-boss", "peer", "pg-boss"),
    Case("peer procrastinate", "peer", "procrastinate"),
)
PEERS: Final = tuple(case.name for case in CASES if case.kind == "peer")


class Bench:
    """Measures cases on one ground.

    Args:
        processes: server processes of the no-op server: as many as ours has.
        otlp: where the service under test sends its spans.
    """

    def __init__(self, ground: Ground, seconds: float, processes: int, otlp: str) -> None:
        self._ground = ground
        self._seconds = seconds
        self._processes = processes
        self._otlp = otlp
        self._runs = 0

    async def measure(self, case: Case) -> Measurement:
        """Measure *case* once and check its counts.

        Raises:
            MeasurementFailed: it could not be measured, or what was acknowledged is not what is stored.
        """
        self._runs += 1
        kinds = {"limit": self._limit, "noop": self._noop, "ours": self._ours, "peer": self._peer}
        measured = await kinds[case.kind](case)
        if measured.stored is not None and measured.stored != measured.distinct:
            raise MeasurementFailed(
                f"{case.name}: {measured.distinct} distinct events acknowledged, {measured.stored} stored"
            )
        return measured

    async def _limit(self, case: Case) -> Measurement:
        async with self._ground.database(migrated=False) as url:
            return await self._run(module("limits", case.argument, url, str(self._seconds)), 0)

    async def _peer(self, case: Case) -> Measurement:
        async with self._ground.database(migrated=False) as url:
            extra = {"PEERS_NODE": str(peers_directory() / "node")}
            return await self._run(peer_command(case.argument, url, self._seconds), 0, extra)

    async def _noop(self, case: Case) -> Measurement:
        with noop_server(self._processes) as (address, pid):
            return await self._run(self._driver(case, address), pid)

    async def _ours(self, case: Case) -> Measurement:
        async with self.serving() as (service, url):
            measured = await self._run(self._driver(case, service.address), service.pid)
            resident = rss_bytes(service.pid)
            return replace(measured, stored=await self._ground.stored(url), rss_bytes=resident)

    @asynccontextmanager
    async def serving(self) -> Any:
        """The service on a new database; yields it and the database's URL."""
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(self._ground.database(migrated=True))
            service: Service = await stack.enter_async_context(self._ground.service(url, otlp=self._otlp))
            yield service, url

    def _driver(self, case: Case, address: str) -> list[str]:
        assert case.plan is not None
        plan = replace(case.plan, address=address, seconds=self._seconds, run=f"r{self._runs}")
        return module("driver", plan.command_argument())

    async def _run(
        self, command: list[str], server_pid: int, extra: dict[str, str] | None = None
    ) -> Measurement:
        return await run(command, seconds=self._seconds, read_usage=self._meters(server_pid), extra=extra)

    def _meters(self, server_pid: int) -> Callable[[], Awaitable[Usage]]:
        async def read() -> Usage:
            return await read_usage(self._ground.meter, server_pid, self._ground.postgres_pid)

        return read
