"""Every finding of the past, sent again: none may fail in the way it did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import grpc
import pytest
from tests.fuzz import pure
from tests.fuzz.findings import FOLDER, Finding, load
from tests.fuzz.judging import Judge
from tests.fuzz.policy import POLICY
from tests.fuzz.running import apply_policies, ingest_process
from tests.fuzz.seen import Seen
from tests.fuzz.shrinking import method_named, send

from headwater.policy.loading import load_policy

PURE = [load(path) for path in sorted(FOLDER.glob("*.json")) if load(path).service == "pure"]
pytestmark = pytest.mark.timeout(90)

SENT = [load(path) for path in sorted(FOLDER.glob("*.json")) if load(path).service == "IngestService"]


@pytest.fixture(scope="module")
def address(migrated_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of an ingest process with the policies of the run in force."""
    with ingest_process(migrated_database, tmp_path_factory.mktemp("findings")) as child:
        found = f"127.0.0.1:{child.ready['port']}"
        anyio.run(apply_policies, found, Seen())
        yield found


@pytest.mark.parametrize("finding", PURE, ids=lambda item: item.file_name)
def test_a_pure_target_takes_what_once_broke_it(finding: Finding) -> None:
    """The input is accepted or refused in order."""
    pure.TARGETS[finding.method](finding.wire)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("finding", SENT, ids=lambda item: item.file_name)
async def test_the_service_answers_what_once_broke_it(address: str, finding: Finding) -> None:
    """The request gets an answer that keeps the contract."""
    judge = Judge(Seen(), load_policy(POLICY))
    async with grpc.aio.insecure_channel(address) as channel:
        assert await send(channel, method_named(finding), finding.wire, judge) == ""


def test_findings_are_kept() -> None:
    """The folder is found: an empty list of findings would test nothing."""
    assert Path(FOLDER).is_dir()
    assert SENT
    assert PURE
