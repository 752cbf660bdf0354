"""At full sampling and under faults, every delivery is one graph with its event, and nothing personal is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import anyio
import pytest
from tests.system.traced.judging import judge
from tests.system.traced.running import Run, run, traced_world

from headwater.kernel.testing import postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

EVENTS = 400
ORACLES = (
    "orphans", "links into nothing", "deliveries without their event", "events without their commit",
    "names not registered", "planted values", "not found, or late", "spans lost",
)  # fmt: skip


@pytest.fixture(scope="module")
def done(
    postgres_server: str, migrated_template_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """A run of a world of its own."""
    directory = tmp_path_factory.mktemp("traced")
    url = anyio.run(postgres.create_database, postgres_server, migrated_template_url)
    try:
        with traced_world(url, directory) as world:
            yield run(world, directory, EVENTS, seed=8, settle_s=60)
    finally:
        anyio.run(postgres.drop_database, postgres_server, url)


@pytest.fixture(scope="module")
def found(done: Run) -> dict[str, list[str]]:
    """Violations by oracle."""
    return judge(done.history)


@pytest.mark.parametrize("oracle", ORACLES)
def test_nothing_is_found_wrong(found: dict[str, list[str]], oracle: str) -> None:
    """Each oracle is content with all spans, log lines and numbers of the run."""
    assert set(found) == set(ORACLES)
    assert found[oracle][:10] == []


def test_the_run_met_what_it_was_to_meet(done: Run) -> None:
    """Faults fired, tries failed and were made again, answers were lost, bad events were quarantined."""
    assert done.produced.unexpected == []
    assert done.faults > 0
    assert done.produced.quarantined
    assert len(done.produced.contexts) + len(done.produced.quarantined) == EVENTS
    assert max(item.number for item in done.history.attempts) > 1
    outcomes = Counter(item.outcome for item in done.history.attempts)
    assert outcomes["failed"] > 0
    connectors = {item.connector for item in done.history.attempts}
    assert connectors == {"hubspot", "salesforce"}


def test_every_kind_of_hop_has_its_span(done: Run) -> None:
    """Producer, door, log, projector, identity, deliveries and CRM calls are all among the spans."""
    told = {(span.service, span.kind) for span in done.history.spans}
    assert {
        ("producer", "INTERNAL"), ("producer", "CLIENT"), ("ingest", "SERVER"), ("ingest", "PRODUCER"), ("ingest", "CLIENT"),
        ("sync", "CONSUMER"), ("sync", "CLIENT"), ("identity", "SERVER"),
    } <= told  # fmt: skip
