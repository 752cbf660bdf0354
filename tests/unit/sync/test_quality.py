"""The quality of records, counted without a database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.tenant import NOON, POLICY, TENANT, key

from headwater.kernel.clock import SteppedClock
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.policy.survivorship import FieldFact
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.quality import Counts, Measurement, Quarantined, Subject, fresh_days_of
from headwater.sync.domain.states import RecordState
from headwater.sync.usecases import quality

AGEING = POLICY.replace(
    "title: {type: text, owners: [crm, site], rule: longest}",
    "title: {type: text, owners: [crm, site], rule: longest, fresh_days: 30}",
)
TITLE = Subject("contact", "crm", "title")
EMAIL = Subject("contact", "crm", "email")
WHOLE = Subject("contact", "crm", "")


def document() -> PolicyDocument:
    """Return a policy whose titles grow stale."""
    return load_policy(AGEING)


def record(
    number: int, *, source: str = "crm", age_days: float = 0, deleted: bool = False, **values: Any
) -> RecordState:
    """Return a contact's record whose values were stated so long ago."""
    stated = NOON - dt.timedelta(days=age_days)
    fields = {name: FieldFact(value, stated, key(number)) for name, value in values.items()}
    return RecordState(
        RecordKey(TENANT, "contact", source, str(number)),
        key(number),
        fields,
        deleted,
        NOON if deleted else None,
    )


def measured(*records: RecordState) -> dict[Subject, Counts]:
    """Return what is found of records."""
    measurement = Measurement(document(), NOON)
    measurement.add(records)
    measurement.total()
    return measurement.measured


@pytest.mark.parametrize(("age_days", "stale"), [(29.9, 0), (30.1, 1)])
def test_a_value_is_stale_from_the_age_that_the_policy_states(age_days: float, stale: int) -> None:
    """By field time, not by arrival; fields without an age never are."""
    found = measured(record(1, age_days=age_days, title="CTO", email="a@one.example.com"))
    assert (found[TITLE].stale, found[EMAIL].stale) == (stale, 0)
    assert fresh_days_of(document()) == {("contact", "title"): 30.0}


def test_a_record_is_invalid_by_a_value_or_by_what_it_lacks() -> None:
    """A broken address; neither address nor name, of which one is required."""
    found = measured(record(1, email="a@one.example.com"), record(2, email="nothing"), record(3, title="CTO"))
    assert (found[WHOLE].records, found[WHOLE].invalid) == (3, 2)
    assert (found[EMAIL].present, found[EMAIL].invalid) == (2, 1)


def test_only_fields_that_a_source_can_state_are_asked_of_it() -> None:
    """What crm has no mapping of is not missing there."""
    found = measured(record(1, email="a@one.example.com"))
    assert {subject.field for subject in found if subject.source == "crm"} == {
        "", "email", "first_name", "last_name", "title",
    }  # fmt: skip


def test_addresses_of_private_mailboxes_are_counted() -> None:
    """By the domain."""
    found = measured(record(1, email="a@gmail.com"), record(2, email="b@one.example.com"))
    assert found[EMAIL].personal_mail == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["crm", "site", "operator"]), st.booleans(), st.booleans()), max_size=12
    ),
    st.integers(0, 12),
)
def test_counts_do_not_hang_on_pages(rows: list[tuple[str, bool, bool]], cut: int) -> None:
    """Cut anywhere, the same; nothing is more than all records, and all sources are their sum."""
    records = [
        record(number, source=source, deleted=deleted, email="a@gmail.com" if stated else None)
        for number, (source, deleted, stated) in enumerate(rows)
    ]
    parts = Measurement(document(), NOON)
    parts.add(records[:cut])
    parts.add(records[cut:])
    parts.total()
    found = measured(*records)
    assert parts.measured == found
    assert all(
        max(item.invalid, item.stale, item.personal_mail) <= item.present <= item.records
        for item in found.values()
    )
    living = sum(source != "operator" and not deleted for source, deleted, _ in rows)
    assert found.get(Subject("contact", "", ""), Counts()).records == living


def test_shares_of_nothing_are_neither_bad_nor_duplicate() -> None:
    """No record, no fault."""
    assert (Counts().good_share, Counts().duplicate_share) == (1.0, 0.0)


