"""What a process keeps of the weights that count: how much, how long, and when it reads again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import anyio
import pytest

from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.sizes import SAMPLE_RECORDS, Sample, shipped_for
from headwater.identity.domain.scoring.versions import name_of, number_of, number_of_size
from headwater.identity.domain.scoring.weights import dump
from headwater.identity.domain.weighing import Position
from headwater.identity.usecases.weighing import OLD_KEPT, ActiveWeights
from headwater.identity.weights_ports import WeightsStore
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import TenantId

pytestmark = pytest.mark.anyio

ACME, BETA, ZETA = TenantId("acme"), TenantId("beta"), TenantId("zeta")


@dataclass(slots=True)
class Shelf:
    """Versions by tenant and object, in memory; notes which bodies are read."""

    active: dict[tuple[TenantId, str], int] = field(default_factory=dict)
    read: list[tuple[TenantId, str, int]] = field(default_factory=list)
    looks: int = 0
    spoilt: set[int] = field(default_factory=set)
    samples: dict[TenantId, Sample] = field(default_factory=dict)
    measured: list[TenantId] = field(default_factory=list)

    async def measure(self, tenant_id: TenantId, records: int) -> Sample | None:  # noqa: ARG002 - the port's
        """Return the first records of a tenant."""
        self.measured.append(tenant_id)
        return self.samples.get(tenant_id)

    async def list_active(self, rows_max: int) -> Sequence[Position]:
        """Return which version counts."""
        self.looks += 1
        return [Position(*key, number) for key, number in sorted(self.active.items())][:rows_max]

    async def find_body(self, tenant_id: TenantId, object_name: str, number: int) -> bytes | None:
        """Return a body that has its number in its prior."""
        self.read.append((tenant_id, object_name, number))
        if number in self.spoilt:
            return b"nothing"
        return dump(replace(shipped(object_name), version=name_of(number), prior_bits=-float(number)))


def _open(shelf: Shelf, tenants_max: int = 4) -> ActiveWeights:
    return ActiveWeights(cast("WeightsStore", shelf), tenants_max)


async def test_a_tenant_without_weights_of_its_own_has_the_shipped_ones() -> None:
    """The same for all, and nothing is read."""
    shelf = Shelf({(ACME, "contact"): 1})
    weights = _open(shelf)
    await weights.refresh()
    shelf.read.clear()
    assert await weights.of(ZETA) is await weights.of(BETA)
    assert (await weights.of(ZETA))["contact"] == shipped("contact")
    assert shelf.read == []


async def test_weights_are_read_once_and_again_only_where_they_changed() -> None:
    """The other object's are kept."""
    shelf = Shelf({(ACME, "contact"): 1, (ACME, "account"): 5})
    weights = _open(shelf)
    await weights.refresh()
    first = await weights.of(ACME)
    assert (first["contact"].prior_bits, first["account"].prior_bits) == (-1.0, -5.0)
    assert first["lead"] == shipped("lead")
    shelf.active[ACME, "contact"] = 2
    await weights.refresh()
    second = await weights.of(ACME)
    assert second["contact"].prior_bits == -2.0
    assert second["account"] is first["account"]
    assert shelf.read == [(ACME, "account", 5), (ACME, "contact", 1), (ACME, "contact", 2)]


async def test_what_counts_no_more_is_forgotten() -> None:
    """After a rollback to the shipped weights nothing of the tenant stays."""
    shelf = Shelf({(ACME, "contact"): 1})
    weights = _open(shelf)
    await weights.refresh()
    shelf.active.clear()
    await weights.refresh()
    assert (await weights.of(ACME))["contact"] == shipped("contact")


async def test_beyond_the_bound_the_tenant_used_longest_ago_makes_room() -> None:
    """It is read again when it comes back."""
    shelf = Shelf({(one, "contact"): 1 for one in (ACME, BETA, ZETA)})
    weights = _open(shelf, tenants_max=2)
    await weights.refresh()
    for tenant in (ACME, BETA, ACME, ZETA, ACME, BETA):
        await weights.of(tenant)
    assert [tenant for tenant, _, _ in shelf.read] == [ACME, BETA, ZETA, BETA]


async def test_a_body_that_cannot_be_used_leaves_what_counted_before() -> None:
    """It is not read again and again; a later version mends it."""
    shelf = Shelf({(ACME, "contact"): 1})
    weights = _open(shelf)
    await weights.refresh()
    shelf.spoilt.add(2)
    shelf.active[ACME, "contact"] = 2
    await weights.refresh()
    assert [(await weights.of(ACME))["contact"].prior_bits for _ in range(3)] == [-1.0] * 3
    assert shelf.read.count((ACME, "contact", 2)) == 1
    assert await weights.find(ACME, "contact", 2) is None
    shelf.active[ACME, "contact"] = 3
    await weights.refresh()
    assert (await weights.of(ACME))["contact"].prior_bits == -3.0


