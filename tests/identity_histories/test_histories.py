"""Histories of concurrent clients on a real Postgres are linearizable, and what breaks that is caught."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.identity_histories.calls import Absent, Answer, Call, Resolve, Resolved, View, read_history
from tests.identity_histories.checking import check
from tests.identity_histories.driving import Load, record_tenant
from tests.identity_histories.model import IdentityModel
from tests.identity_histories.reference import Reference
from tests.identity_histories.services import service_on
from tests.identity_histories.tallying import Order, tally_histories
from tests.identity_histories.weakened import WEAKENED, Forgiving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

HISTORIES = 120
WEAKENED_HISTORIES_MAX = 2_000
"""Within which a missing safeguard is to be seen; some dozens are usual."""


async def test_concurrent_clients_see_one_order_of_calls(migrated_database_url: str, tmp_path: Path) -> None:
    """Each group's calls, by four clients at once, can have come one after another."""
    async with service_on(migrated_database_url) as service:
        tally = await tally_histories(service, Order(HISTORIES, 1, tmp_path), "histories")
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.histories >= HISTORIES
    assert tally.overlapping > HISTORIES
    assert tally.unanswered == 0


@pytest.mark.parametrize("missing", WEAKENED)
async def test_a_missing_safeguard_is_caught(
    migrated_database_url: str, tmp_path: Path, missing: str
) -> None:
    """Without it some history has no order, and the history kept on disk is rejected again."""
    order = Order(WEAKENED_HISTORIES_MAX, 2, tmp_path, failures_max=1)
    async with service_on(migrated_database_url, store=WEAKENED[missing]) as service:
        tally = await tally_histories(Forgiving(service), order, missing)
    assert tally.rejected == 1
    saved = read_history(tmp_path / "history-0.json")
    assert check(IdentityModel(), saved.operations).outcome == "not linearizable"


class _InMemory:
    """The reference as a service."""

    def __init__(self) -> None:
        self.tenants: dict[str, Reference] = {}

    async def answer(self, tenant: str, call: Call) -> Answer | None:
        """Answer at once."""
        return self.tenants.setdefault(tenant, self.make()).answer(call)

    def make(self) -> Reference:
        """Return a tenant's service."""
        return Reference()

    async def recovered(self) -> None:
        """Nothing is ever away."""


class _ForgetsLate(Reference):
    """Does not find anything any more after forty calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def answer(self, call: Call) -> Answer:
        self.calls += 1
        found = super().answer(call)
        return Absent() if isinstance(found, View) and self.calls > 40 else found


class _Forgetful(_InMemory):
    def make(self) -> Reference:
        return _ForgetsLate()


async def test_a_run_stops_at_the_failures_allowed_and_keeps_them(tmp_path: Path) -> None:
    """Of a service that forgets, two histories are kept, with seed and explanation."""
    order = Order(10_000, 5, tmp_path, Load(clients=2, groups=2, calls_per_client=40), failures_max=2)
    tally = await tally_histories(_Forgetful(), order, "forgetful")
    assert len(tally.failures) == tally.rejected == 2
    kept = [tmp_path / f"history-{number}.json" for number in range(2)]
    assert all(not check(IdentityModel(), read_history(path).operations).good for path in kept)
    assert "seed 5000015" in tally.failures[0]
    assert "none of these can come next" in tally.failures[0]


async def test_a_batch_of_two_groups_stands_in_both_histories() -> None:
    """Each group's history has its part of the batch, at the same times, with its part of the answer."""
    histories = await record_tenant(_InMemory(), "acme", 1, Load(groups=2))
    ours, theirs = ({(one.client, one.called): one for one in history} for history in histories)
    both = ours.keys() & theirs.keys()
    assert both
    for when in both:
        for one in (ours[when], theirs[when]):
            assert isinstance(one.call, Resolve)
            assert isinstance(one.answer, Resolved)
            assert len(one.answer.entities) == len(one.call.records)
            assert len({record[:2] for record in one.call.records}) == 1
    assert all(check(IdentityModel(), history).good for history in histories)
