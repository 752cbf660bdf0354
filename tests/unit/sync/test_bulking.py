"""When a backlog goes as jobs, which writes go into one, and what a successor makes of a job's results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.deliveries import claimed

from headwater.connectors.base import ErrorClass, Failed, Outcome, Target, VendorError, Write, Written
from headwater.connectors.base.bulk import BulkLimits
from headwater.sync.domain import bulking
from headwater.sync.domain.bulking import Backlog, BulkJob, Course, Fate, Recall
from headwater.sync.domain.delivering import Send

LIMITS = BulkLimits(records_min=4, records_max=10, upload_bytes_max=100)
CONTACT, LEAD = Target("contact", "Contact", "X__c"), Target("contact", "Lead", "X__c")
REFUSED = Failed(VendorError(ErrorClass.VALIDATION, "BAD", "bad"))


def send(number: int, target: Target = CONTACT, crm_id: str = "") -> Send:
    """Return a write of entity *number*."""
    entity_id = uuid.UUID(int=number)
    return Send(
        claimed(entity_id=entity_id), target, Write(str(entity_id), crm_id, {}), lacks_reference=False
    )


@pytest.mark.parametrize(
    ("looks", "wanted"),
    [
        ([(0, 0.0)], Course.NOTHING),
        ([(2, 0.0)], Course.GATHER),
        ([(2, 0.0), (3, 0.5), (3, 1.25)], Course.GATHER),
        ([(2, 0.0), (3, 0.5), (3, 1.5)], Course.SINGLY),
        ([(1, 0.0), (2, 0.9), (3, 1.8), (2, 2.5), (3, 3.4), (3, 4.3)], Course.GATHER),
        ([(number, number * 0.9) for number in range(1, 4)], Course.GATHER),
        ([(2, 0.0), (4, 0.5)], Course.JOB),
        ([(2, 0.0), (0, 0.5)], Course.NOTHING),
    ],
)
def test_a_backlog_gathers_for_a_moment(looks: Sequence[tuple[int, float]], wanted: Course) -> None:
    """It is let grow, not for long, and not once it stands still."""
    backlog, now_s = Backlog(), 0.0
    for rows, now_s in looks:
        backlog = bulking.seen(backlog, rows, now_s)
    assert bulking.choose(backlog, 4, now_s) is wanted


def test_one_that_grows_slowly_is_not_kept_for_ever() -> None:
    """After five seconds ordinary calls take it."""
    backlog = Backlog()
    for step in range(51):
        backlog = bulking.seen(backlog, 1 + step, step / 10)
    assert bulking.choose(backlog, 1_000, 5.0) is Course.SINGLY
    assert bulking.choose(backlog, 1_000, 4.9) is Course.GATHER


def test_a_small_backlog_waits_for_what_is_known_to_come() -> None:
    """However long it stood still; a job's worth goes at once all the same."""
    backlog = bulking.seen(Backlog(), 7, 0.0)
    assert bulking.choose(backlog, 1_000, 60.0) is Course.SINGLY
    assert bulking.choose(backlog, 1_000, 60.0, comes=True) is Course.GATHER
    assert bulking.choose(backlog, 7, 60.0, comes=True) is Course.JOB
    assert bulking.choose(bulking.seen(backlog, 0, 61.0), 7, 62.0, comes=True) is Course.NOTHING


def test_what_jobs_leave_over_goes_the_same_way() -> None:
    """A remainder follows them as a job of its own, once it stands still; a few records go in ordinary calls."""
    left = bulking.seen(Backlog(), bulking.REMAINDER_MIN, 0.0)
    few = bulking.seen(Backlog(), bulking.REMAINDER_MIN - 1, 0.0)
    assert bulking.choose(left, 2_000, 60.0, follows=True) is Course.JOB
    assert bulking.choose(left, 2_000, 0.5, follows=True) is Course.GATHER
    assert bulking.choose(left, 2_000, 60.0, follows=True, comes=True) is Course.GATHER
    assert bulking.choose(left, 2_000, 60.0) is Course.SINGLY
    assert bulking.choose(few, 2_000, 60.0, follows=True) is Course.SINGLY
    limits = BulkLimits(records_min=2_000, records_max=10_000, upload_bytes_max=10**7)
    sized = [(send(number), 10) for number in range(bulking.REMAINDER_MIN)]
    assert [len(job) for job in bulking.group(sized, limits, follows=True).jobs] == [bulking.REMAINDER_MIN]
    assert len(bulking.group(sized[1:], limits, follows=True).singly) == bulking.REMAINDER_MIN - 1
    assert len(bulking.group(sized, limits).singly) == bulking.REMAINDER_MIN


