"""The weights that count, by tenant: read when they change, taken once for all that is judged together.

Owns what a process keeps of them. Which version counts is known for every tenant; bodies are kept for so many tenants
and read again when they are wanted. Word of a change comes by a connection that listens, and by looking each minute.
The shipped weights are those for the tenant's size, which is looked at every few seconds while the tenant is at work.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Never

import anyio
from anyio import to_thread

from headwater.identity.domain.scoring.sizes import SAMPLE_RECORDS, Sizes, shipped_for, sizes_of
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.domain.scoring.versions import number_of, size_of
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.domain.weighing import OBJECTS
from headwater.identity.weights_ports import WeightsNews, WeightsStore
from headwater.kernel.errors import PreconditionFailed, Unavailable
from headwater.kernel.ids import TenantId
from headwater.kernel.tenancy import every_tenant

ACTIVE_ROWS_MAX: Final = 100_000
"""Versions that count, of all tenants; about 20 MB."""
SIZES_MAX: Final = 10_000
"""Tenants of which a process remembers how large they are."""
MEASURE_S: Final = 5.0
"""How late it may be noticed that a tenant has grown; a look takes some 2 ms."""
OLD_KEPT: Final = 8
"""Versions that count no more and were asked for, as by explanations."""

_log = logging.getLogger(__name__)

Numbers = Mapping[str, int]
"""Version by object, of those that are not the shipped ones."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A tenant's weights in memory, and the versions that they were read for."""

    numbers: Numbers
    sizes: Sizes
    weights: Mapping[str, Weights]


