"""A short run of the real thing: the same requests each time, against a real process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fuzz.__main__ import run
from tests.fuzz.corpus import make_corpus
from tests.fuzz.driving import Pace
from tests.fuzz.methods import INGEST
from tests.fuzz.running import ingest_process, log_faults
from tests.fuzz.strategies import INGEST_HINTS
from tests.system.processes import Child

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

SEED = 20_261_121
PACE = Pace(requests=6_000, seconds=45, callers=12, streams=6)
"""So many that each method has its answer many times; the seconds are there for a service that hangs."""


@pytest.fixture(scope="module")
def child(migrated_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """An ingest process of this module's own."""
    with ingest_process(migrated_database, tmp_path_factory.mktemp("fuzz")) as started:
        yield started


async def test_generated_requests_give_no_internal_no_unknown_and_no_hang(child: Child) -> None:
    """Each answer keeps the contract, what was acknowledged is there, the log is quiet."""
    corpus = make_corpus(INGEST, INGEST_HINTS, examples=40, chance_seed=SEED)
    address = f"127.0.0.1:{child.ready['port']}"
    report = await run(address, SEED, corpus, PACE, read_back=300)
    report.notes += log_faults(child.log.read_text(encoding="utf-8").splitlines())
    assert report.clean, "\n".join(report.lines())
    assert report.requests >= PACE.requests
    assert sum("OK" in code for code in report.codes) == len(INGEST)