async def test_old_versions_that_are_asked_for_are_kept_up_to_a_bound() -> None:
    """Asked again, they are read once; the oldest make room."""
    shelf = Shelf()
    weights = _open(shelf)
    for number in (*range(1, OLD_KEPT + 2), OLD_KEPT + 1, 1):
        found = await weights.find(ACME, "contact", number)
        assert found is not None
        assert found.prior_bits == -float(number)
    assert len(shelf.read) == OLD_KEPT + 2


@dataclass(slots=True)
class Wire:
    """Word of changes that fails first, and then comes when told."""

    told: anyio.Event = field(default_factory=anyio.Event)
    opened: int = 0

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Wire]:
        """Fail once."""
        self.opened += 1
        if self.opened == 1:
            raise Unavailable("no connection")
        yield self

    async def changed(self) -> None:
        """Return once, when told."""
        await self.told.wait()
        self.told = anyio.Event()


async def test_a_change_is_heard_though_the_wire_failed_before() -> None:
    """A lost connection only delays; between two words it looks by itself."""
    shelf, wire = Shelf({(ACME, "contact"): 1}), Wire()
    weights = _open(shelf)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(weights.follow, wire, 0.02)
        with anyio.fail_after(5):
            while shelf.looks < 3:
                await anyio.lowlevel.checkpoint()
            assert (await weights.of(ACME))["contact"].prior_bits == -1.0
            shelf.active[ACME, "contact"] = 7
            wire.told.set()
            while (await weights.of(ACME))["contact"].prior_bits != -7.0:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert wire.opened == 2


def _sample(share: float, **counts: int) -> Sample:
    """Return the first records of a tenant whose ids take up a share of all possible ones."""
    return Sample(counts, RecordId(f"{int(share * 16**12) - 1:012x}"[:8] + "-0000-5000-8000-000000000000"))


async def test_a_tenant_has_the_shipped_weights_of_its_size() -> None:
    """A hundred times as many records, the prior some seven bits lower; an account's are few, so they stay."""
    contacts = SAMPLE_RECORDS * 9 // 10
    shelf = Shelf(samples={ACME: _sample(0.0018, contact=contacts, account=SAMPLE_RECORDS - contacts)})
    weights = await _open(shelf).of(ACME)
    assert weights["contact"] == shipped_for("contact", 6)
    assert weights["contact"].prior_bits == pytest.approx(shipped("contact").prior_bits - 6, abs=0.01)
    assert weights["account"].version == "shipped-2x8"
    assert weights["lead"] == shipped("lead")


async def test_below_twenty_thousand_records_the_weights_stay() -> None:
    """Few records are counted; of more, the ids tell."""
    shelf = Shelf(
        samples={
            ACME: _sample(0.9, contact=SAMPLE_RECORDS - 1),
            BETA: _sample(0.102, contact=SAMPLE_RECORDS),
            ZETA: _sample(0.098, contact=SAMPLE_RECORDS),
        }
    )
    weights = _open(shelf)
    versions = [(await weights.of(one))["contact"].version for one in (ACME, BETA, ZETA)]
    assert versions == ["shipped-2", "shipped-2", "shipped-2x2"]


async def test_growth_is_noticed_of_tenants_at_work_and_is_never_taken_back() -> None:
    """Whoever was not asked for since is not looked at."""
    shelf = Shelf(samples={ACME: _sample(0.05, contact=SAMPLE_RECORDS)})
    weights = _open(shelf)
    await weights.of(ACME)
    await weights.of(BETA)
    await weights.measure()
    assert sorted(shelf.measured) == [ACME, ACME, BETA, BETA]
    await weights.of(ACME)
    shelf.samples[ACME] = _sample(0.02, contact=SAMPLE_RECORDS)
    await weights.measure()
    assert shelf.measured[4:] == [ACME]
    assert (await weights.of(ACME))["contact"].version == "shipped-2x8"
    shelf.samples[ACME] = _sample(0.05, contact=SAMPLE_RECORDS)
    await weights.measure()
    assert (await weights.of(ACME))["contact"].version == "shipped-2x8"


async def test_growth_reaches_the_objects_without_weights_of_their_own() -> None:
    """What a tenant has learnt stays, and is not read again."""
    shelf = Shelf({(ACME, "contact"): 1}, samples={ACME: _sample(0.05, lead=SAMPLE_RECORDS)})
    weights = _open(shelf)
    await weights.refresh()
    assert (await weights.of(ACME))["lead"].version == "shipped-2x4"
    shelf.samples[ACME] = _sample(0.02, lead=SAMPLE_RECORDS)
    await weights.measure()
    now = await weights.of(ACME)
    assert (now["lead"].version, now["contact"].prior_bits) == ("shipped-2x8", -1.0)
    assert shelf.read == [(ACME, "contact", 1)]


async def test_weights_of_a_size_are_found_by_the_number_that_edges_carry() -> None:
    """So an explanation can tell what an old edge was scored with."""
    number = number_of(name_of(number_of_size(3)))
    assert number == number_of_size(3)
    assert await _open(Shelf()).find(ACME, "contact", number) == shipped_for("contact", 3)
    assert await _open(Shelf()).find(ACME, "deal", number) is None
