"""The worker among tenants: each has its turn, whatever becomes of the others."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.unit.sync.leads import DOCUMENT, WORK, policy

from headwater.policy.document import PolicyDocument
from headwater.sync.ports import StoreRefused
from headwater.sync.routing.ports import RoutingUnit, Told
from headwater.sync.routing.worker import IDLE_S, POLL_S, RoutingWorker, digest_of

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Store:
    """Port `RoutingStore`: one tenant's rows are refused, the others are held by another process."""

    refused: str
    asked: list[str] = field(default_factory=list)

    async def busy(self, digests: Mapping[str, str], now: dt.datetime) -> Sequence[str]:
        """Return all of them."""
        assert now == WORK
        return sorted(digests)

    @asynccontextmanager
    async def taken(self, tenant_id: str, digest: str) -> AsyncIterator[RoutingUnit | None]:
        """Hold nothing."""
        assert digest
        self.asked.append(tenant_id)
        if tenant_id == self.refused:
            raise StoreRefused("a value that the database does not take")
        yield None

    async def to_tell(self, tenant_id: str, limit: int) -> Sequence[Told]:
        """Return nothing."""
        raise AssertionError(f"{tenant_id} is another process's; asked for {limit}")

    async def note_told(self, tenant_id: str, told: Sequence[tuple[Told, uuid.UUID | None]]) -> None:
        """Note nothing."""
        raise AssertionError(f"{tenant_id}: {told}")

    async def now(self) -> dt.datetime:
        """Return noon."""
        return WORK

    async def next_time(self, tenants: Sequence[str]) -> dt.datetime | None:
        """Return that nothing is due."""
        assert tenants
        return None


class Silent:
    """Port `RoutingLog` that nobody asks."""

    async def tell(self, tenant_id: str, told: Sequence[Told]) -> Sequence[tuple[uuid.UUID | None, str]]:
        """Refuse to be asked."""
        raise AssertionError(f"{tenant_id}: {told}")


@dataclass(frozen=True, slots=True)
class InForce:
    """Port `Policies`."""

    documents: Mapping[str, PolicyDocument]

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy."""
        return self.documents


async def test_one_tenants_trouble_is_not_the_next_ones() -> None:
    """What the database refuses of one is told and tried again later; the others have their turns."""
    store = Store("a")
    worker = RoutingWorker(store, Silent(), InForce(dict.fromkeys("abc", DOCUMENT)))
    assert await worker.step() == POLL_S
    assert store.asked == ["a", "b", "c"]


async def test_without_routing_nobody_is_asked() -> None:
    """Where no policy routes, the worker only waits."""
    assert await RoutingWorker(Store(""), Silent(), InForce({})).step() == IDLE_S


def test_the_digest_is_of_routing_and_slas_only() -> None:
    """Another version of a policy that routes alike has no lead looked at again."""
    assert digest_of(DOCUMENT) == digest_of(policy(('version: "1"', 'version: "2"')))
    assert digest_of(DOCUMENT) != digest_of(policy(("first_touch_s: 900", "first_touch_s: 901")))