def test_pauses_grow_and_stay_bounded() -> None:
    """An hour of a job costs about a hundred looks."""
    pauses = [bulking.look_pause_s(looks) for looks in range(200)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.5
    assert pauses[-1] == 30.0
    assert bulking.look_pause_s(10_000) == 30.0


sized_writes = st.lists(
    st.tuples(st.sampled_from([CONTACT, LEAD]), st.booleans(), st.one_of(st.none(), st.integers(1, 120))),
    max_size=60,
)


@given(sized_writes)
def test_every_write_goes_one_way_and_no_job_breaks_a_limit(
    drawn: Sequence[tuple[Target, bool, int | None]],
) -> None:
    """Nothing is lost or doubled; a job is of one target and one kind, and neither too small nor too large."""
    sized = [
        (send(number, target, "003" if known else ""), size)
        for number, (target, known, size) in enumerate(drawn)
    ]
    sizes = {one.write.external_id: size for one, size in sized}
    groups = bulking.group(sized, LIMITS)
    told = [one.write.external_id for part in (*groups.jobs, groups.singly) for one in part]
    assert sorted(told) == sorted(sizes)
    for job in groups.jobs:
        assert LIMITS.records_min <= len(job) <= LIMITS.records_max
        assert len({(one.target, bool(one.write.crm_id)) for one in job}) == 1
        assert sum(sizes[one.write.external_id] or 1_000 for one in job) <= LIMITS.upload_bytes_max


def test_a_rest_is_not_left_over_for_being_too_small() -> None:
    """Eleven go as six and five rather than as ten and one."""
    groups = bulking.group([(send(number), 1) for number in range(11)], LIMITS)
    assert [len(job) for job in groups.jobs] == [6, 5]
    assert not groups.singly


def a_job(*versions: int) -> BulkJob:
    """Return a job whose member number n has the n-th version."""
    members = {uuid.UUID(int=number): version for number, version in enumerate(versions)}
    return BulkJob(uuid.uuid4(), "contact", "Contact", "X__c", "1", members=members)


def test_what_a_job_of_before_did_is_told_once_and_of_its_version_only() -> None:
    """Written: settled without a call. Not written: sent. Changed since, or untold: looked up."""
    recall = Recall()
    job = a_job(1, 1, 1, 1, 1)
    ids = [str(key) for key in job.members]
    outcomes: dict[str, Outcome] = {
        ids[0]: Written("003A", created=True),
        ids[1]: REFUSED,
        ids[2]: Written("003B", created=False),
    }
    unknown = recall.remember(job, outcomes, frozenset({ids[3]}))
    assert unknown == [uuid.UUID(int=4)]
    first = claimed(entity_id=uuid.UUID(int=0), version=1)
    assert recall.take(first) == Fate(1, Written("003A", created=True))
    assert recall.take(first) is None
    assert recall.take(claimed(entity_id=uuid.UUID(int=1), version=1)) == Fate(1, None)
    assert recall.take(claimed(entity_id=uuid.UUID(int=2), version=2)) is None
    assert recall.take(claimed(entity_id=uuid.UUID(int=3), version=1)) == Fate(1, None)
    assert recall.take(claimed(entity_id=uuid.UUID(int=4), version=1)) is None
    assert len(recall) == 0


def test_a_job_that_was_never_started_wrote_nothing() -> None:
    """All of it is sent, without a look-up."""
    recall = Recall()
    assert recall.remember(a_job(1, 2), {}, None) == []
    assert recall.take(claimed(entity_id=uuid.UUID(int=1), version=2)) == Fate(2, None)