class Pages:
    """Records in pages; notes when one was read."""

    def __init__(self, count: int) -> None:
        self.records = tuple(record(number, email=f"p{number}@one.example.com") for number in range(count))
        self.reads = 0
        self.written = 0
        self.late: list[bool] = []
        self.asked: list[int] = []

    async def count_records(self, _tenant_id: str) -> int:
        """Count them."""
        return len(self.records)

    async def page_records(self, _tenant_id: str, after: RecordKey, _limit: int) -> tuple[RecordState, ...]:
        """Return one by one."""
        self.reads += 1
        left = [one for one in self.records if one.key > after]
        return tuple(left[:1])

    async def count_entities(self, _tenant_id: str) -> Mapping[tuple[str, str], int]:
        """Count none."""
        return {}

    async def write(self, _tenant_id: str, _day: dt.date, _now: dt.datetime, _measured: object) -> None:
        """Count it."""
        self.written += 1

    async def read(
        self, _tenant_id: str, _since: dt.date
    ) -> Mapping[dt.date, tuple[dt.datetime, dict[Subject, Counts]]]:
        """Return nothing."""
        return {}

    async def is_late(self, tenant_id: str, connectors: Sequence[str], _late_s: float) -> bool:
        """Return what was prepared, then that nothing is late."""
        assert (tenant_id, list(connectors)) == (TENANT, sorted(document().connectors))
        self.asked.append(self.reads)
        return self.late.pop(0) if self.late else False

    async def newest_day(self, _tenant_id: str) -> dt.date | None:
        """Return none."""
        return None

    async def quarantined(self, _tenant_id: str, _since: dt.datetime, _limit: int) -> Sequence[Quarantined]:
        """Return none."""
        return ()

    async def prune(self, _tenant_id: str, _before: dt.date) -> None:
        """Keep everything."""

    async def open_count(self, _tenant_id: str) -> int:
        """Count none."""
        return 0

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return the one tenant's policy."""
        return {TENANT: document()}


@pytest.mark.anyio
async def test_the_daily_measurement_waits_for_a_log_that_is_far_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it begins, and between two pages; what is read meanwhile stays read."""
    monkeypatch.setattr(quality, "LOOK_S", 0.0)
    pages = Pages(3)
    behind = [True, True, False, True, True]
    seen: list[int] = []

    def is_behind(tenant_id: str) -> bool:
        assert tenant_id == TENANT
        seen.append(pages.reads)
        return behind.pop(0) if behind else False

    told = await quality.Quality(pages, pages, pages, SteppedClock()).measure_all(is_behind)
    assert told == "3 records of 1 tenants measured"
    assert seen[:6] == [0, 0, 0, 1, 1, 1]
    assert (pages.reads, pages.written) == (4, 1)


@pytest.mark.anyio
async def test_the_daily_measurement_waits_for_a_backlog_of_deliveries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It begins once nothing is due since long."""
    monkeypatch.setattr(quality, "LOOK_S", 0.0)
    pages = Pages(2)
    pages.late = [True, True]
    await quality.Quality(pages, pages, pages, SteppedClock()).measure_all(lambda _: False)
    assert pages.asked == [0, 0, 0]
    assert (pages.reads, pages.written) == (3, 1)


@pytest.mark.anyio
async def test_an_account_that_stands_still_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late stays late there; the day is measured all the same."""
    monkeypatch.setattr(quality, "LATE_WAIT_S_MAX", 0.0)
    pages = Pages(2)
    pages.late = [True] * 100
    with anyio.fail_after(5):
        await quality.Quality(pages, pages, pages, SteppedClock()).measure_all(lambda _: False)
    assert (pages.reads, pages.written) == (3, 1)


@pytest.mark.anyio
async def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that never comes to its end leaves a day without a point of the trend otherwise."""
    monkeypatch.setattr(quality, "GIVE_WAY_S_MAX", 0.0)
    pages = Pages(2)
    with anyio.fail_after(5):
        await quality.Quality(pages, pages, pages, SteppedClock()).measure_all(lambda _: True)
    assert (pages.reads, pages.written) == (3, 1)
