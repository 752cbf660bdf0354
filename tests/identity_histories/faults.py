"""The same clients against the service's real process by gRPC, while it and its Postgres are killed.

Owns the processes and when they die. Nothing is sent twice by the channel: a call that was under way when something
died has no answer, and may have taken effect or not.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread
from rich.console import Console
from tests.identity_histories.oracles import count_merges, half_done
from tests.identity_histories.services import OverGrpc
from tests.identity_histories.tallying import Order, Tally, tally_histories
from tests.load.ingest.ground import free_port
from tests.system.chaos.stack import POSTGRES, kill_postgres, own_postgres
from tests.system.processes import Child

from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.rpc import open_channel

SERVICE: Final = "identity"
LULL_S: Final = (0.05, 0.7)
"""From the moment a victim serves again to the next kill."""


@dataclass(slots=True)
class Faulted:
    """What a run under faults came to.

    Args:
        broken: rules of the tables that do not hold afterwards, with how many break each.
    """

    tally: Tally = field(default_factory=Tally)
    kills: dict[str, int] = field(default_factory=dict)
    merges: int = 0
    broken: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Stage:
    server: EmbeddedPostgres
    child: Child

    def strike(self, victim: str) -> None:
        """Kill a process without a goodbye and start it again."""
        if victim == POSTGRES:
            kill_postgres(self.server)
            self.server.start()
        else:
            self.child.kill()
            self.child.start()


def victims_of(kills: int, chance: random.Random) -> list[str]:
    """Return who is killed: every third time Postgres, in a random order."""
    victims = [POSTGRES if number % 3 == 1 else SERVICE for number in range(kills)]
    chance.shuffle(victims)
    return victims


def run_faulted(order: Order, kills: int, console: Console | None = None) -> Faulted:
    """Record and check histories, at least as many as ordered, until *kills* processes were killed.

    Must not be called where an event loop runs.
    """
    victims = victims_of(kills, random.Random(order.seed))
    with own_postgres() as (server, url, directory):
        child = _service(url, directory)
        child.start()
        try:
            found = anyio.run(_histories, _Stage(server, child), order, victims, console)
        finally:
            child.end()
        found.merges = anyio.run(count_merges, url)
        found.broken = anyio.run(half_done, url)
    return found


def _service(url: str, directory: Path) -> Child:
    environment = {
        "HEADWATER_DATABASE_URL": url,
        "HEADWATER_IDENTITY_ADDRESS": f"127.0.0.1:{free_port()}",
        "HEADWATER_INGEST_ADDRESS": f"127.0.0.1:{free_port()}",
        "HEADWATER_LOG_LEVEL": "error",
    }
    return Child(SERVICE, environment, directory / "identity.log")


async def _histories(stage: _Stage, order: Order, victims: Sequence[str], console: Console | None) -> Faulted:
    found = Faulted()
    address = stage.child.environment["HEADWATER_IDENTITY_ADDRESS"]
    async with open_channel(address, retries=False) as channel:
        service = OverGrpc(identity_pb2_grpc.IdentityServiceStub(channel))
        struck = anyio.Event()

        async def strike() -> None:
            chance = random.Random(order.seed + 1)
            for victim in victims:
                await anyio.sleep(chance.uniform(*LULL_S))
                await to_thread.run_sync(stage.strike, victim)
                found.kills[victim] = found.kills.get(victim, 0) + 1
            struck.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(strike)
            found.tally = await tally_histories(service, order, "under faults", console, struck.is_set)
            await struck.wait()
    return found
