"""Asks the services and reads the pages of numbers for one screen. A dozen small questions, all at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from headwater.cli.policies import policy_in_force
from headwater.cli.scraping import TARGETS_DIR_VARIABLE, Page, read_pages
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.identity.v1 import identity_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import NotFound
from headwater.kernel.metrics import names
from headwater.sync.v1 import sync_pb2

GROUPS: Final = 500
"""Causes of failures that are read, the newest first."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one look brought.

    Args:
        objectives: connector to the share that its policy wants to succeed.
    """

    tenant_id: str
    ingest: ingest_pb2.GetIngestStatusResponse
    identity: identity_pb2.GetIdentityStatusResponse
    sync: sync_pb2.GetStatusResponse
    connectors: tuple[sync_pb2.Connector, ...]
    groups: tuple[sync_pb2.ErrorGroup, ...]
    pages: tuple[Page, ...]
    objectives: Mapping[str, float]

    @property
    def log_lag_s(self) -> float | None:
        """Age of the oldest event that is not projected yet; None where no process of sync tells."""
        return max((value for page in self.pages for _, value in page.of(names.LOG_LAG)), default=None)

    @property
    def spans_lost(self) -> float:
        """Spans that processes dropped or failed to export since they began."""
        return sum(
            value
            for page in self.pages
            for labels, value in page.of(names.SPANS)
            if labels["result"] != "exported"
        )

    @property
    def silent(self) -> tuple[str, ...]:
        """Processes that should tell their numbers and do not answer."""
        return tuple(page.process for page in self.pages if not page.answers)


async def read_objectives(session: Session, services: Services) -> dict[str, float]:
    """Return what the policy in force wants of each account; nothing without a policy."""
    try:
        policy = (await policy_in_force(services, session.tenant_id)).document()
    except NotFound:
        return {}
    return {name: item.alarms.objective for name, item in policy.connectors.items()}


async def look(session: Session, services: Services, objectives: Mapping[str, float]) -> Answers:
    """Ask everything once.

    Raises:
        HeadwaterError: a service does not answer, or refuses.
    """
    tenant_id = session.tenant_id
    found: dict[str, Any] = {}

    async def ask(name: str, method: Callable[..., Awaitable[Any]], request: Any) -> None:
        found[name] = await services.ask(method, request)

    async def read() -> None:
        found["pages"] = await read_pages(_targets(session))

    async with anyio.create_task_group() as tasks:
        for name, method, request in (
            ("ingest", services.ingest.GetIngestStatus, ingest_pb2.GetIngestStatusRequest),
            ("identity", services.identity.GetIdentityStatus, identity_pb2.GetIdentityStatusRequest),
            ("sync", services.sync.GetStatus, sync_pb2.GetStatusRequest),
            ("connectors", services.sync.ListConnectors, sync_pb2.ListConnectorsRequest),
        ):
            tasks.start_soon(ask, name, method, request(tenant_id=tenant_id))
        listing = sync_pb2.ListErrorGroupsRequest(tenant_id=tenant_id, page_size=GROUPS)
        tasks.start_soon(ask, "groups", services.sync.ListErrorGroups, listing)
        tasks.start_soon(read)
    return Answers(
        tenant_id,
        found["ingest"],
        found["identity"],
        found["sync"],
        tuple(found["connectors"].connectors),
        tuple(found["groups"].groups),
        found["pages"],
        objectives,
    )


def _targets(session: Session) -> Path:
    named = session.environment.get(TARGETS_DIR_VARIABLE, "").strip()
    return Path(named) if named else session.layout.metrics
