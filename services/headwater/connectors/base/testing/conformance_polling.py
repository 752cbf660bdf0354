"""What every connector that can be asked for changes must do: tell all of them, at every edge of a page."""

from __future__ import annotations

import datetime as dt

import pytest

from headwater.connectors.base import Page, Polled, Poller, Seen, Write
from headwater.connectors.base.testing.lab import Lab
from headwater.connectors.base.testing.suite import Suite, proves

PAGE = 2
CALLS_MAX = 100
LATER = dt.timedelta(hours=1)
"""Beyond every pause between two sweeps for what was deleted."""


async def drained(
    lab: Lab, cursor: str = "", *, later: bool = False, limit: int = PAGE
) -> tuple[list[Page], str]:
    """Return the pages of one round from *cursor* on, and the next round's cursor."""
    assert isinstance(lab.connector, Poller)
    person = lab.subject.person
    polled = Polled(person.crm_object, (lab.subject.name, lab.subject.email))
    now = lab.now() + LATER if later else lab.now()
    pages: list[Page] = []
    for _ in range(CALLS_MAX):
        page = await lab.connector.changes(polled, cursor, limit, now)
        pages.append(page)
        cursor = page.next_cursor
        if not page.more:
            return pages, cursor
    raise AssertionError(f"a round does not end within {CALLS_MAX} calls")


def told(pages: list[Page]) -> dict[str, Seen]:
    """Return what pages told, by CRM id; the newest of each."""
    return {seen.crm_id: seen for page in pages for seen in page.records}


class PollingConformance(Suite):
    """Changes fetched page by page."""

    @proves("poll", needs=("polling",))
    @pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])
    async def test_every_change_is_told_at_every_boundary_of_a_page(self, lab: Lab, count: int) -> None:
        """Fewer, as many and more records than a page holds, written in one batch so that their times are equal."""
        numbers = list(range(1, count + 1))
        size = lab.subject.vendor.capabilities.batch_records_max
        for start in range(0, count, size):
            batch = numbers[start : start + size]
            await lab.write(*(Write(f"ext-{n}", "", lab.subject.fields(n)) for n in batch))
        pages, _cursor = await drained(lab)
        held = await lab.found(*(f"ext-{n}" for n in numbers))
        assert sorted(told(pages)) == sorted(held.values())

    @proves("poll", needs=("polling",))
    async def test_a_change_between_two_rounds_is_told_in_the_second(self, lab: Lab) -> None:
        """The cursor of a round goes on where it ended; what changed later comes with its new value."""
        first = await lab.person(1)
        _pages, cursor = await drained(lab)
        await lab.person(1, more={lab.subject.name: "Changed"})
        second = await lab.person(2)
        pages, _cursor = await drained(lab, cursor)
        seen = told(pages)
        assert {first.crm_id, second.crm_id} <= set(seen)
        assert seen[first.crm_id].fields[lab.subject.name] == "Changed"

    @proves("poll", needs=("polling",))
    async def test_polled_fields_and_no_others_are_told(self, lab: Lab) -> None:
        """A poll for two fields brings two fields, None where one is empty."""
        await lab.write(Write("ext-1", "", {**lab.subject.fields(1), lab.subject.text: "not asked for"}))
        pages, _cursor = await drained(lab)
        assert [set(seen.fields) for seen in told(pages).values()] == [{lab.subject.name, lab.subject.email}]

    @proves("poll", needs=("polling", "delete"))
    async def test_a_deletion_is_told(self, lab: Lab) -> None:
        """A record that somebody deletes is told as deleted, and no longer as changed."""
        gone, kept = await lab.person(1), await lab.person(2)
        _pages, cursor = await drained(lab)
        lab.delete(gone.crm_id)
        pages, _cursor = await drained(lab, cursor, later=True)
        assert gone.crm_id in {seen.crm_id for page in pages for seen in page.deleted}
        assert kept.crm_id not in {seen.crm_id for page in pages for seen in page.deleted}

    @proves("poll", needs=("polling",))
    async def test_an_empty_account_ends_its_round_at_once(self, lab: Lab) -> None:
        """Nothing there: nothing told, and the round ends."""
        pages, _cursor = await drained(lab)
        assert told(pages) == {}