class ActiveWeights:
    """Keeps `weights_ports.WeightsSource`.

    Args:
        tenants_max: tenants whose learnt weights are kept in memory, some 5 MB each.
    """

    def __init__(self, store: WeightsStore, tenants_max: int) -> None:
        self._store, self._tenants_max = store, tenants_max
        self._shipped: dict[Sizes, Mapping[str, Weights]] = {}
        self._sizes: OrderedDict[TenantId, Sizes] = OrderedDict()
        self._seen: set[TenantId] = set()
        self._numbers: Mapping[TenantId, Numbers] = {}
        self._held: OrderedDict[TenantId, _Held] = OrderedDict()
        self._old: OrderedDict[tuple[TenantId, str, int], Weights] = OrderedDict()
        self._reading = anyio.Lock()

    async def of(self, tenant_id: TenantId) -> Mapping[str, Weights]:
        """Return a tenant's weights by object: the shipped ones where it has none of its own."""
        sizes = self._sizes.get(tenant_id)
        if sizes is None:
            sizes = await self._measure(tenant_id)
        self._seen.add(tenant_id)
        numbers = self._numbers.get(tenant_id)
        if numbers is None:
            return self._shipped_for(sizes)
        held = self._held.get(tenant_id)
        if held is not None and held.numbers == numbers and held.sizes == sizes:
            self._held.move_to_end(tenant_id)
            return held.weights
        async with self._reading:
            return await self._read(tenant_id, sizes)

    async def find(self, tenant_id: TenantId, object_name: str, number: int) -> Weights | None:
        """Return one version, or None when it is not kept any more or cannot be used."""
        doublings = size_of(number)
        if doublings is not None:
            return shipped_for(object_name, doublings) if object_name in OBJECTS else None
        held = self._held.get(tenant_id)
        if held is not None and number_of(held.weights[object_name].version) == number:
            return held.weights[object_name]
        key = (tenant_id, object_name, number)
        if key not in self._old:
            body = await self._store.find_body(tenant_id, object_name, number)
            weights = None if body is None else await self._usable(body, object_name, number)
            if weights is None:
                return None
            self._old[key] = weights
            while len(self._old) > OLD_KEPT:
                self._old.popitem(last=False)
        return self._old[key]

    async def refresh(self) -> None:
        """Look which versions count, and read those of the tenants that are in memory; at the start, of the first."""
        found: dict[TenantId, dict[str, int]] = defaultdict(dict)
        with every_tenant():  # kept for every caller, whoever's call has it looked at
            for one in await self._store.list_active(ACTIVE_ROWS_MAX):
                found[one.tenant_id][one.object] = one.number
            self._numbers = dict(found)
            for gone in self._held.keys() - found.keys():
                del self._held[gone]
            for tenant_id in list(self._held) or list(found)[: self._tenants_max]:
                await self.of(tenant_id)

    async def follow(self, news: WeightsNews, refresh_s: float) -> Never:
        """Stay up to date until cancelled; an unreachable database only delays."""
        while True:
            try:
                async with news.watch() as watch:
                    while True:
                        await self.refresh()
                        with anyio.move_on_after(refresh_s):
                            await watch.changed()
            except Unavailable as error:
                _log.warning("changes of weights may be heard of late: %s", error.message)
                await anyio.sleep(min(1.0, refresh_s))

    async def follow_sizes(self, every_s: float = MEASURE_S) -> Never:
        """Notice that tenants at work have grown, until cancelled; an unreachable database only delays."""
        while True:
            await anyio.sleep(every_s)
            try:
                await self.measure()
            except Unavailable as error:
                _log.warning("the growth of tenants may be noticed late: %s", error.message)

    async def measure(self) -> None:
        """Look how large the tenants are that were asked for since the last time."""
        seen, self._seen = self._seen, set()
        with every_tenant():
            for tenant_id in seen:
                await self._measure(tenant_id)

    async def _measure(self, tenant_id: TenantId) -> Sizes:
        """Look how large a tenant is; it never shrinks, so no two looks disagree to and fro."""
        sample = await self._store.measure(tenant_id, SAMPLE_RECORDS)
        sizes = sizes_of(sample, OBJECTS)
        before = self._sizes.get(tenant_id, sizes)
        self._sizes[tenant_id] = sizes = tuple(map(max, before, sizes))
        self._sizes.move_to_end(tenant_id)
        while len(self._sizes) > SIZES_MAX:
            self._sizes.popitem(last=False)
        return sizes

    def _shipped_for(self, sizes: Sizes) -> Mapping[str, Weights]:
        found = self._shipped.get(sizes)
        if found is None:
            fitting = zip(OBJECTS, sizes, strict=True)
            found = self._shipped[sizes] = {name: shipped_for(name, size) for name, size in fitting}
        return found

    async def _read(self, tenant_id: TenantId, sizes: Sizes) -> Mapping[str, Weights]:
        """Read what has changed of a tenant's weights; nobody else reads meanwhile."""
        numbers = self._numbers.get(tenant_id, {})
        held = self._held.get(tenant_id)
        if held is not None and held.numbers == numbers and held.sizes == sizes:
            return held.weights
        weights = dict(self._shipped_for(sizes))
        for name, number in numbers.items():
            if held is not None and number_of(held.weights[name].version) == number:
                weights[name] = held.weights[name]
                continue
            body = await self._store.find_body(tenant_id, name, number)
            read = None if body is None else await self._usable(body, name, number)
            if read is not None:
                weights[name] = read
            elif held is not None:
                weights[name] = held.weights[name]
        self._held[tenant_id] = _Held(numbers, sizes, weights)
        self._held.move_to_end(tenant_id)
        while len(self._held) > self._tenants_max:
            self._held.popitem(last=False)
        return weights

    async def _usable(self, body: bytes, object_name: str, number: int) -> Weights | None:
        """Return a body's weights, ready to score with; None, and a line in the log, where they cannot be used."""
        try:
            return await to_thread.run_sync(_ready, body, object_name, number)
        except PreconditionFailed as error:
            _log.error("%s; what counted before goes on counting", error.message)
            return None


def _ready(body: bytes, object_name: str, number: int) -> Weights:
    weights = read_weights(body, object_name, number)
    assert weights.scales  # noqa: S101 - worked out here, off the event loop, and kept
    return weights
