"""Where a load goes: the service's address, the processes behind it, and tenants that may be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Final

from headwater.cli.loading.asked import PREFIX
from headwater.cli.policies import apply_policy
from headwater.cli.services import Services
from headwater.cli.session import Session, Unconfirmed
from headwater.cli.stack.throwaway import throwaway_ingest
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.clock import SystemClock
from headwater.kernel.pg.embedded import EmbeddedPostgres

_CONNECTORS: Final = "\nconnectors:\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A running ingest and, where known, the local processes that it is made of."""

    address: str
    processes: Mapping[str, tuple[int, ...]]


@contextmanager
def find_target(session: Session, address: str | None, *, stack: bool) -> Iterator[Target]:
    """Yield the address given, a throw-away stack, or ingest as other commands find it."""
    if stack:
        session.output.say("starting a throw-away PostgreSQL and ingest …")
        with throwaway_ingest(session.environment) as started:
            yield Target(
                started.address, {"ingest": (started.ingest_pid,), "postgres": (started.postgres_pid,)}
            )
        return
    running = session.stack
    found = address or session.addresses.ingest
    if running is None or found != running.address("ingest"):
        yield Target(found, {})
        return
    pids: dict[str, tuple[int, ...]] = {}
    if ingest := running.children.get("ingest"):
        pids["ingest"] = (ingest.process.pid,)
    postmaster = EmbeddedPostgres(session.layout.postgres).pid if running.embedded_database else None
    if postmaster:
        pids["postgres"] = (postmaster,)
    yield Target(found, pids)


async def prepare_tenants(session: Session, services: Services, tenants: Sequence[str], *, yes: bool) -> None:
    """Give the tenants of loads their policy; see that a tenant with data of its own is meant.

    Raises:
        Unconfirmed: it holds events, and nobody said `--yes`.
    """
    text = load_policy_text()
    for tenant_id in tenants:
        if tenant_id.startswith(PREFIX):
            await apply_policy(services, tenant_id, text, clock=SystemClock(), actor=session.actor)
            continue
        held = await count_events(services, tenant_id)
        if held and not yes:
            message = (
                f"tenant {tenant_id} holds {held:,} events: made-up records would be mixed with them for good; "
                f"use a tenant of its own ({PREFIX}…), or add --yes"
            )
            raise Unconfirmed(message)


async def count_events(services: Services, tenant_id: str) -> int:
    """Return how many events the tenant's log holds, quarantined ones included."""
    request = ingest_pb2.GetIngestStatusRequest(tenant_id=tenant_id)
    status = await services.ask(services.ingest.GetIngestStatus, request)
    return sum(item.count for item in status.counts)


def load_policy_text() -> str:
    """Return the sample policy without its connectors: what a load records is delivered to nobody."""
    text = resources.files("headwater.samples").joinpath("policy.yaml").read_text(encoding="utf-8")
    kept, found, _ = text.partition(_CONNECTORS)
    if not found:
        raise AssertionError("the sample policy does not end with its connectors")
    return kept + "\n"
