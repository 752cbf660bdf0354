"""Bulk jobs of the Salesforce connector against the running sandbox: results, refusals, quotas, lost answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from tests.contract.connectors.lab import SandboxLab, open_lab
from tests.contract.connectors.test_conformance import SALESFORCE_ROOMS, SALESFORCE_SUBJECT
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import CallFailed, ErrorClass, Failed, Write, Written
from headwater.connectors.base.bulk import BulkWriter, JobState, bulk_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.evidence("salesforce", "bulk", "own sandbox only"),
]
TARGET = SALESFORCE_SUBJECT.person
GONE = "750000000000000AAA"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


@pytest.fixture
async def lab(sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[SandboxLab]:
    """An empty org."""
    assert anyio_backend == "asyncio"
    async with open_lab(SALESFORCE_SUBJECT, SALESFORCE_ROOMS, sandbox, "bulk") as opened:
        yield opened


def bulk(lab: SandboxLab) -> BulkWriter:
    """Return the jobs of the lab's connector."""
    found = bulk_of(lab.connector)
    assert found is not None
    return found


def people(count: int, first: int = 0) -> list[Write]:
    """Return new people."""
    return [
        Write(f"e{number}", "", SALESFORCE_SUBJECT.fields(number)) for number in range(first, first + count)
    ]


async def over(jobs: BulkWriter, job_id: str) -> None:
    """Return when a job is over; the sandbox works on it meanwhile."""
    with anyio.fail_after(20):
        while await jobs.look(job_id) is not JobState.DONE:  # noqa: ASYNC110 - the vendor announces nothing
            await anyio.sleep(0.02)


async def begun(jobs: BulkWriter, writes: list[Write]) -> str:
    """Return a job that is opened and uploaded."""
    job_id = await jobs.open(TARGET, writes)
    await jobs.upload(job_id, TARGET, writes)
    return job_id


async def test_each_record_has_its_outcome(lab: SandboxLab) -> None:
    """Made, refused with the vendor's words, updated by id: as a collection would tell it."""
    jobs, writes = bulk(lab), people(30)
    writes[3] = Write("e3", "", {**writes[3].fields, SALESFORCE_SUBJECT.bad_field: SALESFORCE_SUBJECT.bad[1]})
    job_id = await begun(jobs, writes)
    assert lab.count() == 0
    await jobs.start(job_id)
    await over(jobs, job_id)
    results = await jobs.results(job_id, TARGET, writes)
    assert set(results.outcomes) == {write.external_id for write in writes}
    refused = results.outcomes["e3"]
    assert isinstance(refused, Failed)
    assert refused.error.error_class is ErrorClass.VALIDATION
    made = results.outcomes["e4"]
    assert isinstance(made, Written)
    assert made.created
    again = [Write("e4", made.crm_id, {SALESFORCE_SUBJECT.name: "Later"})]
    second = await begun(jobs, again)
    await jobs.start(second)
    await over(jobs, second)
    assert (await jobs.results(second, TARGET, again)).outcomes == {"e4": Written(made.crm_id, created=False)}
    assert lab.count() == 29


async def test_what_a_failed_job_did_not_come_to_is_told(lab: SandboxLab) -> None:
    """A field that is not there fails the job as a whole: every record may be sent as if it had never been."""
    jobs, writes = bulk(lab), [Write(f"e{n}", "", {"Nonsense__c": "x"}) for n in range(5)]
    job_id = await begun(jobs, writes)
    await jobs.start(job_id)
    await over(jobs, job_id)
    results = await jobs.results(job_id, TARGET, writes)
    assert not results.outcomes
    assert results.untouched == {"e0", "e1", "e2", "e3", "e4"}


async def test_a_job_that_is_aborted_before_its_start_writes_nothing(lab: SandboxLab) -> None:
    """Whatever was uploaded."""
    jobs, writes = bulk(lab), people(5)
    job_id = await begun(jobs, writes)
    await jobs.abort(job_id)
    assert await jobs.look(job_id) is JobState.DONE
    assert (await jobs.results(job_id, TARGET, writes)).untouched == {write.external_id for write in writes}
    assert lab.count() == 0


async def test_the_day_s_batches_are_asked_for_before_a_job_is_opened(lab: SandboxLab) -> None:
    """No job without one; what is sent meanwhile goes by ordinary calls."""
    jobs = bulk(lab)
    lab.options({"bulk_batches_daily_max": 1})
    job_id = await begun(jobs, people(2))
    await jobs.start(job_id)
    with pytest.raises(CallFailed) as refused:
        await jobs.open(TARGET, people(2, 10))
    assert (refused.value.error.error_class, refused.value.error.code) == (ErrorClass.QUOTA, "BULK_BATCHES")


async def test_a_start_whose_answer_is_lost_is_seen_by_a_look(lab: SandboxLab) -> None:
    """The call is in doubt; the job tells."""
    jobs, writes = bulk(lab), people(5)
    job_id = await begun(jobs, writes)
    lab.faults({"kind": "commit_then_reset", "count": 1}, writes_only=False)
    with pytest.raises(CallFailed) as lost:
        await jobs.start(job_id)
    assert lost.value.error.error_class is ErrorClass.IN_DOUBT
    await over(jobs, job_id)
    assert len((await jobs.results(job_id, TARGET, writes)).outcomes) == 5


async def test_a_job_that_the_vendor_does_not_know_is_gone(lab: SandboxLab) -> None:
    """Nobody can say what it did."""
    assert await bulk(lab).look(GONE) is JobState.GONE


async def test_rows_that_are_locked_fail_by_themselves(lab: SandboxLab) -> None:
    """As a fault of the vendor's own, to be tried again."""
    jobs, writes = bulk(lab), people(20)
    job_id = await begun(jobs, writes)
    lab.faults({"kind": "partial", "share": 0.5, "count": 1}, writes_only=False)
    await jobs.start(job_id)
    await over(jobs, job_id)
    results = await jobs.results(job_id, TARGET, writes)
    locked = [one for one in results.outcomes.values() if isinstance(one, Failed)]
    assert 0 < len(locked) < 20
    assert {one.error.error_class for one in locked} == {ErrorClass.SERVER}
